//! The handle everyone holds. Cheap to clone; the store closes when [`Store::close`] is called or the last handle
//! is dropped.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::disk::Disk;
use crate::error::{Compacted, OpenError, WriteError};
use crate::memory::{Entry, Page, State};
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
    /// What seals values before they reach the file; without it they lie there as they are.
    pub seal: Option<Arc<dyn Seal>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep_events: 8192, keep_bytes: 16 << 20, watch_queue: 4096, write_queue: 1024, seal: None }
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
    options: Options,
}

impl Store {
    /// Opens or creates the store, loading it into memory. Blocks on the disk.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, Options::default())
    }

    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let sealing = Sealing::new(options.seal.clone());
        Self::start(Disk::at(path.as_ref()).sealed_by(sealing), options)
    }

    pub(crate) fn start(mut disk: Disk, options: Options) -> Result<Self, OpenError> {
        let state = Arc::new(RwLock::new(disk.load()?));
        let (sender, requests) = mpsc::channel(options.write_queue.max(1));
        let path = disk.path().to_owned();
        let writer = Writer::new(disk, state.clone(), requests, &options);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { path, source: Box::new(source) })?;
        let inner = Inner {
            state,
            writes: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            next_watch: AtomicU64::new(0),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Carries out `txn` and returns the revision of its last change once it is on the disk.
    pub async fn write(&self, txn: Txn) -> Result<u64, WriteError> {
        let sender = lock(&self.inner.writes).clone().ok_or(WriteError::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(Request { txn, reply }).await.map_err(|_| WriteError::Closed)?;
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

    #[tokio::test]
    async fn a_full_disk_refuses_writes_and_harms_nothing() {
        let disk = FullDisk::default();
        let backend = disk.clone();
        let opener = move || redb::Builder::new().create_with_backend(backend.clone());
        let disk_under_store = Disk::with_opener(Path::new("full"), Box::new(opener));
        let store = Store::start(disk_under_store, Options::default()).unwrap();
        let put = |key: &'static str| store.write(Txn::new().put(key, "value", Expect::Absent));
        let before = put("before").await.unwrap();

        disk.full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let error = put("during").await.unwrap_err();
            assert!(matches!(error, WriteError::Disk { .. }), "{error:?}");
            assert_eq!((store.get("during"), store.revision()), (None, before));
            assert_eq!(store.get("before").unwrap().value, "value");
        }

        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(put("during").await.unwrap(), before + 1);
        assert_eq!(store.get("during").unwrap().value, "value");
    }
}
