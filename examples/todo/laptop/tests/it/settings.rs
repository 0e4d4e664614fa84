//! Whoever deploys this finds every setting explained, and none that nobody reads.

use std::collections::BTreeSet;
use std::path::Path;

use service::config::KNOWN;

/// What compose files are told and no service reads.
const FOR_COMPOSE: [&str; 2] = ["COMPOSE_PROFILES", "POSTGRES_PASSWORD"];

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

fn is_variable(name: &str) -> bool {
    name.len() > 2
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn known(more: &[&'static str]) -> BTreeSet<String> {
    KNOWN.iter().chain(more).map(|name| (*name).to_owned()).collect()
}

/// The variables of `.env.example`, set or commented out, each with whether a comment stands above it.
fn explained() -> Vec<(String, bool)> {
    let mut comment = false;
    let mut found = Vec::new();
    for line in file(".env.example").lines() {
        let assignment = line.trim_start_matches("# ").trim_start_matches('#').split_once('=');
        match assignment {
            Some((name, _)) if is_variable(name) => found.push((name.to_owned(), comment)),
            _ => comment = line.starts_with('#') && !line.starts_with("# ---"),
        }
    }
    found
}

#[test]
fn the_example_of_an_environment_explains_every_setting_and_nothing_else() {
    let explained = explained();
    let names: BTreeSet<String> = explained.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, known(&FOR_COMPOSE));
    assert_eq!(names.len(), explained.len(), "none is there twice");
    let bare: Vec<&String> = explained.iter().filter(|(_, comment)| !comment).map(|(name, _)| name).collect();
    assert!(bare.is_empty(), "without a word of explanation: {bare:?}");
}

#[test]
fn the_readme_lists_every_setting_and_nothing_else() {
    let readme = file("README.md");
    let section = readme.split("\n## Environment\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let names = rows.flat_map(|cell| cell.split('`').filter(|word| is_variable(word)).map(str::to_owned));
    assert_eq!(names.collect::<BTreeSet<_>>(), known(&[]));
}

#[test]
fn every_variable_of_the_compose_files_is_a_setting() {
    let known = known(&FOR_COMPOSE);
    for name in ["compose.yaml", "compose.model.yaml", "compose.secrets.yaml"] {
        for part in file(name).split("${").skip(1) {
            let used: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(known.contains(&used), "`{used}` of {name} is not explained anywhere");
        }
    }
}

#[test]
fn no_secret_has_a_default() {
    for line in file(".env.example").lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let is_secret = ["PASSWORD", "SECRET", "KEY", "DATABASE_URL"].iter().any(|word| name.contains(word));
        assert!(!is_secret || value.is_empty(), "{name} has a default");
    }
}
