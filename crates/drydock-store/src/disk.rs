//! The file: a redb database with the objects, the event log and two counters.
//!
//! Every commit uses `Durability::Immediate` with redb's checksummed single-phase commit: one fsync, and after a
//! crash either all of a commit is there or none of it. Records carry a checksum of their own, so a damaged value
//! is found when the store opens instead of being served.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};

use crate::error::OpenError;
use crate::memory::{Entry, Event, State};
use crate::record;
use crate::seal::{SealError, Sealing};

const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

const REVISION: &str = "revision";
const FLOOR: &str = "floor";
const FORMAT: &str = "format";
const FORMAT_VERSION: u64 = 1;
/// redb keeps a page cache of its own; ours holds everything already, so a small one is enough.
const PAGE_CACHE_BYTES: usize = 4 << 20;

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error(transparent)]
    Redb(Box<redb::Error>),
    #[error("record of `{key}` does not match its checksum")]
    Damaged { key: String },
    #[error("cannot be opened again after an error")]
    Reopen(#[source] Box<DatabaseError>),
    #[error("the file is not open")]
    NotOpen,
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
    database: Option<Database>,
    sealing: Sealing,
}

impl Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Disk {
    pub fn at(path: &Path) -> Self {
        let file = path.to_owned();
        Self::with_opener(path, Box::new(move || open_file(&file)))
    }

    /// For tests, which put a misbehaving disk underneath.
    pub fn with_opener(path: &Path, opener: Opener) -> Self {
        Self { path: path.to_owned(), opener, database: None, sealing: Sealing::default() }
    }

