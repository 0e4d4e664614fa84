//! The one thread that changes the store.
//!
//! Takes every write that is waiting, checks each against what the ones before it will have done, puts them on the
//! disk in one commit (one fsync for the group), publishes them, and only then answers anybody. When the disk
//! refuses, nobody in the group is acknowledged and the next group starts with a freshly opened file.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use tokio::sync::{mpsc, oneshot};

use crate::disk::Disk;
use crate::error::WriteError;
use crate::memory::{Entry, Event, State};
use crate::store::{Options, read, write};
use crate::txn::{Change, Op, Txn};

/// Writes that share one commit at most; bounds the latency of the first of them.
const MAX_GROUP: usize = 512;
/// Log entries removed per commit at most, beyond as many as the commit adds.
const MAX_COMPACTION: usize = 256;

pub(crate) type Outcome = Result<u64, WriteError>;

#[derive(Debug)]
pub(crate) struct Request {
    pub txn: Txn,
    pub reply: oneshot::Sender<Outcome>,
}

pub(crate) struct Writer {
    disk: Disk,
    state: Arc<RwLock<State>>,
    requests: mpsc::Receiver<Request>,
    keep_events: usize,
    keep_bytes: usize,
}

impl Writer {
    pub fn new(
        disk: Disk,
        state: Arc<RwLock<State>>,
        requests: mpsc::Receiver<Request>,
        options: &Options,
    ) -> Self {
        Self { disk, state, requests, keep_events: options.keep_events, keep_bytes: options.keep_bytes }
    }

    pub fn run(mut self) {
        while let Some(first) = self.requests.blocking_recv() {
            let mut group = vec![first];
            while group.len() < MAX_GROUP {
                let Ok(next) = self.requests.try_recv() else { break };
                group.push(next);
            }
            let (txns, replies): (Vec<Txn>, Vec<_>) = group.into_iter().map(|r| (r.txn, r.reply)).unzip();
            for (reply, outcome) in replies.into_iter().zip(self.commit(txns)) {
                // A caller that went away does not need the answer.
                let _ = reply.send(outcome);
            }
        }
        // Dropping the queues ends every watch.
        write(&self.state).watchers.clear();
    }

    fn commit(&mut self, txns: Vec<Txn>) -> Vec<Outcome> {
        let plan = plan(&read(&self.state), txns);
        if plan.events.is_empty() {
            return plan.outcomes;
        }
        let floor = self.next_floor(&plan.events);
        match self.disk.append(&plan.events, floor) {
            Ok(()) => {
                self.publish(plan.events, floor);
                plan.outcomes
            }
            Err(source) => {
                tracing::error!(error = %source, "the store could not be written");
                self.recover();
                // Refusals too may rest on changes of this group that did not happen.
                let error = WriteError::Disk { path: self.disk.path().to_owned(), source: Arc::new(source) };
                plan.outcomes.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn publish(&self, events: Vec<Arc<Event>>, floor: u64) {
        let mut state = write(&self.state);
        events.into_iter().for_each(|event| state.publish(event));
        state.compact_to(floor);
    }

    /// A failed commit may have reached the disk after all: whatever the reopened file holds is what happened.
    fn recover(&mut self) {
        let known = read(&self.state).revision;
        match self.disk.reopen().and_then(|()| self.disk.events_after(known)) {
            Ok(events) => self.publish(events, 0),
            Err(error) => {
                tracing::error!(%error, "the store is unusable until the disk accepts writes again")
            }
        }
    }

    /// How far the log is compacted by a commit that adds `events`. Rides along, so it costs no fsync of its own.
    fn next_floor(&self, events: &[Arc<Event>]) -> u64 {
        let state = read(&self.state);
        let mut count = state.log.len() + events.len();
        let mut bytes = state.log_bytes + events.iter().map(|event| event.size_bytes()).sum::<usize>();
        let mut floor = state.floor;
        for event in state.log.iter().take(events.len() + MAX_COMPACTION) {
            if count <= self.keep_events && bytes <= self.keep_bytes {
                break;
            }
            count -= 1;
            bytes -= event.size_bytes();
            floor = event.revision;
        }
        floor
    }
}

/// What a group of transactions would change, and each one's answer if the disk agrees.
#[derive(Debug, Default)]
struct Plan {
    events: Vec<Arc<Event>>,
    outcomes: Vec<Outcome>,
}

/// The state as the transactions planned so far leave it.
struct Draft<'a> {
    state: &'a State,
    revision: u64,
    changed: HashMap<Arc<str>, Option<Entry>>,
}

fn plan(state: &State, txns: Vec<Txn>) -> Plan {
    let mut draft = Draft { state, revision: state.revision, changed: HashMap::new() };
    let mut plan = Plan::default();
    for txn in txns {
        let outcome = draft.apply(txn).map(|events| {
            plan.events.extend(events);
            draft.revision
        });
        plan.outcomes.push(outcome);
    }
    plan
}

impl Draft<'_> {
    fn current(&self, key: &str) -> Option<&Entry> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.state.get(key),
        }
    }

    /// All of the transaction or nothing of it.
    fn apply(&mut self, txn: Txn) -> Result<Vec<Arc<Event>>, WriteError> {
        for op in &txn.ops {
            let actual = self.current(&op.key).map(|entry| entry.revision);
            if !op.expect.holds(actual) {
                return Err(WriteError::Conflict { key: op.key.clone(), actual });
            }
        }
        Ok(txn.ops.into_iter().filter_map(|op| self.change(op)).collect())
    }

    fn change(&mut self, op: Op) -> Option<Arc<Event>> {
        let previous = self.current(&op.key).cloned();
        let value = match op.change {
            Change::Nothing => return None,
            Change::Delete => {
                previous.as_ref()?;
                None
            }
            Change::Put(value) => Some(value),
        };
        self.revision += 1;
        let entry = value.clone().map(|value| Entry { revision: self.revision, value });
        self.changed.insert(op.key.clone(), entry);
        Some(Arc::new(Event { revision: self.revision, key: op.key, value, previous }))
    }
}
