//! What a caller asks the store to do: a list of changes that happen together or not at all.

use std::sync::Arc;

use bytes::Bytes;

/// The state a key must be in for the transaction to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Anything,
    Absent,
    Present,
    /// Present, and last changed at this revision.
    At(u64),
}

impl Expect {
    pub(crate) fn holds(self, found: Option<u64>) -> bool {
        match self {
            Expect::Anything => true,
            Expect::Absent => found.is_none(),
            Expect::Present => found.is_some(),
            Expect::At(revision) => found == Some(revision),
        }
    }
}

/// What happens to a key; `V` is how a new value is held.
#[derive(Debug, Clone)]
pub(crate) enum Change<V> {
    Put(V),
    Delete,
    /// Only the precondition counts.
    Nothing,
}

#[derive(Debug, Clone)]
pub(crate) struct Op<V> {
    pub key: Arc<str>,
    pub expect: Expect,
    pub change: Change<V>,
}

impl<V> Op<V> {
    pub fn map<W>(self, value: impl FnOnce(V) -> W) -> Op<W> {
        let change = match self.change {
            Change::Put(given) => Change::Put(value(given)),
            Change::Delete => Change::Delete,
            Change::Nothing => Change::Nothing,
        };
        Op { key: self.key, expect: self.expect, change }
    }
}

/// Changes to several keys, applied atomically and in order. Each change takes a revision of its own.
#[derive(Debug, Clone, Default)]
pub struct Txn {
    pub(crate) ops: Vec<Op<Bytes>>,
}

impl Txn {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(self, key: impl Into<Arc<str>>, value: impl Into<Bytes>, expect: Expect) -> Self {
        self.with(key, expect, Change::Put(value.into()))
    }

    /// Deleting an absent key with [`Expect::Anything`] changes nothing and takes no revision.
    pub fn delete(self, key: impl Into<Arc<str>>, expect: Expect) -> Self {
        self.with(key, expect, Change::Delete)
    }

    /// Requires `expect` of `key` without changing it.
    pub fn check(self, key: impl Into<Arc<str>>, expect: Expect) -> Self {
        self.with(key, expect, Change::Nothing)
    }

    /// Roughly what it takes in the journal.
    pub(crate) fn size_bytes(&self) -> usize {
        let value = |change: &Change<Bytes>| if let Change::Put(value) = change { value.len() } else { 0 };
        self.ops.iter().map(|op| op.key.len() + value(&op.change)).sum()
    }

    fn with(mut self, key: impl Into<Arc<str>>, expect: Expect, change: Change<Bytes>) -> Self {
        self.ops.push(Op { key: key.into(), expect, change });
        self
    }
}
