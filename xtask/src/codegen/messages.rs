//! Writes `crates/drydock-protobuf/schema/messages.tsv.gz`: the wire form of every published API type.
//!
//! Read from the struct tags of the Go sources, which the published `generated.proto` files are made of and which say
//! more: whether a scalar is a pointer (so that zero differs from unset), and what JSON leaves out. One line per
//! structure; [`super::gosource`] does the reading. The format is described in `schema/README.md` beside the output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::gosource::{Field, Package, Tag};

const OUTPUT: &str = "crates/drydock-protobuf/schema";
const VERSION: &str = "v0.36.0";

const META: &str = "k8s.io/apimachinery/pkg/apis/meta/v1";
const SCHEMA: &str = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1";

/// Modules, and the folders in each whose structures travel as protobuf.
const MODULES: &[(&str, &[&str])] = &[
    ("k8s.io/apimachinery", &["pkg/apis/meta/v1"]),
    ("k8s.io/apiextensions-apiserver", &["pkg/apis/apiextensions/v1"]),
    ("k8s.io/kube-aggregator", &["pkg/apis/apiregistration/v1"]),
    ("k8s.io/metrics", &["pkg/apis/metrics/v1beta1"]),
];

/// All group versions of this module are taken, except those that no server has offered for years.
const API_MODULE: &str = "k8s.io/api";
const GONE: &[&str] = &["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2", "imagepolicy/v1alpha1"];

/// Types whose wire form or JSON form is their own, with the letter that stands for them.
const SPECIAL: &[(&str, &str, char)] = &[
    ("k8s.io/apimachinery/pkg/api/resource", "Quantity", 'q'),
    ("k8s.io/apimachinery/pkg/util/intstr", "IntOrString", 'I'),
    ("k8s.io/apimachinery/pkg/runtime", "RawExtension", 'r'),
    ("k8s.io/apimachinery/pkg/types", "UID", 's'),
    ("k8s.io/apimachinery/pkg/types", "NodeName", 's'),
    (META, "Time", 't'),
    (META, "MicroTime", 'u'),
    (META, "Duration", 'D'),
    (META, "FieldsV1", 'r'),
    (SCHEMA, "JSON", 'r'),
    (SCHEMA, "JSONSchemaPropsOrArray", 'A'),
    (SCHEMA, "JSONSchemaPropsOrBool", 'O'),
    (SCHEMA, "JSONSchemaPropsOrStringArray", 'S'),
];

pub fn run() -> Result<()> {
    let packages = packages()?;
    let names = index(&packages);
    let mut text = String::new();
    for package in packages.values() {
        for (name, fields) in package.structs.iter().filter(|(name, _)| is_message(package, name)) {
            let kind = if package.is_kind(name) { "+" } else { "" };
            text.push_str(&format!("{kind}{}/{name}\t", package.api_version));
            let mut fields: Vec<&Field> = fields.iter().filter(|field| field.number().is_some()).collect();
            fields.sort_by_key(|field| field.number());
            let fields: Result<Vec<String>> = fields
                .iter()
                .map(|field| {
                    line(&packages, &names, package, field)
                        .with_context(|| format!("`{}.{name}.{}`", package.path, field.name))
                })
                .collect();
            text.push_str(&fields?.join(" "));
            text.push('\n');
        }
    }
    super::write_gzip(&Path::new(OUTPUT).join("messages.tsv.gz"), &text)?;
    super::golden::run(&super::module_dir(&format!("{API_MODULE}@{VERSION}"))?)
}

fn packages() -> Result<BTreeMap<String, Package>> {
    let mut all = BTreeMap::new();
    for (module, folders) in MODULES {
        let root = super::module_dir(&format!("{module}@{VERSION}"))?;
        for folder in *folders {
            let path = format!("{module}/{folder}");
            all.insert(path.clone(), Package::read(&path, &root.join(folder))?);
        }
    }
    let root = super::module_dir(&format!("{API_MODULE}@{VERSION}"))?;
    for folder in version_folders(&root)? {
        if !GONE.contains(&folder.as_str()) {
            let path = format!("{API_MODULE}/{folder}");
            all.insert(path.clone(), Package::read(&path, &root.join(folder))?);
        }
    }
    Ok(all)
}

