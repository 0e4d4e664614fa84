//! Sealed values: unreadable in the file, as they were for everybody else, and never lost to a missing key.

use std::sync::Arc;

use drydock_store::{Event, Expect, List, OpenError, Options, Seal, SealError, Store, Txn, stage};
use futures::StreamExt as _;

use crate::{folder, open, put};

/// A toy that turns bytes around under a password; only keys below `secret/` are sealed.
#[derive(Debug)]
struct Toy(u8);

impl Seal for Toy {
    fn seal(&self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let sealed = [0, self.0].into_iter().chain(value.iter().map(|byte| byte ^ self.0)).collect();
        Ok(key.starts_with("secret/").then_some(sealed))
    }

    fn open(&self, _key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        match stored {
            [0, password, rest @ ..] if *password == self.0 => {
                Ok(Some(rest.iter().map(|byte| byte ^ self.0).collect()))
            }
            [0, ..] => Err("another password".into()),
            _ => Ok(None),
        }
    }

    fn reseal(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        match self.open(key, stored)? {
            Some(_) => Ok(None),
            None => self.seal(key, stored),
        }
    }
}

/// Opens with either password and seals with the first.
#[derive(Debug)]
struct Both(Toy, Toy);

impl Seal for Both {
    fn seal(&self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        self.0.seal(key, value)
    }

    fn open(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        self.0.open(key, stored).or_else(|_| self.1.open(key, stored))
    }

    fn reseal(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        match (self.0.open(key, stored), self.1.open(key, stored)) {
            (Ok(Some(_)), _) => Ok(None),
            (_, Ok(Some(value))) => self.0.seal(key, &value),
            (_, Ok(None)) => self.0.seal(key, stored),
            (_, Err(error)) => Err(error),
        }
    }
}

fn sealed(password: u8) -> Options {
    Options { seal: Some(Arc::new(Toy(password))), ..Options::default() }
}

fn file_holds(folder: &tempfile::TempDir, needle: &str) -> bool {
    let bytes = std::fs::read(folder.path().join("store.redb")).unwrap();
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn a_sealed_value_is_in_no_byte_of_the_file_and_reads_as_it_was() {
    let folder = folder();
    let store = open(&folder, sealed(7));
    let first = put(&store, "secret/a", "hunter2-hunter2").await;
    put(&store, "secret/a", "hunter3-hunter3").await;
    put(&store, "open/a", "for-everybody").await;
    store.write(Txn::new().delete("secret/a", Expect::Anything)).await.unwrap();
    put(&store, "secret/b", "hunter4-hunter4").await;
    assert!(store.get("secret/b").unwrap().value == *b"hunter4-hunter4");
    store.close();
    for secret in ["hunter2", "hunter3", "hunter4"] {
        assert!(!file_holds(&folder, secret), "{secret} lies readable in the file");
    }
    assert!(file_holds(&folder, "for-everybody"));

    let store = open(&folder, sealed(7));
    assert!(store.get("secret/b").unwrap().value == *b"hunter4-hunter4");
    let then = store.list(List { prefix: "secret/", at: Some(first), ..List::default() }).unwrap();
    assert!(then.items[0].entry.value == *b"hunter2-hunter2");
    let events: Vec<_> =
        store.watch("secret/", 0).unwrap().take(4).map(|event| event.unwrap().value.clone()).collect().await;
    assert!(events[1].as_ref().is_some_and(|value| *value == *b"hunter3-hunter3"));
}

#[tokio::test]
async fn a_wrong_key_is_named_and_destroys_nothing() {
    let folder = folder();
    let store = open(&folder, sealed(7));
    put(&store, "secret/a", "hunter2").await;
    store.close();
    let error = Store::open_with(folder.path().join("store.redb"), sealed(8)).unwrap_err();
    assert!(matches!(&error, OpenError::Sealed { key, .. } if key == "secret/a"), "{error:?}");
    assert!(error.to_string().contains("store.redb"), "{error}");
    let store = open(&folder, sealed(7));
    assert!(store.get("secret/a").unwrap().value == *b"hunter2");
}

#[tokio::test]
async fn values_from_before_sealing_stay_readable_and_are_sealed_when_written_again() {
    let folder = folder();
    let store = open(&folder, Options::default());
    put(&store, "secret/a", "hunter2").await;
    store.close();
    let store = open(&folder, sealed(7));
    assert!(store.get("secret/a").unwrap().value == *b"hunter2");
    put(&store, "secret/a", "hunter9").await;
    store.close();
    assert!(!file_holds(&folder, "hunter9"));
}

/// A store of which the database has half and the journal the rest, as a kill leaves it. Returns what it tells.
async fn with_a_past(folder: &tempfile::TempDir) -> Vec<Event> {
    let store = open(folder, sealed(7));
    change(&store, 0..30).await;
    store.close();
    let store = open(folder, sealed(7));
    change(&store, 30..60).await;
    let past = past_of(&store).await;
    // Nothing is brought up to date before the journal is full, so the files lie still.
    let copy = crate::folder();
    copy_files(folder, &copy);
    store.close();
    copy_files(&copy, folder);
    past
}

async fn change(store: &Store, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let (place, text) = (n % 7, format!("hunter-{n}-").repeat(20));
        put(store, &format!("secret/{place}"), &text).await;
        put(store, &format!("open/{place}"), &text).await;
        if n % 5 == 0 {
            store.write(Txn::new().delete(format!("secret/{place}"), Expect::Anything)).await.unwrap();
        }
    }
}

