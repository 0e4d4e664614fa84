//! Waits until the objects of a release are ready, and knows at any moment what it is waiting for.
//!
//! Event-driven: watches the kinds that can be unready, and pods for their reasons. It ends early when nothing can
//! become ready any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::stream::{SelectAll, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, Preconditions};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::apply::Applier;
use crate::current::current_pods;
use crate::diagnose::{Evidence, Trouble, evidence, trouble};
use crate::error::{Error, Result};
use crate::manifest::Object;
use crate::progress::{Progress, Tell};
use crate::ready::{Readiness, Rules};
use crate::settle::{stuck, unsettled};

/// Watches may break and come back; this is how long a broken one may keep us from looking at the clock.
const TICK: Duration = Duration::from_millis(500);

/// An object that is not ready, and everything known about why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// `Deployment/backend`.
    pub object: String,
    /// The template it came from, with its line where that is known: `todo/templates/web.yaml:3`.
    pub place: String,
    pub why: String,
    /// The pod that tells most, and what is wrong with it.
    pub pod: Option<String>,
    pub last_event: Option<String>,
    pub last_log_lines: Vec<String>,
}

impl NotReady {
    pub(crate) fn plain(object: &Object, why: String) -> Self {
        Self {
            object: object.title(),
            place: object.place(),
            why,
            pod: None,
            last_event: None,
            last_log_lines: Vec::new(),
        }
    }
}

impl std::fmt::Display for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.object, self.place, self.why)?;
        if let Some(pod) = &self.pod {
            write!(f, "\n      pod {pod}")?;
        }
        if let Some(event) = &self.last_event {
            write!(f, "\n      event {event}")?;
        }
        for line in &self.last_log_lines {
            write!(f, "\n      log | {line}")?;
        }
        Ok(())
    }
}

/// What the watches have shown so far.
struct View<'a> {
    wanted: Vec<&'a Object>,
    rules: Rules,
    /// The release's namespace, where objects are that name none.
    namespace: String,
    /// By kind, namespace and name.
    seen: BTreeMap<(String, String, String), Value>,
    /// By namespace and name, like the pods.
    replica_sets: BTreeMap<(String, String), ReplicaSet>,
    pods: BTreeMap<(String, String), Pod>,
}

enum Change {
    Seen(Box<Value>),
    Gone(String, String, String),
    ReplicaSet(Box<ReplicaSet>),
    ReplicaSetGone(String, String),
    Pod(Box<Pod>),
    PodGone(String, String),
}

/// Waits at most `timeout` until all of `objects` are ready.
pub(crate) async fn wait(
    applier: &Applier,
    objects: &[Object],
    rules: Rules,
    timeout: Duration,
    progress: Tell<'_>,
) -> Result<()> {
    let is_waited_for = |object: &&Object| !object.name().is_empty() && rules.judges(&object.value);
    let wanted: Vec<&Object> = objects.iter().filter(is_waited_for).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let (client, namespace) = (&applier.client, applier.namespace.as_str());
    let mut changes = watch(client, applier, namespace, &wanted).await?;
    let mut view = View {
        wanted,
        rules,
        namespace: namespace.to_owned(),
        seen: BTreeMap::new(),
        replica_sets: BTreeMap::new(),
        pods: BTreeMap::new(),
    };
    let (begun, mut told, mut ready) = (Instant::now(), Vec::new(), Vec::<String>::new());
    let mut freed = BTreeSet::new();
    loop {
        if let Ok(Some(change)) = tokio::time::timeout(TICK, changes.next()).await {
            view.take(change);
        }
        view.free_stuck(client, &mut freed).await;
        let pending = view.pending();
        for object in view.wanted.iter().map(|object| object.title()) {
            if !ready.contains(&object) && !pending.iter().any(|(waiting, _)| waiting.title() == object) {
                progress(Progress::Ready { object: object.clone() });
                ready.push(object);
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        let now_told: Vec<(String, String)> =
            pending.iter().map(|(object, state)| (object.title(), view.told(object, state))).collect();
        if now_told != told {
            progress(Progress::Waiting { objects: now_told.clone() });
            told = now_told;
        }
        let gave_up = view.is_hopeless(&pending);
        if gave_up || begun.elapsed() > timeout {
            let objects = view.explain(client, &pending).await;
            return Err(Error::NotReady { objects, waited_s: begun.elapsed().as_secs(), gave_up });
        }
    }
}

type Changes = SelectAll<futures::stream::BoxStream<'static, Change>>;

async fn watch(client: &Client, applier: &Applier, namespace: &str, wanted: &[&Object]) -> Result<Changes> {
    let mut changes = SelectAll::new();
    let mut watched: Vec<(&str, &str)> = Vec::new();
    for object in wanted {
        let (resource, is_namespaced) = applier.resource(object).await?;
        let of = (object.kind(), if is_namespaced { object.namespace().unwrap_or(namespace) } else { "" });
        if watched.contains(&of) {
            continue;
        }
        watched.push(of);
        let api = applier.api(object).await?;
        let (api_version, kind) = (resource.api_version.clone(), resource.kind.clone());
        let stream = watcher::watcher(api, watcher::Config::default()).filter_map(move |event| {
            let change = object_change(event, &api_version, &kind);
            async move { change }
        });
        changes.push(stream.boxed());
    }
    let has_pods = |kind: &str| {
        matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "Pod")
    };
    let with_pods = watched.iter().filter(|(kind, _)| has_pods(kind));
    let mut namespaces: Vec<&str> = with_pods.map(|(_, namespace)| *namespace).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let pods = watcher::watcher(pods, watcher::Config::default());
        changes.push(pods.filter_map(|event| async move { pod_change(event) }).boxed());
        if watched.contains(&("Deployment", namespace)) {
            let sets = Api::<ReplicaSet>::namespaced(client.clone(), namespace);
            let sets = watcher::watcher(sets, watcher::Config::default());
            changes.push(sets.filter_map(|event| async move { replica_set_change(event) }).boxed());
        }
    }
    Ok(changes)
}

