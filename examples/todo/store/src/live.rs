//! Who waits for changes of which user, in this process, and how they are woken.
//!
//! A wake-up says only "look again"; what changed is in the database. So a lost wake-up costs time, never an
//! update: whoever waits also looks by itself, often when nobody can wake it from other processes
//! ([`Live::patience`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

/// With Redis: only in case a message was lost.
const PATIENCE_WOKEN: Duration = Duration::from_secs(10);
/// Without: other processes write to the same database and cannot tell us.
const PATIENCE_ALONE: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub struct Live {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<HashMap<String, watch::Sender<()>>>,
    is_connected: AtomicBool,
}

impl Live {
    /// Waits for changes of `user` from now on.
    pub fn subscribe(&self, user: &str) -> Subscription {
        let receiver = self.waiting().entry(user.to_owned()).or_default().subscribe();
        Subscription { live: self.clone(), user: user.to_owned(), receiver }
    }

    /// How many subscriptions `user` has here.
    pub fn count(&self, user: &str) -> usize {
        self.waiting().get(user).map_or(0, watch::Sender::receiver_count)
    }

    pub(crate) fn wake(&self, user: &str) {
        if let Some(sender) = self.waiting().get(user) {
            sender.send_replace(());
        }
    }

    pub(crate) fn wake_all(&self) {
        for sender in self.waiting().values() {
            sender.send_replace(());
        }
    }

    /// Whether other processes can wake us.
    pub(crate) fn set_connected(&self, is_connected: bool) {
        self.shared.is_connected.store(is_connected, Ordering::Relaxed);
    }

    /// How long to wait for a wake-up before looking anyway.
    pub fn patience(&self) -> Duration {
        if self.shared.is_connected.load(Ordering::Relaxed) { PATIENCE_WOKEN } else { PATIENCE_ALONE }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.shared.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub struct Subscription {
    live: Live,
    user: String,
    receiver: watch::Receiver<()>,
}

impl Subscription {
    /// Returns when the user's data may have changed, after [`Live::patience`] at the latest.
    pub async fn woken(&mut self) {
        let _ = tokio::time::timeout(self.live.patience(), self.receiver.changed()).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiting = self.live.waiting();
        // The last one is still counted while it drops.
        if waiting.get(&self.user).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_before_waiting_is_not_lost_and_reaches_only_its_user() {
        let live = Live::default();
        let (mut ada, eve) = (live.subscribe("ada"), live.subscribe("eve"));
        live.wake("ada");
        assert!(ada.receiver.has_changed().unwrap());
        ada.woken().await;
        assert!(!eve.receiver.has_changed().unwrap());
    }

    #[test]
    fn nothing_is_remembered_of_who_left() {
        let live = Live::default();
        let (first, second) = (live.subscribe("ada"), live.subscribe("ada"));
        assert_eq!(live.count("ada"), 2);
        drop(first);
        assert_eq!(live.count("ada"), 1);
        drop(second);
        assert!(live.waiting().is_empty());
    }
}
