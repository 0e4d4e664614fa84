//! The objects of one kind as this process last saw them, shared by every controller.
//!
//! Fed from two sides: the watch, and the answers to our own writes, so a controller always reads
//! what it has written and never creates the same pod twice. A resource version never goes
//! backwards, and an object whose deletion was seen never comes back.
//!
//! Start at [`Cache::apply`]; listeners are told after every real change, outside the lock.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::watch;

use crate::key::Key;

/// Deletions remembered, so that a late answer to a write cannot bring an object back.
const TOMBSTONES: usize = 4096;

/// What the cache needs of an object.
pub trait Meta {
    fn meta(&self) -> &ObjectMeta;
    fn meta_mut(&mut self) -> &mut ObjectMeta;
}

impl<K: kube::Resource> Meta for K {
    fn meta(&self) -> &ObjectMeta {
        kube::Resource::meta(self)
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        kube::Resource::meta_mut(self)
    }
}

type Listener<K> = Arc<dyn Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync>;

pub struct Cache<K> {
    inner: Mutex<Inner<K>>,
    listeners: Mutex<Vec<Listener<K>>>,
    synced: watch::Sender<bool>,
}

struct Inner<K> {
    objects: BTreeMap<Key, Entry<K>>,
    buried: HashSet<String>,
    burial_order: VecDeque<String>,
    /// The objects of a listing under way, swapped in when it is complete.
    listing: Option<Vec<K>>,
}

struct Entry<K> {
    object: Arc<K>,
    /// Written by us after the current listing began: the listing may not know it yet.
    ahead_of_listing: bool,
}

struct Change<K> {
    old: Option<Arc<K>>,
    new: Option<Arc<K>>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        let inner = Inner {
            objects: BTreeMap::new(),
            buried: HashSet::new(),
            burial_order: VecDeque::new(),
            listing: None,
        };
        Cache {
            inner: Mutex::new(inner),
            listeners: Mutex::new(Vec::new()),
            synced: watch::Sender::new(false),
        }
    }
}

