//! Objects into the cluster and out of it: server-side apply with Helm's field manager, and its ownership marks.

use std::collections::HashMap;

use futures::lock::Mutex;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::error::{Error, Result, Tried};
use crate::manifest::Object;

const MANAGER: &str = "helm";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Applies and deletes for one release.
pub(crate) struct Applier {
    client: Client,
    release: String,
    namespace: String,
    /// `apiVersion` to its kinds, asked once.
    kinds: Mutex<HashMap<String, Vec<(ApiResource, bool)>>>,
}

impl Applier {
    pub fn new(client: Client, release: &str, namespace: &str) -> Self {
        Self { client, release: release.to_owned(), namespace: namespace.to_owned(), kinds: Mutex::default() }
    }

    /// The API for an object's kind, in its namespace.
    pub async fn api(&self, object: &Object) -> Result<Api<DynamicObject>> {
        let (resource, namespaced) = self.resource(object).await?;
        let namespace = object.namespace().unwrap_or(&self.namespace);
        Ok(match namespaced {
            true => Api::namespaced_with(self.client.clone(), namespace, &resource),
            false => Api::all_with(self.client.clone(), &resource),
        })
    }

    /// The kind's resource, and whether it is namespaced.
    pub async fn resource(&self, object: &Object) -> Result<(ApiResource, bool)> {
        let mut known = self.kinds.lock().await;
        if !known.contains_key(object.api_version()) {
            let kinds = self.ask(object.api_version()).await?;
            known.insert(object.api_version().to_owned(), kinds);
        }
        let kinds = known.get(object.api_version()).into_iter().flatten();
        let found = kinds.into_iter().find(|(resource, _)| resource.kind == object.kind());
        found.cloned().ok_or_else(|| Error::NoSuchKind {
            kind: object.kind().to_owned(),
            api_version: object.api_version().to_owned(),
            source_file: object.source_file.clone(),
        })
    }

    async fn ask(&self, api_version: &str) -> Result<Vec<(ApiResource, bool)>> {
        let listed = match api_version.contains('/') {
            true => self.client.list_api_group_resources(api_version).await,
            false => self.client.list_core_api_resources(api_version).await,
        };
        let listed = match listed {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            listed => listed.tried(|| format!("ask for the kinds of `{api_version}`"))?,
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let plain = listed.resources.into_iter().filter(|resource| !resource.name.contains('/'));
        let resource = |found: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| {
            let resource = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: found.kind,
                plural: found.name,
            };
            (resource, found.namespaced)
        };
        Ok(plain.map(resource).collect())
    }

    /// Refuses objects that exist and are not this release's, before anything is changed.
    pub async fn check_ownership(&self, objects: &[Object]) -> Result<()> {
        for object in objects {
            let api = self.api(object).await?;
            let found =
                api.get_metadata_opt(object.name()).await.tried(|| format!("look for {}", object.title()))?;
            let Some(found) = found else { continue };
            let mark = |key: &str| found.annotations().get(key).map(String::as_str);
            if mark(RELEASE_NAME) == Some(&self.release) && mark(RELEASE_NAMESPACE) == Some(&self.namespace) {
                continue;
            }
            let owner = match mark(RELEASE_NAME) {
                Some(other) => {
                    format!("release `{other}` in namespace `{}`", mark(RELEASE_NAMESPACE).unwrap_or("?"))
                }
                None => "nobody we know (it was made without Helm)".to_owned(),
            };
            return Err(Error::Owned { object: object.title(), owner, release: self.release.clone() });
        }
        Ok(())
    }

    /// Applies one object. `force` takes fields over from other managers.
    pub async fn apply(&self, object: &Object, force: bool) -> Result<()> {
        let api = self.api(object).await?;
        let params = PatchParams { force, ..PatchParams::apply(MANAGER) };
        let marked = self.marked(object);
        let applied = api.patch(object.name(), &params, &Patch::Apply(&marked)).await;
        applied.map(drop).map_err(|source| self.refused(object, source))
    }

    /// Creates a hook's object, which is not part of the release's own set.
    pub async fn create(&self, object: &Object) -> Result<()> {
        let api = self.api(object).await?;
        let value = serde_json::from_value(object.value.clone()).map_err(|error| Error::Manifest {
            release: self.release.clone(),
            reason: format!("{}: {error}", object.source_file),
        })?;
        api.create(&Default::default(), &value).await.map(drop).map_err(|source| self.refused(object, source))
    }

    fn refused(&self, object: &Object, source: kube::Error) -> Error {
        Error::Refused {
            object: object.title(),
            source_file: object.source_file.clone(),
            source: Box::new(source),
        }
    }

    fn marked(&self, object: &Object) -> Value {
        let mut value = object.value.clone();
        let metadata = &mut value["metadata"];
        for (field, key, text) in [
            ("labels", MANAGED_BY, "Helm"),
            ("annotations", RELEASE_NAME, self.release.as_str()),
            ("annotations", RELEASE_NAMESPACE, self.namespace.as_str()),
        ] {
            if !metadata[field].is_object() {
                metadata[field] = json!({});
            }
            metadata[field][key] = text.into();
        }
        value
    }

    /// The last log lines of a hook's pods; empty for anything that has none.
    pub async fn logs(&self, object: &Object) -> Vec<String> {
        let selector = match object.kind() {
            "Job" => ListParams::default().labels(&format!("job-name={}", object.name())),
            "Pod" => ListParams::default().fields(&format!("metadata.name={}", object.name())),
            _ => return Vec::new(),
        };
        let namespace = object.namespace().unwrap_or(&self.namespace);
        crate::diagnose::logs_of(&self.client, namespace, &selector).await
    }

    /// Deletes an object of the release, unless it has become someone else's meanwhile.
    pub async fn delete_own(&self, object: &Object) -> Result<bool> {
        match self.check_ownership(std::slice::from_ref(object)).await {
            Err(Error::NoSuchKind { .. }) => Ok(false),
            Err(Error::Owned { object, owner, .. }) => {
                tracing::warn!(%object, %owner, "left alone, because it is not the release's any more");
                Ok(false)
            }
            checked => {
                checked?;
                self.delete(object).await
            }
        }
    }

    /// Deletes one object and what it owns. Returns whether it was there.
    pub async fn delete(&self, object: &Object) -> Result<bool> {
        let api = match self.api(object).await {
            // Its kind is gone, and so is it.
            Err(Error::NoSuchKind { .. }) => return Ok(false),
            api => api?,
        };
        match api.delete(object.name(), &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            deleted => deleted.map(|_| true).tried(|| format!("delete {}", object.title())),
        }
    }
}
