//! What is left of a store that was damaged, and what is told about it.

use std::path::{Path, PathBuf};

use drydock_store::{Expect, Options, Salvage, Store, Txn, salvage};
use tempfile::TempDir;

use crate::{folder, open, put};

const COUNT: usize = 200;

fn object(n: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"n{n}"}},"data":{{"text":"{}"}}}}"#,
        "\\\"}".repeat(50)
    )
}

/// A store with objects in its database and two changes in its journal, closed by a crash.
async fn crashed() -> (TempDir, PathBuf) {
    let original = folder();
    let store = open(&original, Options::default());
    for n in 0..COUNT {
        put(&store, &format!("core/configmaps/a/n{n:03}"), &object(n)).await;
    }
    store.close();
    drop(store);
    let store = open(&original, Options::default());
    put(&store, "core/configmaps/a/late", &object(COUNT)).await;
    store.write(Txn::new().delete("core/configmaps/a/n000", Expect::Present)).await.unwrap();
    // As a crash would leave it: the database has not seen the journal.
    let copy = folder();
    for file in std::fs::read_dir(original.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let path = copy.path().join("store.redb");
    (copy, path)
}

fn damage(path: &Path, needle: &[u8], change: impl Fn(&mut [u8])) {
    let mut bytes = std::fs::read(path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!places.is_empty());
    for at in places {
        change(&mut bytes[at..at + needle.len()]);
    }
    std::fs::write(path, bytes).unwrap();
}

fn names(found: &Salvage) -> usize {
    found.objects.len()
}

#[tokio::test]
async fn a_store_that_is_whole_has_no_problems_and_is_not_changed() {
    let (folder, path) = crashed().await;
    let before = std::fs::read(&path).unwrap();
    let found = salvage(&path, None).unwrap();
    assert_eq!((names(&found), found.revision, found.problems), (COUNT, COUNT as u64 + 2, vec![]));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    drop(folder);
}

#[tokio::test]
async fn a_damaged_object_is_named_and_the_others_are_saved() {
    let (_folder, path) = crashed().await;
    damage(&path, object(77).as_bytes(), |bytes| bytes[40] ^= 1);
    assert!(Store::open(&path).is_err());
    let found = salvage(&path, None).unwrap();
    assert_eq!(names(&found), COUNT - 1);
    assert!(found.problems[0].contains("`core/configmaps/a/n077`"), "{:?}", found.problems);
}

#[tokio::test]
async fn a_database_that_does_not_open_leaves_fragments_and_its_journal() {
    let (_folder, path) = crashed().await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..320].fill(7);
    std::fs::write(&path, bytes).unwrap();
    let error = Store::open(&path).unwrap_err().to_string();
    assert!(error.contains("`seaworthy drydock export`") && error.contains("store.redb"), "{error}");
    let found = salvage(&path, None).unwrap();
    assert!(found.problems[0].starts_with("`store.redb` cannot be opened"), "{:?}", found.problems);
    for n in 0..COUNT {
        assert!(found.fragments.iter().any(|entry| entry.value == *object(n).as_bytes()), "object {n}");
    }
    assert!(found.objects[0].entry.value == *object(COUNT).as_bytes());
}

#[tokio::test]
async fn a_journal_with_a_hole_is_told_with_the_revisions_that_are_gone() {
    let (_folder, path) = crashed().await;
    let journal = ["journal-a", "journal-b"].map(|end| path.with_extension(end));
    let held = |path: &PathBuf| std::fs::read(path).unwrap().windows(4).any(|bytes| bytes == b"late");
    let [journal] = journal.into_iter().filter(held).collect::<Vec<_>>().try_into().unwrap();
    damage(&journal, b"configmaps/a/late", |bytes| bytes[0] ^= 1);
    let error = Store::open(&path).unwrap_err().to_string();
    assert!(error.contains("the changes of revisions 201 to 201 are unreadable"), "{error}");
    let found = salvage(&path, None).unwrap();
    assert_eq!((names(&found), found.problems.len()), (COUNT - 1, 1), "{:?}", found.problems);
}
