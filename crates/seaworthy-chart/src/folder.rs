//! Brings a chart's folder up to date without touching what a person changed.
//!
//! A file `.seaworthy.json` in the folder remembers the hash of each file as we wrote it. A file whose hash is another
//! was edited and is kept; so is one that we did not write, and one that was deleted stays deleted. Every write is a
//! rename, so a reader never sees half a file.
//!
//! Start at [`update`].

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Chart;

const MANIFEST: &str = ".seaworthy.json";

/// What an update did. Paths are relative to the chart's folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The folder did not exist before.
    pub is_new: bool,
    pub written: Vec<PathBuf>,
    pub unchanged: Vec<PathBuf>,
    /// Edited or deleted by a person, or not written by us; left as they are although ours differ.
    pub kept: Vec<PathBuf>,
    /// No longer part of the chart.
    pub removed: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not what `seaworthy` wrote there; delete it to let all files count as yours", path.display())]
    BrokenManifest { path: PathBuf },
}

/// Brings `folder` to the state of `chart`.
pub fn update(folder: &Path, chart: &Chart) -> Result<Update, Error> {
    let mut done = Update { is_new: !folder.exists(), ..Update::default() };
    let before = read_manifest(folder)?;
    let mut after = BTreeMap::new();
    for (path, text) in &chart.files {
        let remembered = before.get(path);
        let present = read(&folder.join(path))?;
        let ours = hash(text.as_bytes());
        let (list, remember) = match state(present.as_deref(), remembered, &ours) {
            State::Same => (&mut done.unchanged, Some(ours)),
            State::Ours => {
                write(&folder.join(path), text)?;
                (&mut done.written, Some(ours))
            }
            State::Edited if remembered == Some(&ours) => (&mut done.unchanged, Some(ours)),
            State::Edited => (&mut done.kept, remembered.cloned()),
        };
        list.push(path.clone());
        if let Some(hash) = remember {
            after.insert(path.clone(), hash);
        }
    }
    for (path, remembered) in before.iter().filter(|(path, _)| !chart.files.contains_key(*path)) {
        remove_if_ours(folder, path, remembered, &mut done)?;
    }
    write_manifest(folder, &after)?;
    Ok(done)
}

enum State {
    /// Already what we would write.
    Same,
    /// Absent or as we left it.
    Ours,
    /// Changed, deleted, or never ours.
    Edited,
}

fn state(present: Option<&[u8]>, remembered: Option<&String>, ours: &str) -> State {
    match (present.map(hash), remembered) {
        (Some(present), _) if present == ours => State::Same,
        (Some(present), Some(remembered)) if present == *remembered => State::Ours,
        (None, None) => State::Ours,
        _ => State::Edited,
    }
}

