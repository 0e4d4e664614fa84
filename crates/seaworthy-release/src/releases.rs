//! The releases of a namespace: reading them, and one operation at a time on each.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::apply::{Applier, MANAGER};
use crate::error::{Error, Result, Tried};
use crate::lock::Lock;
use crate::record::{Hook, Release};
use crate::storage::Storage;

/// A rendered chart, ready to become a revision.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// As Helm serialises a chart: `metadata`, `templates`, `values`, `schema`, `files`.
    pub chart: Value,
    /// Values on top of the chart's own.
    pub config: Value,
    pub manifest: String,
    pub hooks: Vec<Hook>,
    pub notes: String,
    /// Templates by their path as the manifest names them, subcharts included; only to say where an object came from.
    pub templates: BTreeMap<String, String>,
    /// The chart's `crds/`; only the plan looks at them, [`Releases::define`] applies them.
    pub definitions: Vec<Definition>,
}

/// A file of a chart's `crds/` folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Path inside the chart.
    pub file: String,
    pub text: String,
}

/// A recorded revision, and whether anything had to change.
#[derive(Debug, Clone)]
pub struct Done {
    pub release: Release,
    pub changed: bool,
}

/// The releases of one namespace. Cheap to clone.
#[derive(Clone)]
pub struct Releases {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) storage: Storage,
}

impl Releases {
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        Self { storage: Storage::new(client.clone(), &namespace), client, namespace }
    }

    /// All revisions of `release`, oldest first.
    pub async fn history(&self, release: &str) -> Result<Vec<Release>> {
        self.storage.history(release).await
    }

    /// The revisions of a release that must exist, oldest first.
    pub async fn existing(&self, release: &str) -> Result<Vec<Release>> {
        let history = self.history(release).await?;
        if history.is_empty() {
            return Err(self.no_release(release));
        }
        Ok(history)
    }

    /// One revision of `release`; the newest when none is named.
    pub async fn get(&self, release: &str, revision: Option<u64>) -> Result<Release> {
        let mut history = self.existing(release).await?;
        match revision {
            None => history.pop().ok_or_else(|| self.no_release(release)),
            Some(revision) => history
                .into_iter()
                .find(|stored| stored.version == revision)
                .ok_or_else(|| Error::NoRevision { release: release.to_owned(), revision }),
        }
    }

    /// Every revision of every release of the namespace, or of all namespaces.
    pub async fn all(&self, everywhere: bool) -> Result<Vec<Release>> {
        match everywhere {
            true => Storage::everywhere(self.client.clone()).all().await,
            false => self.storage.all().await,
        }
    }

    /// The newest revision of every release.
    pub async fn list(&self) -> Result<Vec<Release>> {
        Ok(newest(self.storage.all().await?))
    }

    /// Makes the namespace, as `--create-namespace` does; one that exists is left alone.
    pub async fn ensure_namespace(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let tried = || format!("create the namespace `{}`", self.namespace);
        if namespaces.get_metadata_opt(&self.namespace).await.tried(tried)?.is_some() {
            return Ok(());
        }
        let wanted = json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": self.namespace, "labels": { "name": self.namespace } } });
        let params = PatchParams::apply(MANAGER);
        namespaces.patch(&self.namespace, &params, &Patch::Apply(&wanted)).await.map(drop).tried(tried)
    }

    pub(crate) async fn lock(&self, release: &str) -> Result<Lock> {
        Lock::take(self.client.clone(), &self.namespace, release).await
    }

    pub(crate) fn applier(&self, release: &str) -> Applier {
        Applier::new(self.client.clone(), release, &self.namespace)
    }

    pub(crate) fn no_release(&self, name: &str) -> Error {
        Error::NoRelease { release: name.to_owned(), namespace: self.namespace.clone() }
    }
}

/// The newest revision of each release, by namespace and name.
pub fn newest(releases: Vec<Release>) -> Vec<Release> {
    let mut newest: BTreeMap<(String, String), Release> = BTreeMap::new();
    for release in releases {
        let key = (release.namespace.clone(), release.name.clone());
        if newest.get(&key).is_none_or(|known| known.version <= release.version) {
            newest.insert(key, release);
        }
    }
    newest.into_values().collect()
}
