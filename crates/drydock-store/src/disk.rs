//! The database: the objects, how to undo the newest changes, and two counters, in one redb file.
//!
//! It follows the journal at a distance: [`Disk::checkpoint`] brings it up to a revision in one transaction, after
//! which the journal may forget. Records carry a checksum of their own, so a damaged value is found when the store
//! opens instead of being served.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageError, TableDefinition,
};

use crate::error::OpenError;
use crate::journal::{self, Medium};
use crate::memory::{Entry, Event, State};
use crate::record;
use crate::seal::{SealError, Sealing};

pub(crate) const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
pub(crate) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

pub(crate) const REVISION: &str = "revision";
const FLOOR: &str = "floor";
const FORMAT: &str = "format";
/// 1 had whole events in its log and no journal.
const FORMAT_VERSION: u64 = 2;
/// redb keeps a page cache of its own; ours holds everything already, so a small one is enough.
const PAGE_CACHE_BYTES: usize = 2 << 20;
/// A file is worth compacting when it is at least this large and mostly air.
const COMPACT_FROM_BYTES: u64 = 64 << 20;

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;
type Media = Box<dyn Fn() -> io::Result<[Box<dyn Medium>; 2]> + Send>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error(transparent)]
    Redb(Box<redb::Error>),
    #[error("record of `{key}` does not match its checksum")]
    Damaged { key: String },
    #[error("{missing} of {total} objects are gone")]
    Incomplete { missing: u64, total: u64 },
    #[error("the changes of revisions {from} to {to} are unreadable in the journal")]
    Gap { from: u64, to: u64 },
    #[error("the journal cannot be used")]
    Journal(#[source] io::Error),
    #[error("cannot be opened again after an error")]
    Reopen(#[source] Box<DatabaseError>),
    #[error("its structure is broken")]
    Broken,
    #[error("`{key}` cannot be sealed or opened")]
    Sealed { key: String, source: SealError },
}

impl<E: Into<redb::Error>> From<E> for DiskError {
    fn from(error: E) -> Self {
        DiskError::Redb(Box::new(error.into()))
    }
}

pub(crate) struct Disk {
    path: PathBuf,
    opener: Opener,
    media: Media,
    database: Option<Database>,
    pub sealing: Sealing,
}

impl Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Disk {
    pub fn at(path: &Path) -> Self {
        let (file, store) = (path.to_owned(), path.to_owned());
        let media = move || {
            let [a, b] = journal::paths(&store);
            Ok([Box::new(journal::open_file(&a)?) as Box<dyn Medium>, Box::new(journal::open_file(&b)?)])
        };
        Self::with_files(path, Box::new(move || open_file(&file)), Box::new(media))
    }

    /// For tests, which put a misbehaving disk underneath.
    pub fn with_files(path: &Path, opener: Opener, media: Media) -> Self {
        Self { path: path.to_owned(), opener, media, database: None, sealing: Sealing::default() }
    }

    /// From here on values go through `sealing` on their way to the files and back.
    pub fn sealed_by(self, sealing: Sealing) -> Self {
        Self { sealing, ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of the journal. The database is open by then, which keeps other processes away.
    pub fn media(&self) -> Result<[Box<dyn Medium>; 2], OpenError> {
        (self.media)().map_err(|error| self.explain_read(DiskError::Journal(error)))
    }

    /// Opens the file and reads all of it. redb asserts on some damage, hence the guard against panics.
    pub fn load(&mut self) -> Result<State, OpenError> {
        let loaded = catch_unwind(AssertUnwindSafe(|| self.open_and_read()));
        loaded.unwrap_or_else(|_| Err(self.explain_read(DiskError::Broken)))
    }

    /// Opens the file, creating it or bringing it up to date where needed.
    pub fn open_prepared(&self) -> Result<Database, OpenError> {
        let database = (self.opener)().map_err(|error| self.explain(error))?;
        match prepare(&database).map_err(|error| self.explain_read(error))? {
            FORMAT_VERSION => Ok(database),
            found => {
                let (path, known) = (self.path.clone(), FORMAT_VERSION);
                Err(OpenError::NewerFormat { path, found, known })
            }
        }
    }

    fn open_and_read(&mut self) -> Result<State, OpenError> {
        let mut database = self.open_prepared()?;
        let state = read_state(&database, &self.sealing).map_err(|error| self.explain_read(error))?;
        compact_if_worth_it(&mut database, &self.path, &state);
        self.database = Some(database);
        Ok(state)
    }

    /// Brings the file up to the last of `events`, and forgets how to undo what is not newer than `floor`.
    pub fn checkpoint(&mut self, events: &[Arc<Event>], floor: u64) -> Result<(), DiskError> {
        let done = catch_unwind(AssertUnwindSafe(|| self.write(events, floor)));
        let done = done.unwrap_or(Err(DiskError::Broken));
        if done.is_err() {
            // redb refuses to go on after an error until the file is opened anew.
            self.database = None;
        }
        done
    }

    fn write(&mut self, events: &[Arc<Event>], floor: u64) -> Result<(), DiskError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.opener)().map_err(|error| DiskError::Reopen(Box::new(error)))?,
        };
        let database = self.database.insert(database);
        let mut txn = database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        // Opening after a crash then needs no look at every page.
        txn.set_quick_repair(true);
        {
            let mut objects = txn.open_table(OBJECTS)?;
            for (key, event) in newest(events) {
                match &event.value {
                    Some(value) => {
                        let value = self.sealing.seal(key, value)?;
                        let record = record::object(key, event.revision, &value);
                        objects.insert(key, record.as_slice())?;
                    }
                    None => {
                        objects.remove(key)?;
                    }
                }
            }
            let mut log = txn.open_table(LOG)?;
            for event in events.iter().filter(|event| event.revision > floor) {
                let previous = event.previous.as_ref();
                let sealed = previous.map(|entry| self.sealing.seal(&event.key, &entry.value)).transpose()?;
                let previous = previous.map(|entry| entry.revision).zip(sealed.as_deref());
                let undo = record::undo(event.revision, &event.key, previous, event.value.is_none());
                log.insert(event.revision, undo.as_slice())?;
            }
            let mut meta = txn.open_table(META)?;
            let old_floor = meta.get(FLOOR)?.map_or(0, |floor| floor.value());
            log.retain_in(old_floor..=floor.max(old_floor), |_, _| false)?;
            meta.insert(FLOOR, floor.max(old_floor))?;
            if let Some(last) = events.last() {
                meta.insert(REVISION, last.revision)?;
            }
        }
        Ok(txn.commit()?)
    }

    pub fn explain(&self, error: DatabaseError) -> OpenError {
        let path = self.path.clone();
        match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { path },
            DatabaseError::UpgradeRequired(found) => {
                OpenError::Corrupt { path, detail: format!("its file format {found} is unknown") }
            }
            DatabaseError::RepairAborted => {
                OpenError::Corrupt { path, detail: "it could not be repaired".into() }
            }
            DatabaseError::Storage(StorageError::Corrupted(detail)) => OpenError::Corrupt { path, detail },
            DatabaseError::Storage(StorageError::Io(io)) if is_damage(&io) => {
                OpenError::Corrupt { path, detail: io.to_string() }
            }
            other => OpenError::Io { path, source: Box::new(other) },
        }
    }

    pub fn explain_read(&self, error: DiskError) -> OpenError {
        let path = self.path.clone();
        match error {
            DiskError::Redb(error) => match *error {
                redb::Error::Io(io) if !is_damage(&io) => OpenError::Io { path, source: Box::new(io) },
                other => OpenError::Corrupt { path, detail: other.to_string() },
            },
            DiskError::Sealed { key, source } => OpenError::Sealed { path, key, source },
            DiskError::Journal(source) => OpenError::Io { path, source: Box::new(source) },
            other => OpenError::Corrupt { path, detail: other.to_string() },
        }
    }
}

