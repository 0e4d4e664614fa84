//! One kind of object: its shared cache, the watch that feeds it, and every write to it.
//!
//! Each write puts the server's answer into the cache, so the next read sees it. Nothing is
//! cached of `managedFields`. Start at [`Kind`]; [`watch`](Kind::watch) is spawned once per kind.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Meta};
use crate::key::Key;

/// Who we are in `managedFields`: the name that tools know, since some leave its fields alone.
const FIELD_MANAGER: &str = "kube-controller-manager";
const FIRST_WATCH_RETRY: Duration = Duration::from_millis(10);
const LAST_WATCH_RETRY: Duration = Duration::from_secs(10);

/// A kind that controllers read and write in its typed form.
pub trait Object:
    kube::Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Objects of `namespace`; an empty one means the whole cluster.
    fn api(client: Client, namespace: &str) -> Api<Self>;
}

macro_rules! namespaced {
    ($($kind:ty),* $(,)?) => { $(impl Object for $kind {
        fn api(client: Client, namespace: &str) -> Api<Self> {
            if namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, namespace) }
        }
    })* };
}

macro_rules! cluster_scoped {
    ($($kind:ty),* $(,)?) => { $(impl Object for $kind {
        fn api(client: Client, _namespace: &str) -> Api<Self> { Api::all(client) }
    })* };
}

namespaced!(
    ConfigMap,
    ControllerRevision,
    CronJob,
    DaemonSet,
    Deployment,
    EndpointSlice,
    Endpoints,
    Event,
    HorizontalPodAutoscaler,
    Job,
    PersistentVolumeClaim,
    Pod,
    PodDisruptionBudget,
    ResourceQuota,
    ReplicaSet,
    ReplicationController,
    Service,
    ServiceAccount,
    StatefulSet,
);
cluster_scoped!(ClusterRole, Namespace, Node, PersistentVolume, StorageClass);

/// A write the server refused or that did not reach it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {what}")]
pub struct WriteError {
    verb: &'static str,
    what: String,
    #[source]
    source: kube::Error,
}

impl WriteError {
    pub fn new(verb: &'static str, what: String, source: kube::Error) -> WriteError {
        WriteError { verb, what, source }
    }

    pub fn is_not_found(&self) -> bool {
        self.reason_is(kube::core::response::reason::NOT_FOUND)
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason_is(kube::core::response::reason::ALREADY_EXISTS)
    }

    /// What the server said, for events.
    pub fn detail(&self) -> String {
        match &self.source {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        }
    }

    fn reason_is(&self, reason: &str) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.reason == reason)
    }
}

/// One kind: cache, watch and writes.
pub struct Kind<K> {
    client: Client,
    watch_config: watcher::Config,
    pub cache: Cache<K>,
}

impl<K: Object> Kind<K> {
    pub fn new(client: Client) -> Arc<Kind<K>> {
        Kind::with(client, watcher::Config::default())
    }

