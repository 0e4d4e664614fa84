//! The one thread that changes the store.
//!
//! Takes every write that is waiting, checks each against what the ones before it will have done, puts them into the
//! journal as one record (one sync for the group), publishes them, and only then answers anybody. When the disk
//! refuses, nobody in the group is acknowledged and nothing has happened.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::{Checkpoints, Job};
use crate::disk::DiskError;
use crate::error::WriteError;
use crate::journal::{self, Journal};
use crate::memory::{Entry, Event, State};
use crate::packed::Packed;
use crate::seal::Sealing;
use crate::store::{Options, read, write};
use crate::txn::{Change, Op};

/// Writes that share one record at most, in number and bytes; bounds the latency of the first of them.
const MAX_GROUP: usize = 512;
const MAX_GROUP_BYTES: usize = 2 << 20;
/// Log entries dropped per group at most, beyond as many as the group adds.
const MAX_COMPACTION: usize = 256;

pub(crate) type Outcome = Result<u64, WriteError>;
type Ops = Vec<Op<Packed>>;

/// A transaction, ready to happen.
#[derive(Debug)]
pub(crate) struct Request {
    pub ops: Ops,
    /// Roughly what it takes in the journal.
    pub size_bytes: usize,
    pub reply: oneshot::Sender<Outcome>,
}

pub(crate) struct Writer {
    pub path: PathBuf,
    pub state: Arc<RwLock<State>>,
    pub requests: mpsc::Receiver<Request>,
    pub journal: Journal,
    pub checkpoints: Checkpoints,
    pub sealing: Sealing,
    pub options: Options,
    /// What the journal holds and no checkpoint has been told of.
    pub journaled: Vec<Arc<Event>>,
}

impl Writer {
    pub fn run(mut self) {
        while let Some(first) = self.requests.blocking_recv() {
            let group = self.gather(first);
            let (txns, replies): (Vec<Ops>, Vec<_>) = group.into_iter().map(|r| (r.ops, r.reply)).unzip();
            for (reply, outcome) in replies.into_iter().zip(self.commit(txns)) {
                // A caller that went away does not need the answer.
                let _ = reply.send(outcome);
            }
        }
        self.close();
    }

    fn gather(&mut self, first: Request) -> Vec<Request> {
        let mut bytes = first.size_bytes;
        let mut group = vec![first];
        while group.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES {
            let Ok(next) = self.requests.try_recv() else { break };
            bytes += next.size_bytes;
            group.push(next);
        }
        group
    }

    /// The database gets what it has not seen; what fails here is found in the journal next time.
    fn close(mut self) {
        // Dropping the queues ends every watch.
        write(&self.state).watchers.clear();
        if self.checkpoint().and_then(|()| self.checkpoints.settle()).is_err() {
            tracing::warn!("the store's database is behind; the journal keeps the rest");
        }
        self.checkpoints.close();
    }

    fn commit(&mut self, txns: Vec<Ops>) -> Vec<Outcome> {
        let plan = plan(&read(&self.state), txns);
        if plan.events.is_empty() {
            return plan.outcomes;
        }
        match self.make_durable(&plan.events) {
            Ok(()) => {
                self.journaled.extend(plan.events.iter().cloned());
                self.publish(plan.events);
                plan.outcomes
            }
            Err(source) => {
                tracing::error!(error = %source, "the store could not be written");
                // Refusals too may rest on changes of this group that did not happen.
                let error = WriteError::Disk { path: self.path.clone(), source: Arc::new(source) };
                plan.outcomes.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn make_durable(&mut self, events: &[Arc<Event>]) -> Result<(), DiskError> {
        let record = journal::record(events, &self.sealing)?;
        if !self.journal.has_room(&record) {
            self.checkpoint()?;
            self.journal.turn();
        }
        self.journal.append(record).map_err(DiskError::Journal)
    }

    /// Hands what the journal holds to the database, once that has everything from before.
    fn checkpoint(&mut self) -> Result<(), DiskError> {
        self.checkpoints.settle()?;
        let (events, floor) = (std::mem::take(&mut self.journaled), read(&self.state).floor);
        self.checkpoints.begin(Job { events, floor });
        Ok(())
    }

    fn publish(&self, events: Vec<Arc<Event>>) {
        let mut state = write(&self.state);
        let most = events.len() + MAX_COMPACTION;
        events.into_iter().for_each(|event| state.publish(event));
        let floor = state.floor_within(self.options.keep_events, self.options.keep_bytes, most);
        state.compact_to(floor);
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

fn plan(state: &State, txns: Vec<Ops>) -> Plan {
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
    fn apply(&mut self, ops: Ops) -> Result<Vec<Arc<Event>>, WriteError> {
        for op in &ops {
            let actual = self.current(&op.key).map(|entry| entry.revision);
            if !op.expect.holds(actual) {
                return Err(WriteError::Conflict { key: op.key.clone(), actual });
            }
        }
        Ok(ops.into_iter().filter_map(|op| self.change(op)).collect())
    }

    fn change(&mut self, op: Op<Packed>) -> Option<Arc<Event>> {
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
