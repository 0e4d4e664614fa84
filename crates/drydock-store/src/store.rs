//! The handle everyone holds. Cheap to clone; the store closes when [`Store::close`] is called or the last handle
//! is dropped.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::{Checkpoints, Job};
use crate::disk::{Disk, DiskError};
use crate::error::{Compacted, OpenError, WriteError};
use crate::journal::Journal;
use crate::memory::{Entry, Event, Page, State};
use crate::record::JournalEvent;
use crate::seal::{Seal, Sealing};
use crate::txn::Txn;
use crate::watch::Watch;
use crate::writer::{Request, Writer};

/// Bounds of the store. The defaults suit one machine's cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Events kept for watches and lists of older revisions; compaction removes the rest.
    pub keep_events: usize,
    /// The same bound in bytes of keys and values, whichever is reached first.
    pub keep_bytes: usize,
    /// Events a watch may be behind before it is ended as lagged.
    pub watch_queue: usize,
    /// Writes waiting for the writer before callers have to wait to enqueue.
    pub write_queue: usize,
    /// How much the journal holds before the database is brought up to it. What is in it is read back after a crash.
    pub journal_bytes: u64,
    /// What seals values before they reach the file; without it they lie there as they are.
    pub seal: Option<Arc<dyn Seal>>,
    /// What many values have in common, the most common last: they take less memory for it. Never reaches the files.
    pub words: &'static [u8],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_events: 8192,
            keep_bytes: 16 << 20,
            watch_queue: 4096,
            write_queue: 1024,
            journal_bytes: 16 << 20,
            seal: None,
            words: &[],
        }
    }
}

/// What to list. `at` pins an older revision, `after` continues behind a key.
#[derive(Debug, Clone, Copy, Default)]
pub struct List<'a> {
    pub prefix: &'a str,
    pub after: Option<&'a str>,
    pub limit: Option<usize>,
    pub at: Option<u64>,
}

/// Durable objects with revisions and watches.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<RwLock<State>>,
    writes: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    next_watch: AtomicU64,
    sealing: Sealing,
    options: Options,
}

