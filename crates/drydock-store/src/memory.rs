//! Everything readers see: the objects, the recent events, and who is watching.
//!
//! One lock guards all of it, so a list, its revision and the start of a watch always belong together. Only the
//! writer takes the lock for writing, after the disk has confirmed; a reader never sees an unacknowledged change.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::error::Compacted;
use crate::packed::Packed;
use crate::watch::{Notice, Registration};

/// A value and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub revision: u64,
    pub value: Packed,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub revision: u64,
    pub key: Arc<str>,
    /// `None` means the key was deleted.
    pub value: Option<Packed>,
    /// What was there before; `None` means the key was created.
    pub previous: Option<Entry>,
}

impl Event {
    pub(crate) fn size_bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Packed::size_bytes)
    }
}

/// A listed key with its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub key: Arc<str>,
    pub entry: Entry,
}

/// One page of a list, and the revision it (and every further page of it) shows.
#[derive(Debug, Clone)]
pub struct Page {
    pub revision: u64,
    pub items: Vec<Item>,
    /// Keys that match beyond this page.
    pub remaining: usize,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub objects: BTreeMap<Arc<str>, Entry>,
    /// Events with revision greater than `floor`, oldest first.
    pub log: VecDeque<Arc<Event>>,
    pub log_bytes: usize,
    pub floor: u64,
    pub revision: u64,
    pub watchers: Vec<Registration>,
}

impl State {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.objects.get(key)
    }

    /// Makes a durable event visible: objects, log, watches, in that order and under the caller's lock.
    pub fn publish(&mut self, event: Arc<Event>) {
        self.revision = event.revision;
        match &event.value {
            Some(value) => {
                let entry = Entry { revision: event.revision, value: value.clone() };
                self.objects.insert(event.key.clone(), entry);
            }
            None => {
                self.objects.remove(&event.key);
            }
        }
        self.log_bytes += event.size_bytes();
        self.log.push_back(event.clone());
        let notice = Arc::new(Notice::new(event));
        self.watchers.retain(|watcher| watcher.offer(&notice));
    }

    /// How far the log has to be compacted to keep its bounds, dropping at most `most` events.
    pub fn floor_within(&self, keep_events: usize, keep_bytes: usize, most: usize) -> u64 {
        let (mut count, mut bytes) = (self.log.len(), self.log_bytes);
        let mut floor = self.floor;
        for event in self.log.iter().take(most) {
            if count <= keep_events && bytes <= keep_bytes {
                break;
            }
            count -= 1;
            bytes -= event.size_bytes();
            floor = event.revision;
        }
        floor
    }

    pub fn compact_to(&mut self, floor: u64) {
        while self.log.front().is_some_and(|event| event.revision <= floor) {
            let dropped = self.log.pop_front();
            self.log_bytes -= dropped.map_or(0, |event| event.size_bytes());
        }
        self.floor = self.floor.max(floor);
    }

    /// The events of `prefix` after `revision`, oldest first.
    pub fn events_after(&self, prefix: &str, revision: u64) -> Result<VecDeque<Arc<Event>>, Compacted> {
        self.check_available(revision)?;
        let start = self.log.partition_point(|event| event.revision <= revision);
        Ok(self.log.range(start..).filter(|event| event.key.starts_with(prefix)).cloned().collect())
    }

    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize, at: u64) -> Result<Page, Compacted> {
        self.check_available(at)?;
        let start = match after {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(prefix),
        };
        let here = |key: &Arc<str>| key.starts_with(prefix) && after.is_none_or(|after| &**key > after);
        let range = self.objects.range::<str, _>((start, Bound::Unbounded));
        let mut now = range.take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut page = Page { revision: at, items: Vec::new(), remaining: 0 };
        let mut add = |key: &Arc<str>, entry: &Entry| {
            if page.items.len() < limit {
                page.items.push(Item { key: key.clone(), entry: entry.clone() });
            } else {
                page.remaining += 1;
            }
        };
        // Both run in key order: what changed since shows as it was, all else as it is.
        for (key, then) in self.undone_since(at).iter().filter(|(key, _)| here(key)) {
            while let Some((key, entry)) = now.next_if(|(present, _)| *present < key) {
                add(key, entry);
            }
            now.next_if(|(present, _)| **present == **key);
            if let Some(entry) = then {
                add(key, entry);
            }
        }
        now.for_each(|(key, entry)| add(key, entry));
        Ok(page)
    }

    /// What each key changed after `at` held at `at`.
    fn undone_since(&self, at: u64) -> BTreeMap<&Arc<str>, &Option<Entry>> {
        let newer = self.log.iter().rev().take_while(|event| event.revision > at);
        newer.map(|event| (&event.key, &event.previous)).collect()
    }

    fn check_available(&self, revision: u64) -> Result<(), Compacted> {
        if revision < self.floor {
            return Err(Compacted { requested: revision, floor: self.floor });
        }
        Ok(())
    }
}