fn place(object: &impl ResourceExt) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn object_change(
    event: watcher::Result<Event<DynamicObject>>,
    api_version: &str,
    kind: &str,
) -> Option<Change> {
    match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            let mut value = serde_json::to_value(object).ok()?;
            // Lists do not repeat the kind of their items.
            value["apiVersion"] = api_version.into();
            value["kind"] = kind.into();
            Some(Change::Seen(Box::new(value)))
        }
        Ok(Event::Delete(object)) => {
            let (namespace, name) = place(&object);
            Some(Change::Gone(kind.to_owned(), namespace, name))
        }
        Ok(Event::Init | Event::InitDone) => None,
        Err(error) => {
            tracing::debug!(%error, kind, "the watch broke and is made again");
            None
        }
    }
}

fn pod_change(event: watcher::Result<Event<Pod>>) -> Option<Change> {
    match event {
        Ok(Event::Apply(pod) | Event::InitApply(pod)) => Some(Change::Pod(Box::new(pod))),
        Ok(Event::Delete(pod)) => {
            let (namespace, name) = place(&pod);
            Some(Change::PodGone(namespace, name))
        }
        Ok(Event::Init | Event::InitDone) | Err(_) => None,
    }
}

fn replica_set_change(event: watcher::Result<Event<ReplicaSet>>) -> Option<Change> {
    match event {
        Ok(Event::Apply(set) | Event::InitApply(set)) => Some(Change::ReplicaSet(Box::new(set))),
        Ok(Event::Delete(set)) => {
            let (namespace, name) = place(&set);
            Some(Change::ReplicaSetGone(namespace, name))
        }
        Ok(Event::Init | Event::InitDone) | Err(_) => None,
    }
}

