//! Fingerprint of a build context: has anything a build reads changed since the last one?

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{At, Error, Result};
use crate::layer::digest_text;

/// Folders that no build reads.
const IGNORED: &[&str] = &["target", ".git", "node_modules", "charts", ".seaworthy"];
/// A context with more files than this is almost surely the wrong folder.
const MAX_FILES: usize = 50_000;

/// Digest over names and contents of all files below `context`, and over `salt` (builder, toolchain, options).
pub(crate) fn fingerprint(context: &Path, salt: &str) -> Result<String> {
    let mut files = BTreeMap::new();
    let mut pending = vec![context.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).at("read", &folder)? {
            let entry = entry.at("read", &folder)?;
            let kind = entry.file_type().at("read", entry.path())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if IGNORED.contains(&name.as_str()) || is_compose(&name) {
                continue;
            }
            match kind.is_dir() {
                true => pending.push(entry.path()),
                false => files.extend(name_of(context, entry.path())),
            }
        }
        if files.len() > MAX_FILES {
            return Err(Error::Io {
                action: "use as build context (more than 50,000 files)",
                path: context.to_owned(),
                source: std::io::Error::other("name a smaller folder"),
            });
        }
    }
    let mut hash = Sha256::new_with_prefix(salt);
    for (name, path) in files {
        let content = match path.is_symlink() {
            true => fs::read_link(&path).at("read", &path)?.to_string_lossy().into_owned().into_bytes(),
            false => fs::read(&path).at("read", &path)?,
        };
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(digest_text(hash))
}

/// Compose files say how to run what was built, not how to build it.
fn is_compose(name: &str) -> bool {
    (name.starts_with("compose.") || name.starts_with("docker-compose."))
        && (name.ends_with("yaml") || name.ends_with("yml"))
}

fn name_of(context: &Path, path: PathBuf) -> Option<(String, PathBuf)> {
    // Secrets are read at run time, never by a build.
    let secret = path.file_name().is_some_and(|name| name == ".env");
    let name = path.strip_prefix(context).ok()?.to_string_lossy().into_owned();
    (!secret).then_some((name, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_a_source_file_changes_it_and_one_in_target_does_not() {
        let context = tempfile::tempdir().unwrap();
        fs::create_dir_all(context.path().join("target")).unwrap();
        fs::write(context.path().join("main.rs"), "fn main() {}").unwrap();
        let before = fingerprint(context.path(), "v1").unwrap();
        fs::write(context.path().join("target/x"), "1").unwrap();
        fs::write(context.path().join("compose.yaml"), "services: {}").unwrap();
        assert_eq!(fingerprint(context.path(), "v1").unwrap(), before);
        fs::write(context.path().join("main.rs"), "fn main() { }").unwrap();
        assert_ne!(fingerprint(context.path(), "v1").unwrap(), before);
    }

    #[test]
    fn another_toolchain_changes_it() {
        let context = tempfile::tempdir().unwrap();
        assert_ne!(
            fingerprint(context.path(), "1.95").unwrap(),
            fingerprint(context.path(), "1.96").unwrap()
        );
    }
}