    /// Only the objects that `watch_config` selects are cached.
    pub fn with(client: Client, watch_config: watcher::Config) -> Arc<Kind<K>> {
        Arc::new(Kind { client, watch_config, cache: Cache::default() })
    }

    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.cache.get(key)
    }

    pub fn resource() -> ApiResource {
        ApiResource::erase::<K>(&())
    }

    /// The object as the server has it now, past the cache.
    pub async fn fetch(&self, key: &Key) -> Result<Option<K>, WriteError> {
        self.api(key).get_opt(&key.name).await.map_err(|source| fail::<K>("read", key, source))
    }

    pub async fn create(&self, object: &K) -> Result<Arc<K>, WriteError> {
        let key = Key::of(object.meta());
        let shown = match &object.meta().generate_name {
            Some(prefix) if key.name.is_empty() => key.sibling(format!("{prefix}*")),
            _ => key.clone(),
        };
        let created = self.api(&key).create(&post(), object).await;
        Ok(self.remember(created.map_err(|source| fail::<K>("create", &shown, source))?))
    }

    /// Sends a JSON merge patch.
    pub async fn patch(&self, key: &Key, patch: Value) -> Result<Arc<K>, WriteError> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = self.api(key).patch(&key.name, &params, &Patch::Merge(patch)).await;
        patched.map(|object| self.remember(object)).map_err(|source| self.lost("update", key, source))
    }

    /// Sends a JSON merge patch through the status door, which moves no generation.
    pub async fn patch_status(&self, key: &Key, patch: Value) -> Result<Arc<K>, WriteError> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = self.api(key).patch_status(&key.name, &params, &Patch::Merge(patch)).await;
        patched
            .map(|object| self.remember(object))
            .map_err(|source| self.lost("update status of", key, source))
    }

    pub async fn replace(&self, object: &K) -> Result<Arc<K>, WriteError> {
        let key = Key::of(object.meta());
        let replaced = self.api(&key).replace(&key.name, &post(), object).await;
        replaced.map(|object| self.remember(object)).map_err(|source| self.lost("update", &key, source))
    }

    pub async fn replace_status(&self, object: &K) -> Result<Arc<K>, WriteError> {
        let key = Key::of(object.meta());
        let replaced = self.api(&key).replace_status(&key.name, &post(), object).await;
        replaced
            .map(|object| self.remember(object))
            .map_err(|source| self.lost("update status of", &key, source))
    }

    /// Deletes the object with this uid; one that is gone already is a success.
    pub async fn delete(&self, metadata: &ObjectMeta) -> Result<(), WriteError> {
        self.delete_with(metadata, None).await
    }

    /// As [`Kind::delete`], and says what becomes of dependents.
    pub async fn delete_with(
        &self,
        metadata: &ObjectMeta,
        propagation: Option<PropagationPolicy>,
    ) -> Result<(), WriteError> {
        let key = Key::of(metadata);
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: metadata.uid.clone(), resource_version: None }),
            propagation_policy: propagation,
            ..DeleteParams::default()
        };
        match self.api(&key).delete(&key.name, &params).await {
            Ok(answer) => {
                if let Some(object) =
                    answer.left().filter(|object| object.meta().deletion_timestamp.is_some())
                {
                    self.remember(object);
                }
                Ok(())
            }
            Err(source) => {
                let error = fail::<K>("delete", &key, source);
                if !error.is_not_found() {
                    return Err(error);
                }
                self.cache.remove(&key, metadata.uid.as_deref().unwrap_or_default());
                Ok(())
            }
        }
    }

    /// Keeps the cache fresh until `shutdown`.
    pub async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        let stream = watcher(K::api(self.client.clone(), ""), self.watch_config.clone());
        let this = self.clone();
        follow(&K::kind(&()), stream, shutdown, move |event| this.take(event)).await;
    }

    fn take(&self, event: watcher::Event<K>) {
        match event {
            watcher::Event::Init => self.cache.begin_listing(),
            watcher::Event::InitApply(object) => self.cache.listed(slim(object)),
            watcher::Event::InitDone => self.cache.end_listing(),
            watcher::Event::Apply(object) => self.cache.apply(slim(object)),
            watcher::Event::Delete(object) => {
                let uid = object.meta().uid.clone().unwrap_or_default();
                self.cache.remove(&Key::of(object.meta()), &uid);
            }
        }
    }

    fn api(&self, key: &Key) -> Api<K> {
        K::api(self.client.clone(), &key.namespace)
    }

    fn remember(&self, object: K) -> Arc<K> {
        self.cache.apply_written(slim(object))
    }

    /// An object the server does not know must not live on in the cache.
    fn lost(&self, verb: &'static str, key: &Key, source: kube::Error) -> WriteError {
        let error = fail::<K>(verb, key, source);
        if error.is_not_found()
            && let Some(object) = self.cache.get(key)
        {
            self.cache.remove(key, object.meta().uid.as_deref().unwrap_or_default());
        }
        error
    }
}

/// Hands every event of a watch to `take`, waiting longer after each failure in a row.
/// A kind that the server does not serve (yet) is asked for again at most every ten seconds.
pub async fn follow<K>(
    kind: &str,
    stream: impl futures::Stream<Item = watcher::Result<watcher::Event<K>>>,
    shutdown: CancellationToken,
    take: impl Fn(watcher::Event<K>),
) {
    let mut stream = std::pin::pin!(stream);
    let mut retry = FIRST_WATCH_RETRY;
    loop {
        let event = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            event = stream.next() => event,
        };
        match event {
            Some(Ok(event)) => {
                if !matches!(event, watcher::Event::Init) {
                    retry = FIRST_WATCH_RETRY;
                }
                take(event);
            }
            Some(Err(error)) => {
                tracing::debug!(kind, error = &error as &dyn std::error::Error, "watch interrupted");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(retry) => {}
                }
                retry = (retry * 2).min(LAST_WATCH_RETRY);
            }
            None => return,
        }
    }
}

fn slim<K: Meta>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

fn fail<K: Object>(verb: &'static str, key: &Key, source: kube::Error) -> WriteError {
    WriteError::new(verb, format!("{} `{key}`", K::kind(&())), source)
}