impl<K: Meta> Cache<K> {
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.lock().objects.get(key).map(|entry| entry.object.clone())
    }

    /// Every object of `namespace`, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let inner = self.lock();
        let from = Key::new(namespace, "");
        let of_namespace = inner.objects.range(from..).take_while(|(key, _)| key.namespace == namespace);
        of_namespace.map(|(_, entry)| entry.object.clone()).collect()
    }

    pub fn all(&self) -> Vec<Arc<K>> {
        self.lock().objects.values().map(|entry| entry.object.clone()).collect()
    }

    /// Calls `listener` with the old and the new object after each change. Must not block.
    pub fn subscribe(&self, listener: impl Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync + 'static) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    /// Turns true once the first listing is complete.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    /// Takes an object from the watch.
    pub fn apply(&self, object: K) {
        let change = self.lock().upsert(object, false);
        self.tell(change);
    }

    /// Takes the server's answer to our own write.
    pub fn apply_written(&self, object: K) -> Arc<K> {
        let object = Arc::new(object);
        // Without comparable versions the order is unknown: leave it to the watch.
        if version(object.meta()).is_some() {
            let change = self.lock().upsert_arc(object.clone(), true);
            self.tell(change);
        }
        object
    }

    /// Changes the cached object to what the server has acknowledged without returning it.
    /// The next watch event overrides it.
    pub fn amend(&self, key: &Key, uid: &str, amend: impl FnOnce(&mut K))
    where
        K: Clone,
    {
        let change = {
            let mut inner = self.lock();
            let Some(entry) = inner.objects.get_mut(key) else { return };
            if entry.object.meta().uid.as_deref() != Some(uid) {
                return;
            }
            let old = entry.object.clone();
            let mut new = (*old).clone();
            amend(&mut new);
            entry.object = Arc::new(new);
            Some(Change { new: Some(entry.object.clone()), old: Some(old) })
        };
        self.tell(change);
    }

    /// Takes a deletion: from the watch, or because the server says the object is gone.
    pub fn remove(&self, key: &Key, uid: &str) {
        let change = self.lock().remove(key, uid);
        self.tell(change);
    }

    pub fn begin_listing(&self) {
        let mut inner = self.lock();
        inner.listing = Some(Vec::new());
        inner.objects.values_mut().for_each(|entry| entry.ahead_of_listing = false);
    }

    pub fn listed(&self, object: K) {
        if let Some(listing) = self.lock().listing.as_mut() {
            listing.push(object);
        }
    }

    /// Ends a listing: what it does not name is gone.
    pub fn end_listing(&self) {
        let changes = self.lock().adopt_listing();
        changes.into_iter().for_each(|change| self.tell(Some(change)));
        self.synced.send_replace(true);
    }

    fn tell(&self, change: Option<Change<K>>) {
        let Some(change) = change else { return };
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        listeners.iter().for_each(|listener| listener(change.old.as_ref(), change.new.as_ref()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Meta> Inner<K> {
    fn upsert(&mut self, object: K, written: bool) -> Option<Change<K>> {
        self.upsert_arc(Arc::new(object), written)
    }

    fn upsert_arc(&mut self, object: Arc<K>, written: bool) -> Option<Change<K>> {
        let meta = object.meta();
        if meta.uid.as_ref().is_some_and(|uid| self.buried.contains(uid)) {
            return None;
        }
        let key = Key::of(meta);
        let old = self.objects.get(&key).map(|entry| entry.object.clone());
        if old.as_ref().is_some_and(|old| !is_newer(meta, old.meta())) {
            return None;
        }
        self.objects.insert(key, Entry { object: object.clone(), ahead_of_listing: written });
        Some(Change { old, new: Some(object) })
    }

    fn remove(&mut self, key: &Key, uid: &str) -> Option<Change<K>> {
        self.bury(uid);
        let entry = self.objects.get(key)?;
        if entry.object.meta().uid.as_deref() != Some(uid) {
            return None;
        }
        let old = self.objects.remove(key)?.object;
        Some(Change { old: Some(old), new: None })
    }

    fn bury(&mut self, uid: &str) {
        if self.buried.insert(uid.to_owned()) {
            self.burial_order.push_back(uid.to_owned());
        }
        if self.burial_order.len() > TOMBSTONES
            && let Some(oldest) = self.burial_order.pop_front()
        {
            self.buried.remove(&oldest);
        }
    }

    fn adopt_listing(&mut self) -> Vec<Change<K>> {
        let Some(listing) = self.listing.take() else { return Vec::new() };
        let listed: HashSet<Key> = listing.iter().map(|object| Key::of(object.meta())).collect();
        let missing = |(key, entry): (&Key, &Entry<K>)| {
            let gone = !entry.ahead_of_listing && !listed.contains(key);
            gone.then(|| (key.clone(), entry.object.meta().uid.clone().unwrap_or_default()))
        };
        let gone: Vec<(Key, String)> = self.objects.iter().filter_map(missing).collect();
        let mut changes: Vec<Change<K>> =
            gone.into_iter().filter_map(|(key, uid)| self.remove(&key, &uid)).collect();
        changes.extend(listing.into_iter().filter_map(|object| self.upsert(object, false)));
        changes
    }
}

fn version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

/// Versions are comparable as numbers (Kubernetes guarantees it since 1.35).
fn is_newer(new: &ObjectMeta, old: &ObjectMeta) -> bool {
    match (version(new), version(old)) {
        (Some(new), Some(old)) => new > old,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(name: &str, uid: &str, version: u64) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some("ns".into()),
            uid: Some(uid.into()),
            resource_version: Some(version.to_string()),
            ..Default::default()
        };
        ConfigMap { metadata, ..Default::default() }
    }

    #[track_caller]
    fn check(steps: impl FnOnce(&Cache<ConfigMap>), expect: &str) {
        let cache = Cache::default();
        steps(&cache);
        let seen: Vec<String> = cache
            .all()
            .iter()
            .map(|o| {
                format!(
                    "{}@{}",
                    o.metadata.uid.clone().unwrap(),
                    o.metadata.resource_version.clone().unwrap()
                )
            })
            .collect();
        assert_eq!(seen.join(" "), expect);
    }

    #[test]
    fn an_older_watch_event_does_not_undo_our_own_write() {
        check(
            |cache| {
                cache.apply_written(object("a", "u1", 7));
                cache.apply(object("a", "u1", 5));
            },
            "u1@7",
        );
    }

    #[test]
    fn a_late_answer_does_not_bring_a_deleted_object_back() {
        check(
            |cache| {
                cache.apply(object("a", "u1", 5));
                cache.remove(&Key::new("ns", "a"), "u1");
                cache.apply_written(object("a", "u1", 4));
            },
            "",
        );
    }

    #[test]
    fn deleting_a_former_object_leaves_its_namesake() {
        check(
            |cache| {
                cache.apply(object("a", "u2", 9));
                cache.remove(&Key::new("ns", "a"), "u1");
            },
            "u2@9",
        );
    }

    #[test]
    fn a_new_listing_drops_what_it_does_not_name_but_keeps_what_was_written_meanwhile() {
        check(
            |cache| {
                cache.apply(object("a", "u1", 1));
                cache.apply(object("b", "u2", 2));
                cache.begin_listing();
                cache.apply_written(object("c", "u3", 9));
                cache.listed(object("b", "u2", 2));
                cache.end_listing();
            },
            "u2@2 u3@9",
        );
    }
}
