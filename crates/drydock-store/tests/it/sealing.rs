//! Sealed values: unreadable in the file, as they were for everybody else, and never lost to a missing key.

use std::sync::Arc;

use drydock_store::{Expect, List, OpenError, Options, Seal, SealError, Store, Txn};
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
