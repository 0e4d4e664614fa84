//! Whoever deploys this finds every setting in `.env.example`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "tests" && name != "target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// The variables that the code asks for by name: `required("X")`, `optional("X")`, `env::var("X")` and their like.
fn read_by_the_services() -> BTreeSet<String> {
    let mut files = Vec::new();
    for part in std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path().join("src")) {
        if part.is_dir() {
            sources(&part, &mut files);
        }
    }
    let asks = ["required(", "optional(", "parsed(", "secret(", "var(", "var_os(", "setting("];
    let mut found = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for part in asks.iter().flat_map(|ask| text.split(ask).skip(1)) {
            let name = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            found.extend(name.filter(|name| is_variable(name)).map(str::to_owned));
        }
        // Lists of names that are asked for one after the other.
        found
            .extend(text.split('"').filter(|word| word.starts_with("BETTER_AUTH_SECRET")).map(str::to_owned));
    }
    found
}

fn is_variable(name: &str) -> bool {
    name.len() > 2
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The variables of `.env.example`, set or commented out, each with whether a comment stands above it.
fn explained() -> Vec<(String, bool)> {
    let text = std::fs::read_to_string(root().join(".env.example")).unwrap();
    let mut comment = false;
    let mut found = Vec::new();
    for line in text.lines() {
        let assignment = line.trim_start_matches("# ").trim_start_matches('#').split_once('=');
        match assignment {
            Some((name, _)) if is_variable(name) => found.push((name.to_owned(), comment)),
            _ => comment = line.starts_with('#') && !line.starts_with("# ---"),
        }
    }
    found
}

#[test]
fn every_variable_the_services_read_is_explained() {
    let explained = explained();
    let names: BTreeSet<&str> = explained.iter().map(|(name, _)| name.as_str()).collect();
    let read = read_by_the_services();
    assert!(read.contains("DATABASE_URL"), "the search finds what it should: {read:?}");
    let missing: Vec<&String> = read.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in .env.example: {missing:?}");
    let bare: Vec<&String> = explained.iter().filter(|(_, comment)| !comment).map(|(name, _)| name).collect();
    assert!(bare.is_empty(), "without a word of explanation: {bare:?}");
}

#[test]
fn every_variable_of_the_compose_files_is_explained() {
    let files = ["compose.yaml", "compose.model.yaml", "compose.secrets.yaml"];
    let read = |name| std::fs::read_to_string(root().join(name)).unwrap();
    let compose: String = files.into_iter().map(read).collect();
    let names: BTreeSet<String> = explained().into_iter().map(|(name, _)| name).collect();
    for part in compose.split("${").skip(1) {
        let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        assert!(names.contains(&name), "`{name}` of a compose file is not in .env.example");
    }
}

#[test]
fn no_secret_has_a_default() {
    let text = std::fs::read_to_string(root().join(".env.example")).unwrap();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let is_secret = ["PASSWORD", "SECRET", "KEY"].iter().any(|word| name.contains(word));
        assert!(!is_secret || value.is_empty(), "{name} has a default");
    }
}
