//! Reads the structures of one Go package: names, field types, struct tags.
//!
//! For `messages`. Understands what `gofmt` makes of the Kubernetes API packages, one declaration per line, and no more;
//! what it cannot place, the caller reports by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// One Go package and the group version it stands for.
#[derive(Debug, Default)]
pub struct Package {
    pub path: String,
    /// `apps/v1`, or `v1` for the core group.
    pub api_version: String,
    pub structs: BTreeMap<String, Vec<Field>>,
    pub aliases: BTreeMap<String, Alias>,
    /// Import names and their paths.
    imports: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Alias {
    pub ty: String,
    pub is_nullable_list: bool,
}

#[derive(Debug)]
pub struct Field {
    /// Empty for embedded structures.
    pub name: String,
    pub ty: String,
    tags: String,
}

/// What the `json` tag says.
#[derive(Debug, Default)]
pub struct Tag {
    pub json: String,
    pub omit_empty: bool,
    pub omit_zero: bool,
    pub inline: bool,
}

impl Package {
    pub fn read(path: &str, folder: &Path) -> Result<Self> {
        let mut package = Self { path: path.to_owned(), ..Self::default() };
        let version = path.rsplit('/').next().unwrap_or_default();
        let mut group = String::new();
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
        let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let skipped = !name.ends_with(".go")
                || ["_test.go", ".pb.go"].iter().any(|end| name.ends_with(end))
                || name.starts_with("zz_");
            if skipped {
                continue;
            }
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{name}`"))?;
            if let Some((_, rest)) = text.split_once("const GroupName = \"") {
                group = rest.split('"').next().unwrap_or_default().to_owned();
            }
            package.file(&text);
        }
        package.api_version =
            if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Ok(package)
    }

    fn file(&mut self, text: &str) {
        let mut open: Option<String> = None;
        let mut is_nullable = false;
        for line in text.lines() {
            if let Some(name) = &open {
                if line == "}" {
                    open = None;
                } else if let (Some(field), Some(fields)) = (field(line), self.structs.get_mut(name)) {
                    fields.push(field);
                }
                continue;
            }
            if let Some(rest) = line.strip_prefix("type ") {
                if let Some(name) = rest.strip_suffix(" struct {") {
                    self.structs.insert(name.to_owned(), Vec::new());
                    open = Some(name.to_owned());
                } else if let Some(name) = rest.strip_suffix(" struct{}") {
                    self.structs.insert(name.to_owned(), Vec::new());
                } else if let Some((name, ty)) = rest.split_once(' ') {
                    let ty = ty.trim_start_matches("= ").split(" //").next().unwrap_or_default();
                    let is_nullable_list = is_nullable && ty.starts_with("[]");
                    self.aliases
                        .insert(name.to_owned(), Alias { ty: ty.trim().to_owned(), is_nullable_list });
                }
            }
            is_nullable = match line.starts_with("//") {
                true => is_nullable || line.contains("+protobuf.nullable=true"),
                false => false,
            };
            self.import(line);
        }
    }

    /// `metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"`, with or without the name.
    fn import(&mut self, line: &str) {
        let line = line.trim().trim_start_matches("import ");
        let Some((name, rest)) = line.split_once('"') else { return };
        let Some(path) = rest.strip_suffix('"').filter(|path| path.starts_with("k8s.io/")) else { return };
        let name = match name.trim() {
            "" => path.rsplit('/').next().unwrap_or_default(),
            name => name,
        };
        self.imports.insert(name.to_owned(), path.to_owned());
    }

    /// The path and name of a type as this package writes it.
    pub fn resolve(&self, ty: &str) -> Result<(String, String)> {
        match ty.split_once('.') {
            None => Ok((self.path.clone(), ty.to_owned())),
            Some((import, name)) => {
                let path = self.imports.get(import).with_context(|| format!("`{import}` is not imported"))?;
                Ok((path.clone(), name.to_owned()))
            }
        }
    }

    /// Whether objects of this structure say their kind themselves.
    pub fn is_kind(&self, name: &str) -> bool {
        self.structs[name].iter().any(|field| field.name.is_empty() && field.ty.ends_with("TypeMeta"))
    }
}

impl Field {
    /// The field's number; `None` when it does not travel as protobuf.
    pub fn number(&self) -> Option<u32> {
        self.tag("protobuf")?.split(',').nth(1)?.parse().ok()
    }

    pub fn json(&self) -> Tag {
        let text = self.tag("json").unwrap_or_default();
        let mut words = text.split(',');
        let name = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        Tag {
            json: if name.is_empty() { self.name.clone() } else { name.to_owned() },
            omit_empty: words.contains(&"omitempty"),
            omit_zero: words.contains(&"omitzero"),
            inline: words.contains(&"inline") || (self.name.is_empty() && name.is_empty()),
        }
    }

    fn tag(&self, key: &str) -> Option<&str> {
        let (_, rest) = self.tags.split_once(&format!("{key}:\""))?;
        rest.split('"').next()
    }
}

fn field(line: &str) -> Option<Field> {
    let line = line.trim();
    if line.starts_with("//") {
        return None;
    }
    let (code, tags) = line.split_once('`').unwrap_or((line.split("//").next().unwrap_or_default(), ""));
    let mut words = code.split_whitespace();
    let (first, rest) = (words.next()?, words.collect::<Vec<_>>().join(" "));
    let (name, ty) =
        if rest.is_empty() { (String::new(), first.to_owned()) } else { (first.to_owned(), rest) };
    Some(Field { name, ty, tags: tags.to_owned() })
}
