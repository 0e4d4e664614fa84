//! Writes a store anew under another key, so that no byte of its files needs the former one.
//!
//! For changing the key of sealed values. The store must be closed and held by nobody else. [`stage`] writes a second
//! file beside the store, journal included, and changes nothing; [`Staged::commit`] puts it in the store's place in one
//! step. Whoever opens the store between the two, or after a kill at any moment, finds all of it: under the former key
//! before that step, under the new one after it. Values pass through memory one at a time and reach no file unsealed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table};

use crate::disk::{Disk, DiskError, LOG, META, OBJECTS, REVISION};
use crate::error::OpenError;
use crate::journal;
use crate::record::{self, JournalEvent};
use crate::seal::Seal;

/// A store written anew and not in its place yet. Dropped before [`Staged::commit`], it is removed.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    draft: PathBuf,
    resealed: usize,
}

impl Staged {
    /// How many objects have another sealed form than before.
    pub fn resealed(&self) -> usize {
        self.resealed
    }

    /// Puts the new file in the store's place, and removes the journal, which it holds. The new key has to be safe on
    /// the disk before this. Killed in between, what is left of the journal holds nothing that the file does not.
    pub fn commit(self) -> io::Result<()> {
        fs::rename(&self.draft, &self.path)?;
        sync_folder(&self.path)?;
        for journal in journal::paths(&self.path) {
            remove(&journal)?;
        }
        sync_folder(&self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // The next one starts with removing it, too.
        let _ = remove(&self.draft);
    }
}

/// Writes what the store at `path` holds to a file beside it, with every value as [`Seal::reseal`] wants it.
///
/// Fails as opening the store would: when it is damaged, or holds something that `seal` does not open.
pub fn stage(path: &Path, seal: &dyn Seal) -> Result<Staged, OpenError> {
    let io = |source: io::Error| OpenError::Io { path: path.to_owned(), source: Box::new(source) };
    let mut staged = Staged { path: path.to_owned(), draft: path.with_extension("redb.new"), resealed: 0 };
    remove(&staged.draft).map_err(io)?;
    let (from, to) = (Disk::at(path), Disk::at(&staged.draft));
    // redb asserts on some damage.
    let written = catch_unwind(AssertUnwindSafe(|| {
        let databases = (from.open_prepared()?, to.open_prepared()?);
        rewrite(path, &databases.0, &databases.1, seal).map_err(|error| from.explain_read(error))
    }));
    staged.resealed = written.unwrap_or_else(|_| Err(from.explain_read(DiskError::Broken)))?;
    Ok(staged)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes renaming and removing in the folder of `path` durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn rewrite(path: &Path, from: &Database, to: &Database, seal: &dyn Seal) -> Result<usize, DiskError> {
    let source = from.begin_read()?;
    let mut txn = to.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_quick_repair(true);
    let mut meta = txn.open_table(META)?;
    for row in source.open_table(META)?.iter()? {
        let (name, number) = row?;
        meta.insert(name.value(), number.value())?;
    }
    let revision = meta.get(REVISION)?.map_or(0, |revision| revision.value());
    let mut copy = Copy {
        objects: txn.open_table(OBJECTS)?,
        log: txn.open_table(LOG)?,
        seal,
        resealed: BTreeSet::new(),
    };
    copy.objects_of(&source)?;
    copy.log_of(&source)?;
    for event in unseen(path, revision)? {
        meta.insert(REVISION, event.revision)?;
        copy.change(event)?;
    }
    let resealed = copy.resealed.len();
    drop((copy, meta));
    txn.commit()?;
    Ok(resealed)
}

/// What the journal holds beyond the revision that the database has.
fn unseen(path: &Path, revision: u64) -> Result<Vec<JournalEvent>, DiskError> {
    let mut records = Vec::new();
    for journal in journal::paths(path) {
        match fs::read(journal) {
            Ok(bytes) => journal::scan(&bytes, &mut records),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DiskError::Journal(error)),
        }
    }
    journal::chain(records, revision)
}

/// The new file while it is being filled.
struct Copy<'t> {
    objects: Table<'t, &'static str, &'static [u8]>,
    log: Table<'t, u64, &'static [u8]>,
    seal: &'t dyn Seal,
    /// Keys of the objects whose bytes are others than before.
    resealed: BTreeSet<String>,
}

impl Copy<'_> {
    fn objects_of(&mut self, source: &ReadTransaction) -> Result<(), DiskError> {
        for row in source.open_table(OBJECTS)?.iter()? {
            let (key, bytes) = row?;
            let key = key.value();
            let (revision, stored) = record::read_object(key, bytes.value())?;
            self.put(key, revision, stored)?;
        }
        Ok(())
    }

    fn log_of(&mut self, source: &ReadTransaction) -> Result<(), DiskError> {
        for row in source.open_table(LOG)?.iter()? {
            let (revision, bytes) = row?;
            let undo = record::read_undo(revision.value(), bytes.value())?;
            let previous = match undo.previous {
                Some((revision, stored)) => Some((revision, self.value(&undo.key, stored)?)),
                None => None,
            };
            let previous = previous.as_ref().map(|(revision, value)| (*revision, &**value));
            let undo = record::undo(revision.value(), &undo.key, previous, undo.deleted);
            self.log.insert(revision.value(), undo.as_slice())?;
        }
        Ok(())
    }

    /// What a checkpoint would do with a change of the journal.
    fn change(&mut self, event: JournalEvent) -> Result<(), DiskError> {
        let key = &*event.key;
        let present = self.objects.get(key)?.map(|bytes| bytes.value().to_vec());
        let previous = present.as_deref().map(|bytes| record::read_object(key, bytes)).transpose()?;
        let undo = record::undo(event.revision, key, previous, event.value.is_none());
        self.log.insert(event.revision, undo.as_slice())?;
        match event.value {
            Some(stored) => self.put(key, event.revision, &stored)?,
            None => {
                self.resealed.remove(key);
                self.objects.remove(key)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &str, revision: u64, stored: &[u8]) -> Result<(), DiskError> {
        let value = self.value(key, stored)?;
        if matches!(value, Cow::Owned(_)) {
            self.resealed.insert(key.to_owned());
        }
        self.objects.insert(key, record::object(key, revision, &value).as_slice())?;
        Ok(())
    }

    fn value<'v>(&self, key: &str, stored: &'v [u8]) -> Result<Cow<'v, [u8]>, DiskError> {
        match self.seal.reseal(key, stored) {
            Ok(Some(resealed)) => Ok(Cow::Owned(resealed)),
            Ok(None) => Ok(Cow::Borrowed(stored)),
            Err(source) => Err(DiskError::Sealed { key: key.to_owned(), source }),
        }
    }
}