/// The last change of each key, in key order, which is the order redb likes best.
fn newest(events: &[Arc<Event>]) -> BTreeMap<&str, &Event> {
    events.iter().map(|event| (&*event.key, &**event)).collect()
}

fn is_damage(io: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(io.kind(), InvalidData | UnexpectedEof)
}

/// The file holds Secrets: only its owner may read it.
pub(crate) fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let io = |error| DatabaseError::Storage(StorageError::Io(error));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    redb::Builder::new().set_cache_size(PAGE_CACHE_BYTES).create_file(file)
}

/// Creates what an empty file lacks, brings an older one up to date, and returns the format it is in.
fn prepare(database: &Database) -> Result<u64, DiskError> {
    let found = {
        let txn = database.begin_read()?;
        match txn.open_table(META) {
            Ok(meta) => meta.get(FORMAT)?.map(|format| format.value()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        }
    };
    if let Some(format) = found.filter(|format| *format != 1) {
        return Ok(format);
    }
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        if found.is_some() {
            // Older states stop being readable; clients list again.
            txn.delete_table(LOG)?;
            let revision = meta.get(REVISION)?.map_or(0, |revision| revision.value());
            meta.insert(FLOOR, revision)?;
        }
        meta.insert(FORMAT, FORMAT_VERSION)?;
        txn.open_table(OBJECTS)?;
        txn.open_table(LOG)?;
    }
    txn.commit()?;
    Ok(FORMAT_VERSION)
}

