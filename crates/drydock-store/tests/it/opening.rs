//! What a person is told when the file cannot be used, and what is found again when it can.

use drydock_store::{Expect, List, OpenError, Options, Store, Txn, WriteError};
use futures::StreamExt as _;

use crate::{folder, open, put};

#[tokio::test]
async fn objects_revisions_and_events_survive_a_restart() {
    let folder = folder();
    let store = open(&folder, Options::default());
    let first = put(&store, "a/1", "one").await;
    let second = put(&store, "a/1", "two").await;
    store.write(Txn::new().delete("a/1", Expect::At(second))).await.unwrap();
    let last = put(&store, "a/2", "three").await;
    store.close();

    let store = open(&folder, Options::default());
    assert_eq!(store.revision(), last);
    assert_eq!(store.get("a/1"), None);
    assert!(store.get("a/2").unwrap().value == *b"three");
    let events: Vec<_> =
        store.watch("a/", first).unwrap().take(3).map(|event| event.unwrap().revision).collect().await;
    assert_eq!(events, [second, second + 1, last]);
    let then = store.list(List { prefix: "a/", at: Some(first), ..List::default() }).unwrap();
    assert!(then.items[0].entry.value == *b"one");
}

#[test]
fn a_second_opener_is_told_that_the_file_is_in_use() {
    let folder = folder();
    let _first = open(&folder, Options::default());
    let error = Store::open(folder.path().join("store.redb")).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another drydock"), "{error}");
}

#[test]
fn a_file_that_is_no_store_is_named_with_the_way_out() {
    let folder = folder();
    std::fs::write(folder.path().join("store.redb"), "not a database".repeat(1000)).unwrap();
    let error = Store::open(folder.path().join("store.redb")).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("store.redb") && text.contains("seaworthy drydock reset"), "{text}");
}

#[tokio::test]
async fn a_flipped_byte_in_a_value_is_found_when_the_store_opens() {
    let folder = folder();
    let store = open(&folder, Options::default());
    put(&store, "a", "the value that will be damaged").await;
    store.close();
    let path = folder.path().join("store.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"the value that will be damaged";
    let places: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(&path, bytes).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
}

#[test]
fn the_file_is_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let _store = open(&folder, Options::default());
    let mode = std::fs::metadata(folder.path().join("store.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_closed_store_refuses_writes_and_still_answers_reads() {
    let folder = folder();
    let store = open(&folder, Options::default());
    put(&store, "a", "1").await;
    store.close();
    let error = store.write(Txn::new().put("b", "2", Expect::Anything)).await.unwrap_err();
    assert!(matches!(error, WriteError::Closed));
    assert!(store.get("a").unwrap().value == *b"1");
}
