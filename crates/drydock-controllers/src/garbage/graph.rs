//! Every object's metadata that matters for ownership, by uid, with the edges between them.
//!
//! Also counts the objects of each namespace, which the namespace controller waits on.
//! Start at [`Graph::change`]. Wakes queues, never blocks.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use tokio::sync::watch;

use super::plan::{FOREGROUND, ORPHAN};
use super::sources::Served;
use crate::key::Key;
use crate::owner;
use crate::queue::Queue;

#[derive(Default)]
pub struct Graph {
    inner: Mutex<Inner>,
    collector: OnceLock<Arc<Queue>>,
    namespaces: OnceLock<Arc<Queue>>,
    synced: OnceLock<watch::Sender<bool>>,
}

#[derive(Default)]
struct Inner {
    nodes: HashMap<String, Arc<Node>>,
    /// Owner's uid to the uids that name it.
    dependents: HashMap<String, HashSet<String>>,
    per_namespace: HashMap<String, usize>,
    /// Namespaces being emptied: every change in them is of interest.
    doomed: HashSet<String>,
    served: Vec<Arc<Served>>,
}

#[derive(Clone, Debug, Default)]
pub struct Node {
    pub served: Arc<Served>,
    pub key: Key,
    pub uid: String,
    pub owners: Vec<OwnerReference>,
    pub deleting: bool,
    pub foreground: bool,
    pub orphan: bool,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.served.resource.kind, self.key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    pub uid: String,
    /// The owner's foreground deletion waits for it.
    pub blocks: bool,
    pub deleting: bool,
}

impl Graph {
    pub fn wake_collector_through(&self, queue: Arc<Queue>) {
        let _already_set = self.collector.set(queue);
    }

    pub fn wake_namespaces_through(&self, queue: Arc<Queue>) {
        let _already_set = self.namespaces.set(queue);
    }

    /// Turns true when every served kind has been listed once.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.sync_sender().subscribe()
    }

    pub fn mark_synced(&self) {
        self.sync_sender().send_replace(true);
    }

    fn sync_sender(&self) -> &watch::Sender<bool> {
        self.synced.get_or_init(|| watch::Sender::new(false))
    }

    pub fn node(&self, uid: &str) -> Option<Arc<Node>> {
        self.lock().nodes.get(uid).cloned()
    }

    pub fn dependents(&self, uid: &str) -> Vec<Dependent> {
        let inner = self.lock();
        let uids = inner.dependents.get(uid).into_iter().flatten();
        let nodes = uids.filter_map(|dependent| inner.nodes.get(dependent));
        let blocks = |node: &Node| {
            node.owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        nodes
            .map(|node| Dependent { uid: node.uid.clone(), blocks: blocks(node), deleting: node.deleting })
            .collect()
    }

    pub fn set_served(&self, served: Vec<Arc<Served>>) {
        self.lock().served = served;
    }

    pub fn served(&self) -> Vec<Arc<Served>> {
        self.lock().served.clone()
    }

    pub fn served_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Served>> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let inner = self.lock();
        inner.served.iter().find(|s| s.resource.group == group && s.resource.kind == kind).cloned()
    }

    /// Objects known in a namespace. From now on every change in it wakes the namespace.
    pub fn count_and_watch(&self, namespace: &str) -> usize {
        let mut inner = self.lock();
        inner.doomed.insert(namespace.to_owned());
        inner.per_namespace.get(namespace).copied().unwrap_or(0)
    }

    pub fn forget_namespace(&self, namespace: &str) {
        self.lock().doomed.remove(namespace);
    }

    /// Asks the collector to look at an object.
    pub fn wake(&self, uid: String) {
        if let Some(queue) = self.collector.get() {
            queue.add(Key::cluster(uid));
        }
    }

    /// Takes the metadata of an object before and after a change.
    pub fn change(&self, served: &Arc<Served>, old: Option<&ObjectMeta>, new: Option<&ObjectMeta>) {
        let mut awake = Vec::new();
        let mut doomed = Vec::new();
        {
            let mut inner = self.lock();
            if let Some(old) = old.filter(|old| new.is_none_or(|new| new.uid != old.uid)) {
                inner.remove(owner::uid(old), &mut awake, &mut doomed);
            }
            if let Some(new) = new {
                inner.insert(node_of(served, new), &mut awake, &mut doomed);
            }
        }
        awake.into_iter().for_each(|uid| self.wake(uid));
        if let Some(queue) = self.namespaces.get() {
            doomed.into_iter().for_each(|namespace| queue.add(Key::cluster(namespace)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, node: Node, awake: &mut Vec<String>, doomed: &mut Vec<String>) {
        let before = self.nodes.get(&node.uid).cloned();
        if before.is_none() {
            *self.per_namespace.entry(node.key.namespace.clone()).or_default() += 1;
            self.note_doomed(&node.key.namespace, doomed);
        }
        let owners_before = before.as_ref().map(|node| node.owners.clone()).unwrap_or_default();
        if owners_before != node.owners {
            self.unlink(&node.uid, &owners_before);
            for owner in &node.owners {
                self.dependents.entry(owner.uid.clone()).or_default().insert(node.uid.clone());
            }
            // A changed reference may have been all that a waiting owner waited for.
            awake.extend(owners_before.iter().map(|owner| owner.uid.clone()).filter(|uid| self.waits(uid)));
        }
        let unsettled =
            |owner: &OwnerReference| self.nodes.get(&owner.uid).is_none_or(|owner| owner.deleting);
        let ordered = node.deleting && (node.foreground || node.orphan);
        if ordered || node.owners.iter().any(unsettled) {
            awake.push(node.uid.clone());
        }
        if node.deleting {
            awake.extend(node.owners.iter().map(|owner| owner.uid.clone()).filter(|uid| self.waits(uid)));
        }
        self.nodes.insert(node.uid.clone(), Arc::new(node));
    }

    fn remove(&mut self, uid: &str, awake: &mut Vec<String>, doomed: &mut Vec<String>) {
        let Some(node) = self.nodes.remove(uid) else { return };
        self.unlink(uid, &node.owners);
        if let Some(count) = self.per_namespace.get_mut(&node.key.namespace) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_namespace.remove(&node.key.namespace);
            }
        }
        self.note_doomed(&node.key.namespace, doomed);
        awake.extend(self.dependents.get(uid).into_iter().flatten().cloned());
        awake.extend(node.owners.iter().map(|owner| owner.uid.clone()).filter(|owner| self.waits(owner)));
    }

    fn unlink(&mut self, uid: &str, owners: &[OwnerReference]) {
        for owner in owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    fn waits(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(|node| node.deleting && (node.foreground || node.orphan))
    }

    fn note_doomed(&self, namespace: &str, doomed: &mut Vec<String>) {
        if self.doomed.contains(namespace) {
            doomed.push(namespace.to_owned());
        }
    }
}

fn node_of(served: &Arc<Served>, metadata: &ObjectMeta) -> Node {
    let has = |finalizer: &str| metadata.finalizers.iter().flatten().any(|has| has == finalizer);
    Node {
        served: served.clone(),
        key: Key::of(metadata),
        uid: owner::uid(metadata).to_owned(),
        owners: metadata.owner_references.clone().unwrap_or_default(),
        deleting: owner::is_deleting(metadata),
        foreground: has(FOREGROUND),
        orphan: has(ORPHAN),
    }
}