impl Store {
    /// Opens or creates the store, loading it into memory. Blocks on the disk.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, Options::default())
    }

    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let sealing = Sealing::new(options.seal.clone(), options.words);
        Self::start(Disk::at(path.as_ref()).sealed_by(sealing), options)
    }

    pub(crate) fn start(mut disk: Disk, options: Options) -> Result<Self, OpenError> {
        let mut state = disk.load()?;
        let opened = Journal::open(disk.media()?, options.journal_bytes, state.revision);
        let (journal, replay) = opened.map_err(|error| disk.explain_read(error))?;
        let mut journaled = Vec::with_capacity(replay.len());
        for found in replay {
            let event = event_of(found, &state, &disk.sealing).map_err(|error| disk.explain_read(error))?;
            let event = Arc::new(event);
            state.publish(event.clone());
            journaled.push(event);
        }
        let floor = state.floor_within(options.keep_events, options.keep_bytes, usize::MAX);
        state.compact_to(floor);
        let state = Arc::new(RwLock::new(state));
        let (sender, requests) = mpsc::channel(options.write_queue.max(1));
        let (path, sealing) = (disk.path().to_owned(), disk.sealing.clone());
        let failed = |source| OpenError::Io { path: path.clone(), source: Box::new(source) };
        let mut checkpoints = Checkpoints::start(disk).map_err(failed)?;
        // The journal is not written to before the database has what it holds.
        checkpoints.begin(Job { events: journaled, floor });
        let writer = Writer {
            path: path.clone(),
            state: state.clone(),
            requests,
            journal,
            checkpoints,
            sealing: sealing.clone(),
            options: options.clone(),
            journaled: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("store-writer".into());
        let thread = thread.spawn(move || writer.run()).map_err(failed)?;
        let inner = Inner {
            state,
            writes: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            next_watch: AtomicU64::new(0),
            sealing,
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Carries out `txn` and returns the revision of its last change once it is on the disk.
    pub async fn write(&self, txn: Txn) -> Result<u64, WriteError> {
        let sender = lock(&self.inner.writes).clone().ok_or(WriteError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let size_bytes = txn.size_bytes();
        // Packed here, where many can do it at once, and not by the writer, who is alone.
        let pack = |value: bytes::Bytes| self.inner.sealing.pack(&value);
        let ops = txn.ops.into_iter().map(|op| op.map(pack)).collect();
        sender.send(Request { ops, size_bytes, reply }).await.map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)?
    }

    pub fn get(&self, key: &str) -> Option<Entry> {
        read(&self.inner.state).get(key).cloned()
    }

    /// Like [`Store::get`], with the revision of the store at that moment.
    pub fn get_with_revision(&self, key: &str) -> (Option<Entry>, u64) {
        let state = read(&self.inner.state);
        (state.get(key).cloned(), state.revision)
    }

    /// One page in key order, showing the store as it was at `at` (default: now).
    pub fn list(&self, list: List<'_>) -> Result<Page, Compacted> {
        let state = read(&self.inner.state);
        let at = list.at.unwrap_or(state.revision).min(state.revision);
        state.list(list.prefix, list.after, list.limit.unwrap_or(usize::MAX), at)
    }

    /// The last acknowledged revision.
    pub fn revision(&self) -> u64 {
        read(&self.inner.state).revision
    }

    /// The oldest revision that can still be listed or watched from.
    pub fn floor(&self) -> u64 {
        read(&self.inner.state).floor
    }

    /// Every change of keys under `prefix` after revision `from`, first from the log, then live.
    pub fn watch(&self, prefix: &str, from: u64) -> Result<Watch, Compacted> {
        let mut state = write(&self.inner.state);
        let replay = state.events_after(prefix, from)?;
        Ok(self.register(&mut state, prefix, replay))
    }

    /// The present objects under `prefix` and a watch that continues exactly there.
    pub fn list_and_watch(&self, prefix: &str) -> Result<(Page, Watch), Compacted> {
        let mut state = write(&self.inner.state);
        let page = state.list(prefix, None, usize::MAX, state.revision)?;
        let watch = self.register(&mut state, prefix, Default::default());
        Ok((page, watch))
    }

    /// Finishes the writes already queued, ends all watches and releases the file.
    pub fn close(&self) {
        drop(lock(&self.inner.writes).take());
        if let Some(thread) = lock(&self.inner.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }

    fn register(
        &self,
        state: &mut State,
        prefix: &str,
        replay: std::collections::VecDeque<Arc<crate::Event>>,
    ) -> Watch {
        let id = self.inner.next_watch.fetch_add(1, Ordering::Relaxed);
        Watch::register(state, &self.inner.state, prefix, replay, id, self.inner.options.watch_queue.max(1))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(lock(&self.writes).take());
        let thread = lock(&self.thread).take();
        // Waiting makes the file free for the next opener; a panicked writer has already been logged by its thread.
        let _ = thread.map(JoinHandle::join);
    }
}

/// A change read back from the journal, on top of the state it belongs to.
fn event_of(found: JournalEvent, state: &State, sealing: &Sealing) -> Result<Event, DiskError> {
    let JournalEvent { revision, key, value } = found;
    let value = value.map(|value| sealing.open(&key, &value)).transpose()?;
    let previous = state.get(&key).cloned();
    Ok(Event { revision, key, value, previous })
}

// A panic while holding one of these locks cannot leave the data half-changed in a way that matters more than
// refusing every later request would, so poison is ignored.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    //! A disk that is full, underneath the real writer.

    use std::sync::atomic::AtomicBool;

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::Expect;
    use crate::journal::Medium;

    /// Keeps its bytes across reopening, like a file, and fails on demand.
    #[derive(Debug, Clone, Default)]
    struct FullDisk {
        bytes: Arc<InMemoryBackend>,
        full: Arc<AtomicBool>,
    }

    impl FullDisk {
        fn check(&self) -> std::io::Result<()> {
            match self.full.load(Ordering::SeqCst) {
                true => Err(std::io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl StorageBackend for FullDisk {
        fn len(&self) -> std::io::Result<u64> {
            self.bytes.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
            self.bytes.read(offset, out)
        }
        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.bytes.set_len(len)
        }
        fn sync_data(&self) -> std::io::Result<()> {
            self.check()?;
            self.bytes.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.check()?;
            self.bytes.write(offset, data)
        }
    }

    /// A journal file on the same disk.
    #[derive(Clone)]
    struct Tape {
        disk: FullDisk,
        bytes: Arc<Mutex<Vec<u8>>>,
    }

    impl Tape {
        fn new(disk: &FullDisk) -> Self {
            Self { disk: disk.clone(), bytes: Arc::default() }
        }
    }

    impl Medium for Tape {
        fn read_all(&mut self) -> std::io::Result<Vec<u8>> {
            Ok(lock(&self.bytes).clone())
        }
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
            let mut tape = lock(&self.bytes);
            let end = offset as usize + bytes.len();
            if tape.len() < end {
                // Space that is there stays there: only growing needs more.
                self.disk.check()?;
                tape.resize(end, 0);
            }
            tape[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        }
        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn large(n: usize) -> Vec<u8> {
        vec![n as u8; 1 << 20]
    }

    #[tokio::test]
    async fn a_full_disk_refuses_writes_and_harms_nothing() {
        let disk = FullDisk::default();
        let backend = disk.clone();
        let opener = move || redb::Builder::new().create_with_backend(backend.clone());
        let tapes = [Tape::new(&disk), Tape::new(&disk)];
        let media = move || Ok(tapes.clone().map(|tape| Box::new(tape) as Box<dyn Medium>));
        let disk_under_store = Disk::with_files(Path::new("full"), Box::new(opener), Box::new(media));
        let store = Store::start(disk_under_store, Options::default()).unwrap();
        let put =
            async |n: usize| store.write(Txn::new().put(format!("{n}"), large(n), Expect::Absent)).await;
        assert_eq!(put(0).await.unwrap(), 1);

        disk.full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let error = put(1).await.unwrap_err();
            assert!(matches!(error, WriteError::Disk { .. }), "{error:?}");
            assert_eq!((store.get("1"), store.revision()), (None, 1));
            assert!(store.get("0").unwrap().value == *large(0));
        }

        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(put(1).await.unwrap(), 2);
        assert!(store.get("1").unwrap().value == *large(1));
    }

    #[tokio::test]
    async fn what_was_acknowledged_before_the_disk_was_full_is_there_afterwards() {
        let disk = FullDisk::default();
        let tapes = [Tape::new(&disk), Tape::new(&disk)];
        let open = || {
            let (backend, tapes) = (disk.clone(), tapes.clone());
            let opener = move || redb::Builder::new().create_with_backend(backend.clone());
            let media = move || Ok(tapes.clone().map(|tape| Box::new(tape) as Box<dyn Medium>));
            let below = Disk::with_files(Path::new("full"), Box::new(opener), Box::new(media));
            Store::start(below, Options::default()).unwrap()
        };
        let store = open();
        let mut acknowledged = 0;
        for n in 0..40 {
            // Full for a while, more than once, with checkpoints under way.
            disk.full.store(n % 10 > 5, Ordering::SeqCst);
            acknowledged += usize::from(
                store.write(Txn::new().put(format!("{n}"), large(n), Expect::Absent)).await.is_ok(),
            );
        }
        let held = store.list(List::default()).unwrap();
        disk.full.store(true, Ordering::SeqCst);
        drop(store);
        disk.full.store(false, Ordering::SeqCst);
        let store = open();
        let found = store.list(List::default()).unwrap();
        assert!(acknowledged >= 24 && acknowledged == found.items.len(), "{acknowledged}");
        assert_eq!((held.items, held.revision), (found.items, found.revision));
    }
}
