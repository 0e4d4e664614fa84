//! Reads what can be read of a store that cannot, or shall not, be opened.
//!
//! For `doctor`, which looks, and `export`, which saves. Works on the files' bytes in memory and never writes, so that
//! looking at a damaged store does not damage it further. Each problem is told in words with the file it is in.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend as _};

use crate::disk::{DiskError, META, OBJECTS, REVISION};
use crate::journal::{self, Record};
use crate::memory::{Entry, Item};
use crate::packed::Packed;
use crate::record;
use crate::seal::{Seal, Sealing};

/// What was found.
#[derive(Debug, Default)]
pub struct Salvage {
    pub revision: u64,
    /// In key order.
    pub objects: Vec<Item>,
    /// Values found in the ruins of a database that does not open: newest first, without their keys, maybe of objects
    /// that had been deleted. Empty when the database could be read.
    pub fragments: Vec<Entry>,
    /// Empty for a store that is whole.
    pub problems: Vec<String>,
    pub size_bytes: u64,
}

/// Looks at the store at `path`. Fails only when a file cannot be read at all; one that is not there is empty.
pub fn salvage(path: &Path, seal: Option<Arc<dyn Seal>>) -> io::Result<Salvage> {
    let sealing = Sealing::new(seal, &[]);
    let (database, journals) = (read(path)?, journal::paths(path).map(|path| read(&path)));
    let mut found = Salvage { size_bytes: database.len() as u64, ..Salvage::default() };
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut objects = BTreeMap::new();
    if !database.is_empty() {
        let looked = catch_unwind(AssertUnwindSafe(|| read_database(&database, &sealing)));
        match looked.unwrap_or(Err(DiskError::Broken)) {
            Ok((revision, read, problems)) => {
                (found.revision, objects) = (revision, read);
                found.problems.extend(problems.into_iter().map(|problem| format!("`{name}`: {problem}")));
            }
            Err(error) => {
                found.problems.push(format!("`{name}` cannot be opened: {error}"));
                found.fragments = fragments(&database);
            }
        }
    }
    let mut records = Vec::new();
    for bytes in journals {
        let bytes = bytes?;
        found.size_bytes += bytes.len() as u64;
        journal::scan(&bytes, &mut records);
    }
    apply(records, &sealing, &mut objects, &mut found);
    found.objects = objects.into_iter().map(|(key, entry)| Item { key, entry }).collect();
    Ok(found)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

type Objects = BTreeMap<Arc<str>, Entry>;

fn read_database(bytes: &[u8], sealing: &Sealing) -> Result<(u64, Objects, Vec<String>), DiskError> {
    let backend = InMemoryBackend::new();
    backend.set_len(bytes.len() as u64)?;
    backend.write(0, bytes)?;
    let database: Database = redb::Builder::new().create_with_backend(backend)?;
    let txn = database.begin_read()?;
    let revision = txn.open_table(META)?.get(REVISION)?.map_or(0, |revision| revision.value());
    let table = txn.open_table(OBJECTS)?;
    let (mut objects, mut problems) = (Objects::new(), Vec::new());
    // From both ends, so that a broken page in the middle costs only what is behind it.
    for backwards in [false, true] {
        let mut rows = table.iter()?;
        let before = problems.len();
        while let Some(row) = if backwards { rows.next_back() } else { rows.next() } {
            match row {
                Ok((key, bytes)) if !objects.contains_key(key.value()) => {
                    match read_object(key.value(), bytes.value(), sealing) {
                        Ok(entry) => drop(objects.insert(key.value().into(), entry)),
                        Err(error) => problems.push(error.to_string()),
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    problems.push(format!("a page is broken: {error}"));
                    break;
                }
            }
        }
        if problems.len() == before {
            break;
        }
    }
    problems.sort();
    problems.dedup();
    let total = redb::ReadableTableMetadata::len(&table)?;
    match total.saturating_sub(objects.len() as u64) {
        0 => {}
        missing => problems.push(DiskError::Incomplete { missing, total }.to_string()),
    }
    Ok((revision, objects, problems))
}

fn read_object(key: &str, bytes: &[u8], sealing: &Sealing) -> Result<Entry, DiskError> {
    let (revision, value) = record::read_object(key, bytes)?;
    Ok(Entry { revision, value: sealing.open(key, value)? })
}

/// Puts the journal's changes on top, those behind a gap too: newer is better than nothing.
fn apply(mut records: Vec<Record>, sealing: &Sealing, objects: &mut Objects, found: &mut Salvage) {
    records.sort_by_key(|record| (record.first(), record.generation));
    for record in records {
        let first = record.first();
        if first > found.revision + 1 {
            let lost = DiskError::Gap { from: found.revision + 1, to: first - 1 };
            found.problems.push(lost.to_string());
        }
        let seen = found.revision;
        for event in record.events.into_iter().filter(|event| event.revision > seen) {
            found.revision = event.revision;
            match event.value.map(|value| sealing.open(&event.key, &value)).transpose() {
                Ok(Some(value)) => {
                    drop(objects.insert(event.key, Entry { revision: event.revision, value }));
                }
                Ok(None) => drop(objects.remove(&event.key)),
                Err(error) => found.problems.push(error.to_string()),
            }
        }
    }
}

/// Whatever begins like an object in JSON and has a revision in front. The caller has to judge what it is.
fn fragments(bytes: &[u8]) -> Vec<Entry> {
    const START: &[u8] = br#"{"apiVersion":""#;
    let mut found = Vec::new();
    let mut at = 8;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.windows(START.len()).position(|w| w == START))
    {
        let start = at + next;
        match braces(bytes, start) {
            Some(range) => {
                let revision = bytes[start - 8..start].try_into().map_or(0, u64::from_le_bytes);
                at = range.end;
                found.push(Entry { revision, value: Packed::new(&bytes[range], &[]) });
            }
            None => at = start + START.len(),
        }
    }
    found.sort_by_key(|entry| std::cmp::Reverse(entry.revision));
    found
}

/// From a brace to the one that closes it, minding texts.
fn braces(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            _ if text => {}
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(start..at + 1),
            b'}' => depth -= 1,
            0 => return None,
            _ => {}
        }
    }
    None
}