/// `GROUP/VERSION` for every folder of the API module that has a published protobuf form.
fn version_folders(root: &Path) -> Result<Vec<String>> {
    let folders = |path: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot list `{}`", path.display()))?;
        Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
    };
    let mut found = Vec::new();
    for group in folders(root)? {
        for version in folders(&group)? {
            if version.join("generated.proto").exists() {
                let relative = version.strip_prefix(root).context("a folder is below its root")?;
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a structure travels as a message of its own; the special ones never do.
fn is_message(package: &Package, name: &str) -> bool {
    let special = SPECIAL.iter().any(|(path, special, _)| *path == package.path && *special == name);
    let has_fields = package.structs[name].iter().any(|field| field.number().is_some());
    // Empty messages exist: `SelfSubjectRulesReviewSpec` might lose its last field, `FlushOptions` never had one.
    !special && (has_fields || package.structs[name].is_empty())
}

/// Line numbers of the messages, which is how fields name them.
fn index(packages: &BTreeMap<String, Package>) -> BTreeMap<(String, String), usize> {
    let messages = packages.values().flat_map(|package| {
        let names = package.structs.keys().filter(|name| is_message(package, name));
        names.map(|name| (package.path.clone(), name.clone()))
    });
    messages.enumerate().map(|(line, key)| (key, line)).collect()
}

/// `NUMBER,JSON NAME,FLAGS,TYPE`.
fn line(
    packages: &BTreeMap<String, Package>,
    names: &BTreeMap<(String, String), usize>,
    package: &Package,
    field: &Field,
) -> Result<String> {
    let Tag { json, omit_empty, omit_zero, inline } = field.json();
    let (pointer, ty) = match field.ty.strip_prefix('*') {
        Some(ty) => (true, ty),
        None => (false, field.ty.as_str()),
    };
    let number = field.number().context("has no number")?;
    let flags: String = [(pointer, 'p'), (omit_empty, 'o'), (omit_zero, 'z'), (inline, 'l')]
        .into_iter()
        .filter_map(|(set, letter)| set.then_some(letter))
        .collect();
    let ty = wire_type(packages, names, package, ty)?;
    Ok(format!("{number},{json},{flags},{ty}"))
}

fn wire_type(
    packages: &BTreeMap<String, Package>,
    names: &BTreeMap<(String, String), usize>,
    package: &Package,
    ty: &str,
) -> Result<String> {
    let inner = |package: &Package, ty: &str| wire_type(packages, names, package, ty);
    if ty == "[]byte" {
        return Ok("b".to_owned());
    }
    if let Some(item) = ty.strip_prefix("[]") {
        return Ok(format!("[{}", inner(package, item)?));
    }
    if let Some(rest) = ty.strip_prefix("map[") {
        let (_, value) = rest.split_once(']').context("a map without an end")?;
        return Ok(format!("{{{}", inner(package, value)?));
    }
    let scalar = match ty {
        "string" => Some("s"),
        "bool" => Some("B"),
        "int32" => Some("i"),
        "int64" | "int" => Some("l"),
        "float64" => Some("d"),
        _ => None,
    };
    if let Some(letter) = scalar {
        return Ok(letter.to_owned());
    }
    let (path, name) = package.resolve(ty)?;
    if let Some((.., letter)) = SPECIAL.iter().find(|(p, n, _)| *p == path && *n == name) {
        let suffix = match letter {
            'A' | 'O' | 'S' => names[&(SCHEMA.to_owned(), "JSONSchemaProps".to_owned())].to_string(),
            _ => String::new(),
        };
        return Ok(format!("{letter}{suffix}"));
    }
    if let Some(line) = names.get(&(path.clone(), name.clone())) {
        return Ok(format!("#{line}"));
    }
    let Some(home) = packages.get(&path) else { bail!("`{path}` is not read, but `{ty}` lives there") };
    match home.aliases.get(&name) {
        // A named list that may be null is wrapped in a message, since protobuf has no null lists.
        Some(alias) if alias.is_nullable_list => Ok("E".to_owned()),
        Some(alias) => inner(home, &alias.ty),
        None => bail!("`{ty}` is neither a structure nor an alias"),
    }
}
