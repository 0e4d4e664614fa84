//! A work queue of keys: each key at most once waiting and at most once in work.
//!
//! A key that changes while it is being worked on is worked on again afterwards. Failures come
//! back after a growing delay (5 ms doubling to 30 s).
//! The number of distinct keys bounds the queue.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::key::Key;

const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    working: HashSet<Key>,
    /// Changed while in work.
    again: HashSet<Key>,
    failures: HashMap<Key, u32>,
    /// The earliest time each delayed key wants attention, both ways round.
    due: BTreeMap<(Instant, Key), ()>,
    due_of: HashMap<Key, Instant>,
}

/// How one pass over a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// Nothing is wrong, but look again after this long.
    Again(Duration),
    Failed,
}

impl Queue {
    pub fn add(&self, key: Key) {
        self.lock().add(key);
        self.wake.notify_one();
    }

    /// The next key to work on. It stays reserved until [`Queue::ended`].
    pub async fn next(&self) -> Key {
        loop {
            let due = {
                let mut state = self.lock();
                state.promote_due(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return key;
                }
                state.due.first_key_value().map(|((at, _), ())| *at)
            };
            match due {
                Some(at) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    pub fn ended(&self, key: Key, ended: Ended) {
        let mut state = self.lock();
        state.working.remove(&key);
        let again = state.again.remove(&key);
        match ended {
            Ended::Failed => {
                let failures = state.failures.entry(key.clone()).or_default();
                let delay = retry_delay(*failures);
                *failures = failures.saturating_add(1);
                state.add_at(key.clone(), Instant::now() + delay);
            }
            _ => {
                state.failures.remove(&key);
            }
        }
        match ended {
            Ended::Again(delay) => {
                state.add_at(key.clone(), Instant::now() + delay);
                if again {
                    state.add(key);
                }
            }
            _ if again => state.add(key),
            _ => {}
        }
        drop(state);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, key: Key) {
        if self.working.contains(&key) {
            self.again.insert(key);
        } else if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn take(&mut self) -> Option<Key> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }

    fn add_at(&mut self, key: Key, at: Instant) {
        if let Some(earlier) = self.due_of.get(&key).copied() {
            if earlier <= at {
                return;
            }
            self.due.remove(&(earlier, key.clone()));
        }
        self.due_of.insert(key.clone(), at);
        self.due.insert((at, key), ());
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some(((at, _), ())) = self.due.first_key_value() {
            if *at > now {
                return;
            }
            if let Some(((_, key), ())) = self.due.pop_first() {
                self.due_of.remove(&key);
                self.add(key);
            }
        }
    }
}

fn retry_delay(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_added_twice_is_worked_on_once() {
        let queue = Queue::default();
        queue.add(Key::cluster("a"));
        queue.add(Key::cluster("a"));
        queue.add(Key::cluster("b"));
        assert_eq!(queue.next().await.name, "a");
        assert_eq!(queue.next().await.name, "b");
    }

    #[tokio::test]
    async fn a_key_changed_during_work_comes_back_only_after_the_work() {
        let queue = Queue::default();
        queue.add(Key::cluster("a"));
        let key = queue.next().await;
        queue.add(key.clone());
        queue.add(Key::cluster("b"));
        assert_eq!(queue.next().await.name, "b");
        queue.ended(key, Ended::Done);
        assert_eq!(queue.next().await.name, "a");
    }

    #[tokio::test]
    async fn each_failure_waits_longer_until_one_success() {
        let queue = Queue::default();
        let mut waits = Vec::new();
        queue.add(Key::cluster("a"));
        for outcome in [Ended::Failed, Ended::Failed, Ended::Failed, Ended::Done] {
            let began = Instant::now();
            let key = queue.next().await;
            waits.push(began.elapsed().as_millis());
            queue.ended(key, outcome);
        }
        queue.add(Key::cluster("a"));
        assert_eq!(queue.next().await.name, "a");
        // A timer may be late, never early.
        assert!(waits[1] >= 5 && waits[2] >= 10 && waits[3] >= 20, "{waits:?}");
    }
}
