//! What wakes a controller: each kind it follows, named once.
//!
//! Every method connects a kind's cache with the controller's queue and makes the cache one that must be full before
//! the first pass. Listeners hold the context weakly, since the context holds the caches that hold them.
//!
//! Start at [`Watches::own`].

use std::sync::Arc;

use tokio::sync::watch;

use crate::cache::Meta;
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::{Kind, Object};
use crate::owner;
use crate::queue::Queue;

/// Turns true once a cache has been filled.
pub type Synced = watch::Receiver<bool>;

/// An object before and after a change; one of them may be absent.
pub type Before<'a, K> = Option<&'a Arc<K>>;
pub type After<'a, K> = Option<&'a Arc<K>>;

pub struct Watches<'a> {
    pub cx: &'a Arc<Cx>,
    pub queue: &'a Arc<Queue>,
    needs: Vec<Synced>,
}

impl<'a> Watches<'a> {
    pub fn new(cx: &'a Arc<Cx>, queue: &'a Arc<Queue>) -> Watches<'a> {
        Watches { cx, queue, needs: Vec::new() }
    }

    /// The kind whose keys the controller works on: every change wakes the object itself.
    pub fn own<K: Object>(&mut self, kind: &Kind<K>) {
        let queue = self.queue.clone();
        kind.cache.subscribe(move |old, new| {
            if let Some(object) = new.or(old) {
                queue.add(Key::of(Meta::meta(&**object)));
            }
        });
        self.need(kind.cache.synced());
    }

    /// A kind whose objects wake their managing owner of kind `owner`.
    pub fn owned_by<K: Object>(&mut self, owner: &'static str, kind: &Kind<K>) {
        let queue = self.queue.clone();
        kind.cache.subscribe(move |old, new| owner::wake_owner(&queue, owner, old, new));
        self.need(kind.cache.synced());
    }

    /// A kind whose changes `wake` looks at. Must not block.
    pub fn on<K: Object>(
        &mut self,
        kind: &Kind<K>,
        wake: impl Fn(&Cx, &Queue, Before<'_, K>, After<'_, K>) + Send + Sync + 'static,
    ) {
        let (queue, cx) = (self.queue.clone(), Arc::downgrade(self.cx));
        kind.cache.subscribe(move |old, new| {
            if let Some(cx) = cx.upgrade() {
                wake(&cx, &queue, old, new);
            }
        });
        self.need(kind.cache.synced());
    }

    /// What is read but wakes nobody.
    pub fn need(&mut self, synced: Synced) {
        self.needs.push(synced);
    }

    pub fn needs(self) -> Vec<Synced> {
        self.needs
    }
}
