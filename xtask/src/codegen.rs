//! `cargo xtask codegen`: writes the field schemas of `crates/drydock-kinds/schema/` and, by `messages`, the wire forms
//! of `crates/drydock-protobuf/schema/`.
//!
//! For developers who raise the Kubernetes version; nobody else needs it, the result is committed.
//! Reads the published OpenAPI v3 documents from the Go module `k8s.io/kubernetes`, which `go mod download` fetches.
//! The output is deterministic: the same version gives the same bytes.

mod enums;
mod golden;
mod gosource;
mod messages;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value, json};

const MODULE: &str = "k8s.io/kubernetes@v1.36.0";
const OUTPUT: &str = "crates/drydock-kinds/schema";

/// The documents of the groups that drydock serves; definitions of other groups stay out.
const DOCUMENTS: &[&str] = &[
    "api__v1",
    "apis__admissionregistration.k8s.io__v1",
    "apis__apiextensions.k8s.io__v1",
    "apis__apiregistration.k8s.io__v1",
    "apis__apps__v1",
    "apis__authentication.k8s.io__v1",
    "apis__authorization.k8s.io__v1",
    "apis__autoscaling__v1",
    "apis__autoscaling__v2",
    "apis__batch__v1",
    "apis__certificates.k8s.io__v1",
    "apis__coordination.k8s.io__v1",
    "apis__discovery.k8s.io__v1",
    "apis__events.k8s.io__v1",
    "apis__flowcontrol.apiserver.k8s.io__v1",
    "apis__networking.k8s.io__v1",
    "apis__node.k8s.io__v1",
    "apis__policy__v1",
    "apis__rbac.authorization.k8s.io__v1",
    "apis__resource.k8s.io__v1",
    "apis__scheduling.k8s.io__v1",
    "apis__storage.k8s.io__v1",
];

pub fn run() -> Result<()> {
    messages::run()?;
    let module = module_dir(MODULE)?;
    let mut definitions = definitions(&module.join("api/openapi-spec/v3"))?;
    enums::add(&module, &mut definitions)?;
    let output = Path::new(OUTPUT);
    fs::create_dir_all(output).with_context(|| format!("cannot create `{OUTPUT}`"))?;
    let (mut types, mut descriptions) = (String::new(), String::new());
    for (name, mut definition) in definitions {
        let texts = take_descriptions(&mut definition);
        types.push_str(&format!("{name}\t{definition}\n"));
        descriptions.push_str(&format!("{name}\t{texts}\n"));
    }
    write_gzip(&output.join("definitions.tsv.gz"), &types)?;
    write_gzip(&output.join("descriptions.tsv.gz"), &descriptions)?;
    // Not a file copy: the module cache is read-only and so would be the result.
    let licence = fs::read(module.join("LICENSE")).context("cannot read the licence")?;
    fs::write(output.join("LICENSE"), licence).context("cannot write the licence")?;
    Ok(())
}

fn module_dir(module: &str) -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .output()
        .context("cannot run `go`, which fetches the Kubernetes sources")?;
    let answer: Value = serde_json::from_slice(&output.stdout).context("`go mod download` gave no JSON")?;
    match answer.get("Dir").and_then(Value::as_str) {
        Some(dir) => Ok(PathBuf::from(dir)),
        None => bail!("`go mod download {module}` failed: {}", answer["Error"]),
    }
}

fn definitions(folder: &Path) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for document in DOCUMENTS {
        let path = folder.join(format!("{document}_openapi.json"));
        let text = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut document: Value = serde_json::from_slice(&text)?;
        let Value::Object(schemas) = document["components"]["schemas"].take() else {
            bail!("`{}` has no schemas", path.display())
        };
        all.extend(schemas);
    }
    ensure!(!all.is_empty(), "no definition was found");
    Ok(all)
}

/// Moves the texts out of a definition: its own under the empty name, then one per field.
fn take_descriptions(definition: &mut Value) -> Value {
    let mut texts = Map::new();
    take_one(definition, "", &mut texts);
    if let Some(Value::Object(fields)) = definition.get_mut("properties") {
        for (name, field) in fields {
            take_one(field, name, &mut texts);
        }
    }
    json!(texts)
}

fn take_one(schema: &mut Value, name: &str, texts: &mut Map<String, Value>) {
    if let Some(text) = schema.as_object_mut().and_then(|schema| schema.remove("description")) {
        texts.insert(name.to_owned(), text);
    }
}

fn write_gzip(path: &Path, text: &str) -> Result<()> {
    let file = fs::File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut packed = GzBuilder::new().mtime(0).write(file, Compression::best());
    packed.write_all(text.as_bytes())?;
    packed.finish()?;
    Ok(())
}