fn read_state(database: &Database, sealing: &Sealing) -> Result<State, DiskError> {
    let txn = database.begin_read()?;
    let meta = txn.open_table(META)?;
    let counter = |name| Ok::<_, DiskError>(meta.get(name)?.map_or(0, |value| value.value()));
    let mut state = State { revision: counter(REVISION)?, floor: counter(FLOOR)?, ..State::default() };
    state.objects = read_objects(&txn, sealing)?;
    read_log(&txn, sealing, &mut state)?;
    Ok(state)
}

fn read_objects(txn: &ReadTransaction, sealing: &Sealing) -> Result<BTreeMap<Arc<str>, Entry>, DiskError> {
    let table = txn.open_table(OBJECTS)?;
    let total = table.len()?;
    let read = |row: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, &[u8]>), StorageError>| {
        let (key, bytes) = row?;
        let (revision, value) = record::read_object(key.value(), bytes.value())?;
        let entry = Entry { revision, value: sealing.open(key.value(), value)? };
        Ok::<_, DiskError>((Arc::from(key.value()), entry))
    };
    // Collected in order, which builds the map at once instead of key by key.
    let objects = table.iter()?.map(read).collect::<Result<BTreeMap<_, _>, _>>()?;
    match total.saturating_sub(objects.len() as u64) {
        0 => Ok(objects),
        missing => Err(DiskError::Incomplete { missing, total }),
    }
}

/// Makes events of what the log can undo, from the newest backwards: what an undo restores is what the change before
/// it wrote. Values are shared with the objects and with each other.
fn read_log(txn: &ReadTransaction, sealing: &Sealing, state: &mut State) -> Result<(), DiskError> {
    let mut undone: HashMap<Arc<str>, Option<Entry>> = HashMap::new();
    for row in txn.open_table(LOG)?.iter()?.rev() {
        let (revision, bytes) = row?;
        let revision = revision.value();
        let undo = record::read_undo(revision, bytes.value())?;
        let (key, present) = match (undone.get_key_value(&undo.key), state.objects.get_key_value(&undo.key)) {
            (Some((key, entry)), _) => (key.clone(), entry.clone()),
            (None, Some((key, entry))) => (key.clone(), Some(entry.clone())),
            (None, None) => (undo.key.clone(), None),
        };
        let value = match (undo.deleted, present) {
            (true, None) => None,
            (false, Some(entry)) if entry.revision == revision => Some(entry.value),
            _ => return Err(DiskError::Damaged { key: format!("revision {revision}") }),
        };
        let previous = match undo.previous {
            Some((revision, value)) => Some(Entry { revision, value: sealing.open(&key, value)? }),
            None => None,
        };
        undone.insert(key.clone(), previous.clone());
        let event = Event { revision, key, value, previous };
        state.log_bytes += event.size_bytes();
        state.log.push_front(Arc::new(event));
    }
    Ok(())
}

/// Gives space back that deleted objects left behind. Failing is no reason not to start.
fn compact_if_worth_it(database: &mut Database, path: &Path, state: &State) {
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    let undo = state.log.iter().filter_map(|event| Some((&event.key, event.previous.as_ref()?)));
    let held = state.objects.iter().chain(undo);
    let used: u64 = held.map(|(key, entry)| (key.len() + entry.value.plain_bytes()) as u64).sum();
    if size < COMPACT_FROM_BYTES || size / 4 < used {
        return;
    }
    match database.compact() {
        Ok(_) => tracing::info!(from_bytes = size, "the store's file was compacted"),
        Err(error) => tracing::warn!(%error, "the store's file could not be compacted"),
    }
}
