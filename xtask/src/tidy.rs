//! `cargo xtask tidy`: the rules of the house that the compiler does not know.
//!
//! Also an ordinary test, so that `cargo test` keeps the house too. Each finding is a sentence with a place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Which crates of ours a crate may name, besides itself. The arrows of ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("go-duration", &[]),
    ("kubernetes-quantity", &[]),
    ("drydock-kinds", &["go-duration", "kubernetes-quantity"]),
    ("drydock-protobuf", &["go-duration"]),
    ("drydock-store", &[]),
    ("drydock-streams", &[]),
    (
        "drydock-api",
        &["drydock-kinds", "drydock-protobuf", "drydock-store", "drydock-streams", "kubernetes-quantity"],
    ),
    ("drydock-conformance", &["drydock-api", "drydock-controllers", "drydock-store"]),
    ("drydock-controllers", &["drydock-kinds", "kubernetes-quantity"]),
    ("drydock-node", &["kubernetes-quantity", "seaworthy-image"]),
    (
        "drydock",
        &[
            "drydock-api",
            "drydock-controllers",
            "drydock-kinds",
            "drydock-node",
            "drydock-store",
            "seaworthy-image",
        ],
    ),
    ("seaworthy-app", &[]),
    ("seaworthy-compose", &["seaworthy-app"]),
    ("seaworthy-chart", &["seaworthy-app"]),
    ("seaworthy-image", &[]),
    ("seaworthy-template", &["go-duration"]),
    ("seaworthy-helm", &["seaworthy-template"]),
    ("seaworthy-release", &["kubernetes-quantity", "seaworthy-template"]),
    ("seaworthy-repo", &["seaworthy-helm", "seaworthy-template"]),
    (
        "seaworthy",
        &[
            "drydock",
            "go-duration",
            "seaworthy-app",
            "seaworthy-chart",
            "seaworthy-compose",
            "seaworthy-helm",
            "seaworthy-image",
            "seaworthy-release",
            "seaworthy-repo",
        ],
    ),
    ("xtask", &["seaworthy-helm", "seaworthy-image"]),
];

/// Marks of unfinished work. Written so that this list does not find itself.
const LEFT_OVERS: &[&str] =
    &[concat!("db", "g!("), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("todo", "!(")];

/// No source file may be longer: a reader needs rooms, not halls. Lower it when the longest file has shrunk.
const MAX_LINES: usize = 700;

pub fn run() -> anyhow::Result<()> {
    let findings = findings(&crate::root())?;
    if findings.is_empty() {
        println!("tidy");
        return Ok(());
    }
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    bail!("{} findings", findings.len())
}

fn findings(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = arrows(root)?;
    found.extend(sources(root)?);
    found.extend(architecture(root)?);
    Ok(found)
}

/// Crates that name a crate they must not know. Dev-dependencies are free.
fn arrows(root: &Path) -> anyhow::Result<Vec<String>> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut found = Vec::new();
    for manifest in manifests(root)? {
        let text = read(&manifest)?;
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("name = \""))
            .unwrap_or_default()
            .trim_end_matches('"');
        let Some(allowed) = allowed.get(name) else {
            found.push(format!(
                "{}: crate `{name}` has no line in the arrows of xtask/src/tidy.rs",
                manifest.display()
            ));
            continue;
        };
        for named in dependencies(&text).filter(|named| ARROWS.iter().any(|(ours, _)| ours == named)) {
            if !allowed.contains(&named) {
                found.push(format!("{}: `{name}` must not know `{named}`", manifest.display()));
            }
        }
    }
    Ok(found)
}

fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let inside = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let inside = inside.take_while(|line| !line.starts_with('['));
    inside.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty())
}

fn manifests(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut manifests = vec![root.join("xtask/Cargo.toml")];
    for entry in fs::read_dir(root.join("crates"))? {
        manifests.push(entry?.path().join("Cargo.toml"));
    }
    manifests.retain(|path| path.is_file());
    manifests.sort();
    Ok(manifests)
}

fn sources(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in ["crates", "xtask", "examples/todo"] {
        for path in rust_files(&root.join(folder))? {
            let text = read(&path)?;
            let place = path.strip_prefix(root).unwrap_or(&path).display();
            if !text.starts_with("//!") {
                found.push(format!("{place}: does not open with a `//!` header"));
            }
            let lines = text.lines().count();
            if lines > MAX_LINES {
                found.push(format!("{place}: {lines} lines; {MAX_LINES} is the most"));
            }
            for (number, line) in text.lines().enumerate() {
                if let Some(mark) = LEFT_OVERS.iter().find(|mark| line.contains(*mark)) {
                    found.push(format!("{place}:{}: left over: `{mark}`", number + 1));
                }
            }
        }
    }
    Ok(found)
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let path = entry?.path();
            match path.is_dir() {
                true if path.file_name().is_some_and(|name| name == "target") => {}
                true => pending.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Crates that ARCHITECTURE.md does not name, and paths it names that are not there.
fn architecture(root: &Path) -> anyhow::Result<Vec<String>> {
    let text = read(&root.join("ARCHITECTURE.md"))?;
    let quoted: BTreeSet<&str> = text.split('`').skip(1).step_by(2).collect();
    let mut found = Vec::new();
    for (name, _) in ARROWS {
        if !quoted.contains(name) {
            found.push(format!("ARCHITECTURE.md: does not name the crate `{name}`"));
        }
    }
    let is_path = |word: &&&str| {
        ["crates/", "xtask/", "examples/", "docs/", ".ci/"].iter().any(|start| word.starts_with(start))
    };
    for path in quoted.iter().filter(is_path).filter(|path| !path.contains(['<', '*', ' '])) {
        if !root.join(path).exists() {
            found.push(format!("ARCHITECTURE.md: names `{path}`, which is not there"));
        }
    }
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let findings = findings(&crate::root()).unwrap();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }

    #[test]
    fn only_ordinary_dependencies_are_arrows() {
        let manifest =
            "[dependencies]\nserde.workspace = true\na = { path = \"x\" }\n\n[dev-dependencies]\nb = \"1\"\n";
        assert_eq!(dependencies(manifest).collect::<Vec<_>>(), ["serde", "a"]);
    }
}
