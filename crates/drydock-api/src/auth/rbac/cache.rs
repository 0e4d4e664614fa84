//! The policy in memory, following the store.
//!
//! Each decision first takes in what has changed since the last one. The store hands events to watches before it
//! acknowledges a write, so a right that was just given or taken counts for the next request already, without a task
//! of its own and without reading the store.

use std::sync::{Arc, Mutex, PoisonError};

use drydock_store::{Event, Store, Watch};
use futures::{FutureExt as _, StreamExt as _};

use crate::auth::rbac::policy::{GROUP, Policy};
use crate::stored;

#[derive(Debug, Default)]
pub struct PolicyCache {
    followed: Mutex<Option<Followed>>,
}

#[derive(Debug)]
struct Followed {
    policy: Arc<Policy>,
    watch: Watch,
}

impl PolicyCache {
    /// The policy as the store holds it now.
    pub fn current(&self, store: &Store) -> Arc<Policy> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = followed.as_mut()
            && followed.catch_up()
        {
            return followed.policy.clone();
        }
        // The first time, or after falling behind.
        let anew = Followed::start(store);
        let policy = anew.as_ref().map(|anew| anew.policy.clone()).unwrap_or_default();
        *followed = anew;
        policy
    }
}

impl Followed {
    fn start(store: &Store) -> Option<Self> {
        let (page, watch) = store.list_and_watch(&format!("{GROUP}/")).ok()?;
        let mut policy = Policy::default();
        for item in &page.items {
            match stored::decode(&item.entry) {
                Ok(object) => policy.apply(&item.key, Some(&object.value)),
                Err(error) => tracing::error!(key = &*item.key, %error, "a role or binding is unreadable"),
            }
        }
        Some(Self { policy: Arc::new(policy), watch })
    }

    /// Takes in what waits; false when the watch has ended and all has to be read again.
    fn catch_up(&mut self) -> bool {
        while let Some(next) = self.watch.next().now_or_never() {
            match next {
                Some(Ok(event)) => self.take_in(&event),
                Some(Err(_)) | None => return false,
            }
        }
        true
    }

    fn take_in(&mut self, event: &Event) {
        let object =
            event.value.as_ref().map(|value| stored::decode_at(&value.plain(), event.revision)).transpose();
        match object {
            Ok(object) => {
                let policy = Arc::make_mut(&mut self.policy);
                policy.apply(&event.key, object.as_ref().map(|object| &object.value));
            }
            Err(error) => tracing::error!(key = &*event.key, %error, "a role or binding is unreadable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use drydock_store::{Expect, List, Txn};
    use serde_json::{Value, json};

    use super::*;

    fn read(store: &Store) -> Policy {
        let mut policy = Policy::default();
        let prefix = format!("{GROUP}/");
        for item in store.list(List { prefix: &prefix, ..List::default() }).unwrap().items {
            policy.apply(&item.key, Some(&stored::decode(&item.entry).unwrap().value));
        }
        policy
    }

    fn object(seed: u64, plural: &str) -> Value {
        let pick = |count: u64, shift: u32| (seed >> shift) % count;
        let kind = ["User", "Group", "ServiceAccount"][pick(3, 3) as usize];
        match plural.ends_with("roles") {
            true => json!({ "metadata": {}, "rules": [{
                "verbs": [format!("v{}", pick(3, 0))], "apiGroups": [""],
                "resources": [format!("r{}", pick(4, 3))],
            }] }),
            false => json!({
                "metadata": {}, "roleRef": { "kind": "ClusterRole", "name": format!("n{}", pick(4, 0)) },
                "subjects": [
                    { "kind": kind, "name": format!("s{}", pick(3, 6)) },
                    { "kind": "User", "name": format!("s{}", pick(3, 9)) },
                ],
            }),
        }
    }

    /// Any sequence of writes, with looks in between: the cache is what reading everything anew would give.
    #[tokio::test]
    async fn the_cache_equals_what_the_store_holds_after_any_writes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store.redb")).unwrap();
        let cache = PolicyCache::default();
        let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
        for round in 0..400 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let plural =
                ["clusterroles", "roles", "clusterrolebindings", "rolebindings"][(seed % 4) as usize];
            let namespace =
                if plural.starts_with("cluster") { "" } else { ["a", "b"][(seed >> 4) as usize % 2] };
            let key = format!("{GROUP}/{plural}/{namespace}/n{}", (seed >> 8) % 4);
            let txn = match (seed >> 12) % 4 {
                0 => Txn::new().delete(key, Expect::Anything),
                _ => Txn::new().put(key, object(seed >> 16, plural).to_string(), Expect::Anything),
            };
            store.write(txn).await.unwrap();
            if (seed >> 40).is_multiple_of(3) {
                assert_eq!(*cache.current(&store), read(&store), "round {round}");
            }
        }
        assert_eq!(*cache.current(&store), read(&store));
    }

    #[tokio::test]
    async fn a_cache_that_fell_behind_reads_all_anew() {
        let folder = tempfile::tempdir().unwrap();
        let options = drydock_store::Options { watch_queue: 2, ..Default::default() };
        let store = Store::open_with(folder.path().join("store.redb"), options).unwrap();
        let cache = PolicyCache::default();
        assert_eq!(*cache.current(&store), Policy::default());
        for number in 0..20 {
            let key = format!("{GROUP}/clusterroles//n{number}");
            let txn = Txn::new().put(key, object(number, "clusterroles").to_string(), Expect::Absent);
            store.write(txn).await.unwrap();
        }
        assert_eq!(*cache.current(&store), read(&store));
    }
}
