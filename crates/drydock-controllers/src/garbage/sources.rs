//! Feeds the graph: from the shared caches where a kind has one, else from a watch of metadata.
//!
//! The served kinds come from discovery, again whenever a custom kind appears or goes.
//! Start at [`connect`] (before the watches start) and [`discover`] (a task).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::watcher;
use kube::{Client, Resource};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::graph::Graph;
use crate::cache::{Cache, Meta};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::follow;

const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// Kinds that come in floods and never own or are owned.
const IGNORED: [&str; 1] = ["events"];
const CUSTOM_KINDS: &str = "customresourcedefinitions";

/// A kind as the server serves it.
#[derive(Clone, Debug)]
pub struct Served {
    pub resource: ApiResource,
    pub namespaced: bool,
    pub deletes_collections: bool,
}

impl Default for Served {
    fn default() -> Self {
        let resource = ApiResource {
            group: String::new(),
            version: String::new(),
            api_version: String::new(),
            kind: String::new(),
            plural: String::new(),
        };
        Served { resource, namespaced: false, deletes_collections: false }
    }
}

impl Served {
    pub fn api(&self, client: Client, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() {
            return Api::all_with(client, &self.resource);
        }
        Api::namespaced_with(client, namespace, &self.resource)
    }

    fn id(&self) -> (String, String) {
        (self.resource.group.clone(), self.resource.plural.clone())
    }
}

/// Subscribes the graph to the shared caches.
pub fn connect(cx: &Cx) {
    for kind in cx.kinds.complete() {
        let served = Arc::new(Served { resource: kind.resource(), ..Served::default() });
        let graph = cx.graph.clone();
        kind.on_metadata(Box::new(move |old, new| graph.change(&served, old, new)));
    }
}

/// Learns the served kinds and watches those without a shared cache, until `shutdown`.
pub async fn discover(cx: Arc<Cx>, shutdown: CancellationToken) {
    let changed = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    let mut watches: HashMap<(String, String), Watched> = HashMap::new();
    let mut retry = FIRST_RETRY;
    loop {
        let pause = match served_kinds(&cx.client).await {
            Ok(served) => {
                follow_kinds(&cx, &served, &mut watches, &mut tasks, &shutdown, &changed);
                cx.graph.set_served(served);
                retry = FIRST_RETRY;
                None
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot discover kinds yet");
                retry = (retry * 2).min(LAST_RETRY);
                Some(retry)
            }
        };
        if pause.is_none() && !*cx.graph.synced().borrow() {
            tasks.spawn(mark_synced(
                cx.clone(),
                watches.values().map(|watched| watched.synced.clone()).collect(),
            ));
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = changed.notified() => {}
            () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {}
        }
    }
    tasks.shutdown().await;
}

struct Watched {
    version: String,
    stop: CancellationToken,
    synced: watch::Receiver<bool>,
}

async fn served_kinds(client: &Client) -> kube::Result<Vec<Arc<Served>>> {
    let discovery = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        Err(_) => Discovery::new(client.clone()).run().await?,
    };
    let resources = discovery.groups().flat_map(|group| group.recommended_resources());
    let wanted = resources.filter(|(resource, can)| {
        let can = |verb| can.supports_operation(verb);
        can(verbs::LIST) && can(verbs::WATCH) && can(verbs::DELETE) && !resource.plural.contains('/')
    });
    let served = wanted.map(|(resource, can)| {
        Arc::new(Served {
            resource,
            namespaced: can.scope == Scope::Namespaced,
            deletes_collections: can.supports_operation(verbs::DELETE_COLLECTION),
        })
    });
    Ok(served.collect())
}

fn follow_kinds(
    cx: &Arc<Cx>,
    served: &[Arc<Served>],
    watches: &mut HashMap<(String, String), Watched>,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
    changed: &Arc<Notify>,
) {
    watches.retain(|id, watched| {
        let stays = served.iter().any(|s| s.id() == *id && s.resource.version == watched.version);
        if !stays {
            watched.stop.cancel();
        }
        stays
    });
    let cached: Vec<ApiResource> = cx.kinds.complete().iter().map(|kind| kind.resource()).collect();
    for kind in served {
        let is_cached =
            cached.iter().any(|r| r.group == kind.resource.group && r.plural == kind.resource.plural);
        if is_cached || IGNORED.contains(&kind.resource.plural.as_str()) || watches.contains_key(&kind.id()) {
            continue;
        }
        let stop = shutdown.child_token();
        let cache = metadata_cache(&cx.graph, kind, changed);
        let synced = cache.synced();
        let version = kind.resource.version.clone();
        watches.insert(kind.id(), Watched { version, stop: stop.clone(), synced });
        tasks.spawn(watch_metadata(cx.client.clone(), kind.clone(), cache, stop));
    }
}

fn metadata_cache(
    graph: &Arc<Graph>,
    served: &Arc<Served>,
    changed: &Arc<Notify>,
) -> Arc<Cache<PartialObjectMeta<DynamicObject>>> {
    let cache = Arc::new(Cache::<PartialObjectMeta<DynamicObject>>::default());
    let (graph, served, changed) = (graph.clone(), served.clone(), changed.clone());
    cache.subscribe(move |old, new| {
        if served.resource.plural == CUSTOM_KINDS {
            changed.notify_one();
        }
        graph.change(&served, old.map(|old| Meta::meta(&**old)), new.map(|new| Meta::meta(&**new)));
    });
    cache
}

async fn watch_metadata(
    client: Client,
    served: Arc<Served>,
    cache: Arc<Cache<PartialObjectMeta<DynamicObject>>>,
    stop: CancellationToken,
) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &served.resource);
    let stream = watcher(api, watcher::Config::default());
    let kept = cache.clone();
    follow(&served.resource.kind, stream, stop, move |event| match event {
        watcher::Event::Init => kept.begin_listing(),
        watcher::Event::InitApply(object) => kept.listed(slim(object)),
        watcher::Event::InitDone => kept.end_listing(),
        watcher::Event::Apply(object) => kept.apply(slim(object)),
        watcher::Event::Delete(object) => {
            let uid = object.metadata.uid.clone().unwrap_or_default();
            kept.remove(&Key::of(Resource::meta(&object)), &uid);
        }
    })
    .await;
    // A kind that is no longer served takes its objects with it.
    cache.begin_listing();
    cache.end_listing();
}

/// Ownership needs no labels and no annotations.
fn slim(mut object: PartialObjectMeta<DynamicObject>) -> PartialObjectMeta<DynamicObject> {
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    object.metadata.labels = None;
    object
}

async fn mark_synced(cx: Arc<Cx>, watched: Vec<watch::Receiver<bool>>) {
    for synced in watched {
        wait_synced(synced).await;
    }
    let served = cx.graph.served();
    for kind in cx.kinds.complete() {
        let resource = kind.resource();
        let is_served =
            served.iter().any(|s| s.resource.group == resource.group && s.resource.plural == resource.plural);
        if is_served {
            wait_synced(kind.synced()).await;
        }
    }
    cx.graph.mark_synced();
}

async fn wait_synced(mut synced: watch::Receiver<bool>) {
    if synced.wait_for(|synced| *synced).await.is_err() {
        tracing::debug!("a watch was stopped before its first listing");
    }
}
