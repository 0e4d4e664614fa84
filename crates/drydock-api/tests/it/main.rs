//! The API as its clients meet it: kube-rs in process, and real kubectl over TLS.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod crud;
mod watching;

use std::sync::Arc;

use drydock_api::{Api, ApiConfig, NoNode, Pki};
use drydock_store::Store;
use tempfile::TempDir;

/// An API over a store of its own.
pub struct World {
    pub api: Api,
    pub client: kube::Client,
    pub pki: Arc<Pki>,
    pub folder: TempDir,
}

pub async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
    let api = Api::new(ApiConfig::default(), store, pki.clone(), Arc::new(NoNode)).await.unwrap();
    World { client: api.client(), api, pki, folder }
}