fn remove_if_ours(folder: &Path, path: &Path, remembered: &str, done: &mut Update) -> Result<(), Error> {
    let full = folder.join(path);
    match read(&full)? {
        None => {}
        Some(present) if hash(&present) == remembered => {
            std::fs::remove_file(&full).map_err(|source| Error::Write { path: full.clone(), source })?;
            // Only succeeds when the folder is empty, which is the point.
            let _ = full.parent().map(std::fs::remove_dir);
            done.removed.push(path.to_owned());
        }
        Some(_) => done.kept.push(path.to_owned()),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".seaworthy-").tempfile_in(parent).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    readable_by_all(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary files are private; those of a chart are not.
#[cfg(unix)]
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

fn hash(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_manifest(folder: &Path) -> Result<BTreeMap<PathBuf, String>, Error> {
    let path = folder.join(MANIFEST);
    let Some(bytes) = read(&path)? else { return Ok(BTreeMap::new()) };
    let broken = || Error::BrokenManifest { path: path.clone() };
    let manifest: Value = serde_json::from_slice(&bytes).map_err(|_| broken())?;
    let files = manifest.get("files").and_then(Value::as_object).ok_or_else(broken)?;
    let pair = |(name, hash): (&String, &Value)| {
        // A path that leads out of the folder is none that we wrote.
        let path = PathBuf::from(name);
        let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        inside.then_some(())?;
        Some((path, hash.as_str()?.to_owned()))
    };
    files.iter().map(pair).collect::<Option<_>>().ok_or_else(broken)
}

fn write_manifest(folder: &Path, files: &BTreeMap<PathBuf, String>) -> Result<(), Error> {
    let files: serde_json::Map<String, Value> =
        files.iter().map(|(path, hash)| (path.to_string_lossy().into_owned(), json!(hash))).collect();
    let manifest = json!({
        "about": "Hashes of the files as seaworthy wrote them. A file with another hash is yours and is kept.",
        "files": files,
    });
    write(&folder.join(MANIFEST), &format!("{manifest:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(files: &[(&str, &str)]) -> Chart {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Chart { name: "x".into(), files, notes: Vec::new() }
    }

    fn show(update: &Update) -> String {
        let list = |name: &str, paths: &[PathBuf]| {
            let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            if names.is_empty() { String::new() } else { format!("{name}: {} ", names.join(",")) }
        };
        let text = list("written", &update.written)
            + &list("same", &update.unchanged)
            + &list("kept", &update.kept)
            + &list("removed", &update.removed);
        text.trim_end().to_owned()
    }

    /// Writes `first`, lets `person` work, writes `second`.
    #[track_caller]
    fn check(
        first: &[(&str, &str)],
        person: impl FnOnce(&Path),
        second: &[(&str, &str)],
        expect: &str,
    ) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("charts/x");
        assert!(update(&root, &chart(first)).expect("written").is_new);
        person(&root);
        assert_eq!(show(&update(&root, &chart(second)).expect("updated")), expect);
        folder
    }

    fn text(folder: &tempfile::TempDir, path: &str) -> String {
        std::fs::read_to_string(folder.path().join("charts/x").join(path)).expect("there")
    }

    #[test]
    fn the_second_run_changes_nothing() {
        check(&[("a", "1"), ("t/b", "2")], |_| {}, &[("a", "1"), ("t/b", "2")], "same: a,t/b");
    }

    #[test]
    fn a_file_nobody_edited_is_brought_up_to_date() {
        let folder = check(&[("a", "1")], |_| {}, &[("a", "2")], "written: a");
        assert_eq!(text(&folder, "a"), "2");
    }

    #[test]
    fn an_edited_file_is_kept_and_told() {
        let edit = |root: &Path| std::fs::write(root.join("a"), "mine").expect("written");
        let folder = check(&[("a", "1")], edit, &[("a", "2")], "kept: a");
        assert_eq!(text(&folder, "a"), "mine");
    }

    #[test]
    fn an_edited_file_stays_a_persons_on_every_later_run() {
        let edit = |root: &Path| std::fs::write(root.join("a"), "mine").expect("written");
        let folder = check(&[("a", "1")], edit, &[("a", "2")], "kept: a");
        let again = update(&folder.path().join("charts/x"), &chart(&[("a", "3")])).expect("updated");
        assert_eq!(show(&again), "kept: a");
    }

    #[test]
    fn an_edited_file_is_not_mentioned_while_ours_does_not_change() {
        let edit = |root: &Path| std::fs::write(root.join("a"), "mine").expect("written");
        check(&[("a", "1")], edit, &[("a", "1")], "same: a");
    }

    #[test]
    fn a_deleted_file_stays_deleted() {
        let delete = |root: &Path| std::fs::remove_file(root.join("a")).expect("removed");
        check(&[("a", "1"), ("b", "1")], delete, &[("a", "2"), ("b", "1")], "same: b kept: a");
    }

    #[test]
    fn a_file_that_was_there_before_us_is_kept() {
        let add = |root: &Path| std::fs::write(root.join("b"), "mine").expect("written");
        check(&[("a", "1")], add, &[("a", "1"), ("b", "2")], "same: a kept: b");
    }

    #[test]
    fn files_of_a_service_that_is_gone_are_removed_unless_edited() {
        let edit = |root: &Path| std::fs::write(root.join("t/c"), "mine").expect("written");
        let folder = check(
            &[("a", "1"), ("s/b", "1"), ("t/c", "1")],
            edit,
            &[("a", "1")],
            "same: a kept: t/c removed: s/b",
        );
        assert!(!folder.path().join("charts/x/s").exists());
    }

    #[test]
    fn a_manifest_that_leads_out_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(MANIFEST), r#"{"files": {"../../etc/passwd": "x"}}"#)
            .expect("written");
        assert!(matches!(update(folder.path(), &chart(&[])), Err(Error::BrokenManifest { .. })));
    }
}
