//! The store as its users meet it: through a file, with processes that die.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod crash;
mod model;
mod opening;
mod salvage;
mod sealing;
mod watching;

use drydock_store::{Expect, Options, Store, Txn};
use tempfile::TempDir;

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

pub fn open(folder: &TempDir, options: Options) -> Store {
    Store::open_with(folder.path().join("store.redb"), options).expect("the store opens")
}

pub async fn put(store: &Store, key: &str, value: &str) -> u64 {
    let txn = Txn::new().put(key, value.to_owned(), Expect::Anything);
    store.write(txn).await.expect("the write is acknowledged")
}
