//! Objects into the cluster and out of it, with Helm's field manager and its ownership marks.
//!
//! [`Applier`] knows the cluster's kinds and who owns an object. How an object is changed is in `put`, how it goes in
//! `remove`; `scaled` keeps replicas that an autoscaler owns, `managers` moves releases of Helm 3 to the server's apply.

mod managers;
mod put;
mod remove;
mod scaled;

pub(crate) use put::{Change, How, Method, is_immutable};
pub(crate) use remove::Removed;
pub(crate) use scaled::Scaled;

use std::collections::{BTreeMap, HashMap};

use futures::lock::Mutex;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::error::{Error, Result, Tried};
use crate::manifest::Object;

pub(crate) const MANAGER: &str = "helm";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Applies and deletes for one release.
pub(crate) struct Applier {
    pub client: Client,
    pub release: String,
    pub namespace: String,
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
        if let Some(found) = known_kind(&known, object) {
            return Ok(found);
        }
        let kinds = self.ask(object.api_version()).await?;
        known.insert(object.api_version().to_owned(), kinds);
        known_kind(&known, object).ok_or_else(|| Error::NoSuchKind {
            kind: object.kind().to_owned(),
            api_version: object.api_version().to_owned(),
            place: object.place(),
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

    /// The object as the cluster has it.
    pub async fn live(&self, object: &Object) -> Result<Option<Value>> {
        if object.name().is_empty() {
            return Ok(None);
        }
        let found = self.api(object).await?.get_opt(object.name()).await;
        let found = found.tried(|| format!("look for {}", object.title()))?;
        Ok(found.map(|found| self.as_value(object, &found)))
    }

    pub fn as_value(&self, object: &Object, found: &DynamicObject) -> Value {
        let mut value = serde_json::to_value(found).unwrap_or_default();
        value["apiVersion"] = object.api_version().into();
        value["kind"] = object.kind().into();
        value
    }

    /// Who owns an object that exists and is not this release's; `None` for one that is, or is not there.
    pub async fn other_owner(&self, object: &Object) -> Result<Option<String>> {
        if object.name().is_empty() {
            return Ok(None);
        }
        let api = self.api(object).await?;
        let found =
            api.get_metadata_opt(object.name()).await.tried(|| format!("look for {}", object.title()))?;
        Ok(found.and_then(|found| self.owner_in(found.annotations())))
    }

    fn owner_in(&self, annotations: &BTreeMap<String, String>) -> Option<String> {
        let mark = |key: &str| annotations.get(key).map(String::as_str);
        if mark(RELEASE_NAME) == Some(&self.release) && mark(RELEASE_NAMESPACE) == Some(&self.namespace) {
            return None;
        }
        Some(match mark(RELEASE_NAME) {
            Some(other) => {
                format!("release `{other}` in namespace `{}`", mark(RELEASE_NAMESPACE).unwrap_or("?"))
            }
            None => "nobody we know (it was made without Helm)".to_owned(),
        })
    }

    /// Whether a live object is another's; the same question when it is at hand already.
    pub fn owner_of(&self, live: &Value) -> Option<String> {
        let annotations = live["metadata"]["annotations"].as_object();
        let texts = annotations.into_iter().flatten();
        let texts = texts.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())));
        self.owner_in(&texts.collect())
    }

    /// The object with the marks of its release.
    pub fn marked(&self, object: &Object) -> Value {
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

    /// The selector of a hook's pods, when it has any.
    pub fn pods_of_hook(object: &Object) -> Option<ListParams> {
        match object.kind() {
            "Job" => Some(ListParams::default().labels(&format!("job-name={}", object.name()))),
            "Pod" => Some(ListParams::default().fields(&format!("metadata.name={}", object.name()))),
            _ => None,
        }
    }

    pub fn refused(&self, object: &Object, source: kube::Error) -> Error {
        Error::Refused { object: object.title(), place: object.place(), source: Box::new(source.into()) }
    }
}

fn known_kind(
    known: &HashMap<String, Vec<(ApiResource, bool)>>,
    object: &Object,
) -> Option<(ApiResource, bool)> {
    let kinds = known.get(object.api_version())?;
    kinds.iter().find(|(resource, _)| resource.kind == object.kind()).cloned()
}