fn copy_files(from: &tempfile::TempDir, to: &tempfile::TempDir) {
    for file in std::fs::read_dir(from.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
    }
}

async fn past_of(store: &Store) -> Vec<Event> {
    let changes = (store.revision() - store.floor()) as usize;
    let watch = store.watch("", store.floor()).unwrap();
    watch.take(changes).map(|event| Event::clone(&event.unwrap())).collect().await
}

fn files(folder: &tempfile::TempDir) -> Vec<String> {
    let names = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_store_under_another_key_tells_the_same_past_and_needs_the_former_key_no_more() {
    let folder = folder();
    let past = with_a_past(&folder).await;
    let staged = stage(&folder.path().join("store.redb"), &Both(Toy(8), Toy(7))).unwrap();
    assert_eq!(staged.resealed(), store_of(&past, "secret/"));
    staged.commit().unwrap();
    assert_eq!(files(&folder), ["store.redb"]);
    let store = open(&folder, sealed(8));
    assert_eq!(past_of(&store).await, past);
    assert_eq!(store.revision(), past.last().unwrap().revision);
}

/// How many keys with this beginning are there after all of `past`.
fn store_of(past: &[Event], prefix: &str) -> usize {
    let last: std::collections::BTreeMap<_, _> =
        past.iter().map(|event| (&event.key, &event.value)).collect();
    last.iter().filter(|(key, value)| key.starts_with(prefix) && value.is_some()).count()
}

#[tokio::test]
async fn what_is_staged_and_left_changes_nothing() {
    let folder = folder();
    let past = with_a_past(&folder).await;
    let before = files(&folder);
    drop(stage(&folder.path().join("store.redb"), &Both(Toy(8), Toy(7))).unwrap());
    assert_eq!(files(&folder), before);
    // A kill leaves the draft behind: it is in nobody's way.
    std::mem::forget(stage(&folder.path().join("store.redb"), &Both(Toy(8), Toy(7))).unwrap());
    assert_eq!(past_of(&open(&folder, sealed(7))).await, past);
    stage(&folder.path().join("store.redb"), &Both(Toy(8), Toy(7))).unwrap().commit().unwrap();
    assert_eq!(past_of(&open(&folder, sealed(8))).await, past);
}

#[tokio::test]
async fn what_no_key_opens_is_named_and_the_store_stays_as_it_is() {
    let folder = folder();
    let past = with_a_past(&folder).await;
    let error = stage(&folder.path().join("store.redb"), &Both(Toy(8), Toy(9))).unwrap_err();
    assert!(matches!(&error, OpenError::Sealed { key, .. } if key.starts_with("secret/")), "{error:?}");
    assert_eq!(past_of(&open(&folder, sealed(7))).await, past);
}