impl View<'_> {
    fn take(&mut self, change: Change) {
        match change {
            Change::Seen(value) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let metadata = &value["metadata"];
                let key = (text(&value["kind"]), text(&metadata["namespace"]), text(&metadata["name"]));
                self.seen.insert(key, *value);
            }
            Change::Gone(kind, namespace, name) => drop(self.seen.remove(&(kind, namespace, name))),
            Change::ReplicaSet(set) => drop(self.replica_sets.insert(place(&*set), *set)),
            Change::ReplicaSetGone(namespace, name) => drop(self.replica_sets.remove(&(namespace, name))),
            Change::Pod(pod) => drop(self.pods.insert(place(&*pod), *pod)),
            Change::PodGone(namespace, name) => drop(self.pods.remove(&(namespace, name))),
        }
    }

    fn namespace_of<'o>(&'o self, object: &'o Object) -> &'o str {
        object.namespace().unwrap_or(&self.namespace)
    }

    fn shown(&self, object: &Object) -> Option<&Value> {
        let key =
            |namespace: &str| (object.kind().to_owned(), namespace.to_owned(), object.name().to_owned());
        // Kinds without namespaces are seen without one, whatever the manifest says.
        self.seen.get(&key(self.namespace_of(object))).or_else(|| self.seen.get(&key("")))
    }

    fn pending(&self) -> Vec<(&Object, Readiness)> {
        let judged = self.wanted.iter().map(|object| (*object, self.judge(object)));
        judged.filter(|(_, readiness)| *readiness != Readiness::Ready).collect()
    }

    fn judge(&self, object: &Object) -> Readiness {
        let Some(value) = self.shown(object) else { return Readiness::Waiting("not seen yet".into()) };
        match (self.rules.readiness(value), object.kind()) {
            (Readiness::Ready, "Deployment" | "StatefulSet" | "DaemonSet") if !self.rules.legacy => {
                let unsettled = unsettled(&self.pods_of(object, value), Timestamp::now());
                unsettled.map_or(Readiness::Ready, Readiness::Waiting)
            }
            (judged, _) => judged,
        }
    }

    /// The pods of the revision that is being rolled out.
    fn pods_of(&self, object: &Object, shown: &Value) -> Vec<&Pod> {
        let namespace = self.namespace_of(object);
        let here = |place: &(String, String)| place.0 == namespace;
        let sets: Vec<&ReplicaSet> =
            self.replica_sets.iter().filter(|(place, _)| here(place)).map(|(_, set)| set).collect();
        let pods: Vec<&Pod> = self.pods.iter().filter(|(place, _)| here(place)).map(|(_, pod)| pod).collect();
        current_pods(shown, &sets, &pods)
    }

    /// Deletes what keeps a StatefulSet from moving on, each pod once. One that cannot be deleted is waited for.
    async fn free_stuck(&self, client: &Client, freed: &mut BTreeSet<String>) {
        let pods: Vec<&Pod> = self.pods.values().collect();
        for shown in self.wanted.iter().filter_map(|object| self.shown(object)) {
            for pod in stuck(shown, &pods) {
                if !freed.insert(pod.uid().unwrap_or_default()) {
                    continue;
                }
                let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
                let params = DeleteParams::default()
                    .preconditions(Preconditions { uid: pod.uid(), ..Default::default() });
                if let Err(error) = api.delete(&pod.name_any(), &params).await {
                    tracing::debug!(%error, pod = pod.name_any(), "the broken pod was not deleted");
                }
            }
        }
    }

    fn told(&self, object: &Object, state: &Readiness) -> String {
        let (Readiness::Waiting(why) | Readiness::Failed(why)) = state else { return String::new() };
        match self.trouble(object, false) {
            Some(trouble) => format!("{why}; {}", trouble.why),
            None => why.clone(),
        }
    }

    /// The worst trouble among the pods of the revision that is being rolled out.
    fn trouble(&self, object: &Object, alone: bool) -> Option<Trouble> {
        trouble(self.pods_of(object, self.shown(object)?), alone, Timestamp::now())
    }

    /// True when something has failed for good.
    fn is_hopeless(&self, pending: &[(&Object, Readiness)]) -> bool {
        let alone = pending.len() == 1;
        pending.iter().any(|(object, state)| {
            matches!(state, Readiness::Failed(_))
                || self.trouble(object, alone).is_some_and(|trouble| trouble.is_hopeless)
        })
    }

    async fn explain(&self, client: &Client, pending: &[(&Object, Readiness)]) -> Vec<NotReady> {
        let mut told = Vec::new();
        for (object, state) in pending {
            let trouble = self.trouble(object, false);
            let evidence = match &trouble {
                Some(trouble) => evidence(client, self.namespace_of(object), trouble).await,
                None => Evidence::default(),
            };
            told.push(NotReady {
                object: object.title(),
                place: object.place(),
                why: self.told(object, state),
                pod: trouble.map(|trouble| trouble.pod),
                last_event: evidence.event,
                last_log_lines: evidence.log,
            });
        }
        told
    }
}