    /// From here on values go through `sealing` on their way to the file and back.
    pub fn sealed_by(self, sealing: Sealing) -> Self {
        Self { sealing, ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file and reads all of it. redb asserts on some damage, hence the guard against panics.
    pub fn load(&mut self) -> Result<State, OpenError> {
        let path = self.path.clone();
        let loaded = catch_unwind(AssertUnwindSafe(|| self.open_and_read()));
        loaded.unwrap_or_else(|_| Err(OpenError::Corrupt { path, detail: "its structure is broken".into() }))
    }

    fn open_and_read(&mut self) -> Result<State, OpenError> {
        let database = (self.opener)().map_err(|error| self.explain(error))?;
        let database = self.database.insert(database);
        prepare(database).and_then(|format| Ok((format, read_state(database, &self.sealing)?))).map_or_else(
            |error| Err(self.explain_read(error)),
            |(format, state)| match format {
                FORMAT_VERSION => Ok(state),
                found => {
                    Err(OpenError::NewerFormat { path: self.path.clone(), found, known: FORMAT_VERSION })
                }
            },
        )
    }

    /// Puts `events` and the compaction up to `floor` on the disk in one fsynced commit.
    pub fn append(&mut self, events: &[Arc<Event>], floor: u64) -> Result<(), DiskError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let database = self.database.as_ref().ok_or(DiskError::NotOpen)?;
        let mut txn = database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        {
            let mut objects = txn.open_table(OBJECTS)?;
            let mut log = txn.open_table(LOG)?;
            for event in events {
                let sealed = self.sealing.seal(event)?;
                let event = sealed.as_ref().unwrap_or(event);
                match &event.value {
                    Some(value) => {
                        let record = record::object(&event.key, event.revision, value);
                        objects.insert(&*event.key, record.as_slice())?;
                    }
                    None => {
                        objects.remove(&*event.key)?;
                    }
                }
                log.insert(event.revision, record::event(event).as_slice())?;
            }
            let mut meta = txn.open_table(META)?;
            let old_floor = meta.get(FLOOR)?.map_or(0, |floor| floor.value());
            for revision in old_floor + 1..=floor {
                log.remove(revision)?;
            }
            if floor > old_floor {
                meta.insert(FLOOR, floor)?;
            }
            if let Some(last) = events.last() {
                meta.insert(REVISION, last.revision)?;
            }
        }
        Ok(txn.commit()?)
    }

    /// redb refuses to go on after an I/O error until the file is opened anew.
    pub fn reopen(&mut self) -> Result<(), DiskError> {
        self.database = None;
        let database = (self.opener)().map_err(|error| DiskError::Reopen(Box::new(error)))?;
        self.database = Some(database);
        Ok(())
    }

    pub fn events_after(&self, revision: u64) -> Result<Vec<Arc<Event>>, DiskError> {
        let database = self.database.as_ref().ok_or(DiskError::NotOpen)?;
        let log = database.begin_read()?.open_table(LOG)?;
        let mut events = Vec::new();
        for row in log.range(revision + 1..)? {
            let (revision, bytes) = row?;
            let event = record::read_event(revision.value(), bytes.value())?;
            events.push(Arc::new(self.sealing.open_event(event)?));
        }
        Ok(events)
    }

    fn explain(&self, error: DatabaseError) -> OpenError {
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

    fn explain_read(&self, error: DiskError) -> OpenError {
        let path = self.path.clone();
        match error {
            DiskError::Redb(error) => match *error {
                redb::Error::Io(io) if !is_damage(&io) => OpenError::Io { path, source: Box::new(io) },
                other => OpenError::Corrupt { path, detail: other.to_string() },
            },
            DiskError::Sealed { key, source } => OpenError::Sealed { path, key, source },
            other => OpenError::Corrupt { path, detail: other.to_string() },
        }
    }
}

fn is_damage(io: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(io.kind(), InvalidData | UnexpectedEof)
}

/// The file holds Secrets: only its owner may read it.
fn open_file(path: &Path) -> Result<Database, DatabaseError> {
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

/// Creates what an empty file lacks and returns the format it is in.
fn prepare(database: &Database) -> Result<u64, DiskError> {
    let txn = database.begin_write()?;
    let format = {
        txn.open_table(OBJECTS)?;
        txn.open_table(LOG)?;
        let mut meta = txn.open_table(META)?;
        let found = meta.get(FORMAT)?.map(|format| format.value());
        match found {
            Some(format) => format,
            None => {
                meta.insert(FORMAT, FORMAT_VERSION)?;
                FORMAT_VERSION
            }
        }
    };
    txn.commit()?;
    Ok(format)
}

fn read_state(database: &Database, sealing: &Sealing) -> Result<State, DiskError> {
    let txn = database.begin_read()?;
    let meta = txn.open_table(META)?;
    let counter = |name| Ok::<_, DiskError>(meta.get(name)?.map_or(0, |value| value.value()));
    let mut state = State { revision: counter(REVISION)?, floor: counter(FLOOR)?, ..State::default() };
    for row in txn.open_table(OBJECTS)?.iter()? {
        let (key, bytes) = row?;
        let entry = record::read_object(key.value(), bytes.value())?;
        state.objects.insert(key.value().into(), sealing.open_entry(key.value(), entry)?);
    }
    // Values in the log are mostly the ones the objects or later events hold: share them.
    let mut known: HashMap<(Arc<str>, u64), Bytes> = HashMap::new();
    let mut share = |key: &Arc<str>, revision: u64, value: Bytes| {
        known.entry((key.clone(), revision)).or_insert(value).clone()
    };
    for (key, entry) in &state.objects {
        share(key, entry.revision, entry.value.clone());
    }
    for row in txn.open_table(LOG)?.iter()? {
        let (revision, bytes) = row?;
        let mut event = sealing.open_event(record::read_event(revision.value(), bytes.value())?)?;
        event.value = event.value.take().map(|value| share(&event.key, event.revision, value));
        event.previous = event.previous.take().map(|entry| Entry {
            revision: entry.revision,
            value: share(&event.key, entry.revision, entry.value),
        });
        state.log_bytes += event.size_bytes();
        state.log.push_back(Arc::new(event));
    }
    Ok(state)
}
