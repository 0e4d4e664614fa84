//! A local copy of every object of one kind, for readers that must answer at once.
//!
//! A [`Mirror`] follows the API with a watch; a reader takes [`Mirror::all`] and waits on
//! [`Mirror::changed`]. The copy may lag behind an acknowledged write by the time of one watch event;
//! whoever must not be late reads the API itself.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed watch. The API is in the same process, so it is either there or about to be.
const RETRY: Duration = Duration::from_millis(250);

type Objects<K> = HashMap<(String, String), Arc<K>>;

/// The objects of kind `K` as last seen. Cheap to clone.
pub struct Mirror<K> {
    objects: Arc<RwLock<Objects<K>>>,
    /// Counts changes; 0 until the first complete list.
    version: watch::Receiver<u64>,
}

impl<K> Clone for Mirror<K> {
    fn clone(&self) -> Self {
        Mirror { objects: self.objects.clone(), version: self.version.clone() }
    }
}

impl<K> Mirror<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    /// Starts to follow `api` on `tasks` until `stop`.
    pub fn start(
        api: Api<K>,
        config: watcher::Config,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let objects = Arc::new(RwLock::new(HashMap::new()));
        let (sender, version) = watch::channel(0);
        let follower = Follower { objects: objects.clone(), fresh: HashMap::new(), version: sender };
        let stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follower.run(api, config) => {}
            }
        });
        Mirror { objects, version }
    }

    pub fn all(&self) -> Vec<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Waits until the copy is not what it was at the last call. `false`: it will never change again.
    pub async fn changed(&mut self) -> bool {
        self.version.changed().await.is_ok()
    }

    /// Waits until the first complete list has arrived. `false`: it never will.
    pub async fn synced(&mut self) -> bool {
        self.version.wait_for(|version| *version > 0).await.is_ok()
    }

    /// Whether the first complete list has arrived.
    pub fn is_synced(&self) -> bool {
        *self.version.borrow() > 0
    }
}

struct Follower<K> {
    objects: Arc<RwLock<Objects<K>>>,
    /// What a restarted list has brought so far; becomes visible when complete.
    fresh: Objects<K>,
    version: watch::Sender<u64>,
}

impl<K> Follower<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    async fn run(mut self, api: Api<K>, config: watcher::Config) {
        let mut events = std::pin::pin!(watcher::watcher(api, config));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event),
                Err(error) => {
                    tracing::debug!(kind = std::any::type_name::<K>(), %error, "watch failed, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn take(&mut self, event: Event<K>) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => return self.fresh.clear(),
            Event::InitApply(object) => {
                self.fresh.insert(key(&object), Arc::new(object));
                return;
            }
            Event::InitDone => *objects = std::mem::take(&mut self.fresh),
            Event::Apply(object) => {
                objects.insert(key(&object), Arc::new(object));
            }
            Event::Delete(object) => {
                objects.remove(&key(&object));
            }
        }
        drop(objects);
        self.version.send_modify(|version| *version += 1);
    }
}

fn key<K: Resource>(object: &K) -> (String, String) {
    (object.meta().namespace.clone().unwrap_or_default(), object.name_any())
}
