//! The journal: where a write becomes durable, long before it reaches the database.
//!
//! Two files, filled in turns. A group of changes is one record, written to blocks that were allocated before and
//! synced once: that costs one turn of the disk and no change of the file system. When a file is full, its changes
//! go into the database while the other one fills. What the database has not seen is read back when the store opens.
//!
//! A record that was cut short by a crash was never acknowledged and does not count. A record that is missing *before*
//! others cannot be explained by a crash: that is damage, and opening the store names it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::DiskError;
use crate::memory::Event;
use crate::record::{self, JournalEvent};
use crate::seal::Sealing;

/// Records start at multiples of this, so that writing one never touches another's bytes.
const BLOCK: u64 = 4096;
/// Space is allocated in steps: a new store does not wait for all of it.
const STEP_BYTES: u64 = 1 << 20;

/// The file below a journal; tests put a misbehaving one there.
pub(crate) trait Medium: Send {
    fn read_all(&mut self) -> io::Result<Vec<u8>>;
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.metadata()?.len()).unwrap_or(usize::MAX)];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Where the journal of a store lies.
pub(crate) fn paths(store: &Path) -> [PathBuf; 2] {
    ["journal-a", "journal-b"].map(|end| store.with_extension(end))
}

pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

struct Segment {
    medium: Box<dyn Medium>,
    allocated: u64,
}

pub(crate) struct Journal {
    segments: [Segment; 2],
    /// A file is full beyond this; one record alone may be larger.
    segment_bytes: u64,
    current: usize,
    offset: u64,
    /// Grows with every turn; tells a record from what the file held before.
    generation: u64,
}

impl Journal {
    /// Reads both files, and returns what they hold beyond the revision `after` that the database has.
    pub fn open(
        mut media: [Box<dyn Medium>; 2],
        journal_bytes: u64,
        after: u64,
    ) -> Result<(Self, Vec<JournalEvent>), DiskError> {
        let mut records = Vec::new();
        let mut allocated = [0; 2];
        for (medium, allocated) in media.iter_mut().zip(&mut allocated) {
            let bytes = medium.read_all().map_err(DiskError::Journal)?;
            // Up to the last block that was written whole.
            *allocated = bytes.len() as u64 / BLOCK * BLOCK;
            scan(&bytes, &mut records);
        }
        let generation = records.iter().map(|record| record.generation).max().unwrap_or(0);
        let replay = chain(records, after)?;
        let [first, second] = media;
        let [a, b] = allocated;
        let segments = [Segment { medium: first, allocated: a }, Segment { medium: second, allocated: b }];
        // Nothing is written over before the database has it: the first write takes the next turn.
        let journal =
            Self { segments, segment_bytes: journal_bytes / 2, current: 0, offset: u64::MAX, generation };
        Ok((journal, replay))
    }

    /// Whether `record` fits into the file whose turn it is.
    pub fn has_room(&self, record: &[u8]) -> bool {
        self.offset == 0 || self.offset.saturating_add(record.len() as u64) <= self.segment_bytes
    }

    /// Goes on with the other file. Its changes must be in the database.
    pub fn turn(&mut self) {
        self.current = 1 - self.current;
        self.offset = 0;
        self.generation += 1;
    }

    /// Makes `record` durable. After an error the next record takes its place.
    pub fn append(&mut self, mut record: Vec<u8>) -> io::Result<()> {
        let (offset, generation) = (self.offset, self.generation);
        seal(&mut record, generation, offset);
        let segment = &mut self.segments[self.current];
        let written = segment.write(offset, &record);
        match &written {
            Ok(()) => self.offset += record.len() as u64,
            // Nobody was promised this record: it shall not come back. A disk that refuses even this has to let the
            // next record do it.
            Err(_) => drop(segment.medium.write_at(offset, &[0; HEADER])),
        }
        written
    }
}

impl Segment {
    fn write(&mut self, offset: u64, record: &[u8]) -> io::Result<()> {
        self.allocate(offset + record.len() as u64)?;
        self.medium.write_at(offset, record)?;
        self.medium.sync()
    }

    /// Writes zeros ahead: blocks that exist are cheaper to sync than blocks the file system has to find first.
    fn allocate(&mut self, end: u64) -> io::Result<()> {
        if end <= self.allocated {
            return Ok(());
        }
        let end = end.next_multiple_of(STEP_BYTES);
        let zeros = vec![0; usize::try_from(end - self.allocated).unwrap_or(0)];
        self.medium.write_at(self.allocated, &zeros)?;
        self.medium.sync()?;
        self.allocated = end;
        Ok(())
    }
}

const MAGIC: [u8; 8] = *b"drydockJ";
const HEADER: usize = 32;

/// A record of these events, except for what depends on its place.
pub(crate) fn record(events: &[Arc<Event>], sealing: &Sealing) -> Result<Vec<u8>, DiskError> {
    let mut out = vec![0; HEADER];
    for event in events {
        let value = event.value.as_ref().map(|value| sealing.seal(&event.key, value)).transpose()?;
        record::journal_event(&mut out, event.revision, &event.key, value.as_deref());
    }
    let length = (out.len() - HEADER) as u64;
    out[..8].copy_from_slice(&MAGIC);
    out[24..32].copy_from_slice(&length.to_le_bytes());
    out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
    Ok(out)
}

/// Generation and place are part of the checksum: bytes that were left by somebody else never count.
fn seal(record: &mut [u8], generation: u64, offset: u64) {
    record[16..24].copy_from_slice(&generation.to_le_bytes());
    let length = number(record, 24) as usize;
    let sum = record::checksum(&offset.to_le_bytes(), &record[16..HEADER + length]);
    record[8..16].copy_from_slice(&sum.to_le_bytes());
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

/// A group of changes that became durable together.
pub(crate) struct Record {
    pub generation: u64,
    pub events: Vec<JournalEvent>,
}

impl Record {
    pub fn first(&self) -> u64 {
        self.events.first().map_or(0, |event| event.revision)
    }
}

/// All whole records of a file, whatever lies between them.
pub(crate) fn scan(bytes: &[u8], records: &mut Vec<Record>) {
    let mut at = 0;
    while at + HEADER <= bytes.len() {
        match read_record(bytes, at) {
            Some((record, length)) => {
                records.push(record);
                at += length.next_multiple_of(BLOCK as usize);
            }
            None => at += BLOCK as usize,
        }
    }
}

fn read_record(bytes: &[u8], at: usize) -> Option<(Record, usize)> {
    if bytes[at..at + 8] != MAGIC {
        return None;
    }
    let length = usize::try_from(number(bytes, at + 24)).ok()?.checked_add(HEADER)?;
    let whole = bytes.get(at..at.checked_add(length)?)?;
    let sum = record::checksum(&(at as u64).to_le_bytes(), &whole[16..]);
    if sum != number(whole, 8) {
        return None;
    }
    let events = record::read_journal_events(&whole[HEADER..]).ok()?;
    Some((Record { generation: number(whole, 16), events }, length))
}

/// Puts the records in order and takes what is newer than `after`, without a gap.
pub(crate) fn chain(mut records: Vec<Record>, after: u64) -> Result<Vec<JournalEvent>, DiskError> {
    records.sort_by_key(|record| (record.first(), record.generation));
    let mut replay = Vec::new();
    let mut next = after + 1;
    for record in records {
        let Some(last) = record.events.last().map(|event| event.revision) else { continue };
        if last < next {
            continue;
        }
        let start = record.first();
        if start != next {
            return Err(DiskError::Gap { from: next, to: start.saturating_sub(1) });
        }
        next = last + 1;
        replay.extend(record.events);
    }
    Ok(replay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::Packed;

    /// Bytes in memory, shared between the journals of a test.
    #[derive(Clone, Default)]
    struct Tape(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Medium for Tape {
        fn read_all(&mut self) -> io::Result<Vec<u8>> {
            Ok(self.0.lock().unwrap().clone())
        }
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            let mut tape = self.0.lock().unwrap();
            let end = offset as usize + bytes.len();
            if tape.len() < end {
                tape.resize(end, 0);
            }
            tape[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        }
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn event(revision: u64, size: usize) -> Arc<Event> {
        let value = Some(Packed::new(&vec![b'x'; size], &[]));
        Arc::new(Event { revision, key: "k".into(), value, previous: None })
    }

    fn open(tapes: &[Tape; 2], after: u64) -> Result<(Journal, Vec<u64>), DiskError> {
        let media = tapes.clone().map(|tape| Box::new(tape) as Box<dyn Medium>);
        let (journal, replay) = Journal::open(media, 16 << 20, after)?;
        Ok((journal, replay.iter().map(|event| event.revision).collect()))
    }

    fn append(journal: &mut Journal, revision: u64, size: usize) {
        let event = event(revision, size);
        let record = record(&[event], &Sealing::default()).unwrap();
        if !journal.has_room(&record) {
            journal.turn();
        }
        journal.append(record).unwrap();
    }

    #[test]
    fn what_the_database_has_not_seen_is_found_again_in_order() {
        let tapes = <[Tape; 2]>::default();
        let (mut journal, nothing) = open(&tapes, 0).unwrap();
        assert!(nothing.is_empty());
        (1..=40).for_each(|revision| append(&mut journal, revision, 300_000));
        assert_eq!(open(&tapes, 17).unwrap().1, (18..=40).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_cut_short_at_the_end_does_not_count() {
        let tapes = <[Tape; 2]>::default();
        let mut journal = open(&tapes, 0).unwrap().0;
        (1..=3).for_each(|revision| append(&mut journal, revision, 9_000));
        let tape = if tapes[0].0.lock().unwrap().is_empty() { &tapes[1] } else { &tapes[0] };
        tape.0.lock().unwrap()[2 * 12288 + 8000] ^= 1;
        assert_eq!(open(&tapes, 0).unwrap().1, [1, 2]);
    }

    #[test]
    fn a_record_missing_before_others_is_damage() {
        let tapes = <[Tape; 2]>::default();
        let mut journal = open(&tapes, 0).unwrap().0;
        (1..=3).for_each(|revision| append(&mut journal, revision, 9_000));
        let tape = if tapes[0].0.lock().unwrap().is_empty() { &tapes[1] } else { &tapes[0] };
        tape.0.lock().unwrap()[12288 + 8000] ^= 1;
        let Err(error) = open(&tapes, 0) else { panic!("the damage was not seen") };
        assert_eq!(error.to_string(), "the changes of revisions 2 to 2 are unreadable in the journal");
        assert_eq!(open(&tapes, 2).unwrap().1, [3], "what the database holds does not matter any more");
    }

    #[test]
    fn a_later_turn_hides_what_the_file_held_before() {
        let tapes = <[Tape; 2]>::default();
        let mut journal = open(&tapes, 0).unwrap().0;
        (1..=30).for_each(|revision| append(&mut journal, revision, 1 << 20));
        assert_eq!(open(&tapes, 25).unwrap().1, (26..=30).collect::<Vec<_>>());
    }

    /// A file of which a power cut keeps what was synced, and of the rest whatever sectors it likes.
    #[derive(Clone, Default)]
    struct Fragile {
        kept: Tape,
        /// Not synced yet: offset and bytes.
        pending: Arc<std::sync::Mutex<Vec<Written>>>,
    }

    type Written = (u64, Vec<u8>);

    const SECTOR: usize = 512;

    impl Fragile {
        fn cut(&self, mut survives: impl FnMut() -> bool) -> Tape {
            let mut kept = Tape(Arc::new(std::sync::Mutex::new(self.kept.0.lock().unwrap().clone())));
            for (offset, bytes) in self.pending.lock().unwrap().iter() {
                for (index, sector) in bytes.chunks(SECTOR).enumerate().filter(|_| survives()) {
                    kept.write_at(offset + (index * SECTOR) as u64, sector).unwrap();
                }
            }
            kept
        }
    }

    impl Medium for Fragile {
        fn read_all(&mut self) -> io::Result<Vec<u8>> {
            self.kept.read_all()
        }
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.pending.lock().unwrap().push((offset, bytes.to_vec()));
            Ok(())
        }
        fn sync(&mut self) -> io::Result<()> {
            for (offset, bytes) in self.pending.lock().unwrap().drain(..) {
                self.kept.write_at(offset, &bytes)?;
            }
            Ok(())
        }
    }

    proptest::proptest! {
        #[test]
        fn a_power_cut_takes_at_most_the_record_being_written(
            sizes in proptest::collection::vec(1..20_000_usize, 1..12),
            fates in proptest::collection::vec(proptest::prelude::any::<bool>(), 64),
        ) {
            let files = <[Fragile; 2]>::default();
            let media = files.clone().map(|file| Box::new(file) as Box<dyn Medium>);
            let mut journal = Journal::open(media, 64 << 10, 0).unwrap().0;
            let mut in_database = 0;
            let synced = sizes.len() as u64 - 1;
            for (revision, size) in (1..).zip(&sizes) {
                let event = event(revision, *size);
                let record = record(&[event], &Sealing::default()).unwrap();
                if !journal.has_room(&record) {
                    in_database = revision - 1;
                    journal.turn();
                }
                if revision <= synced {
                    journal.append(record).unwrap();
                    continue;
                }
                // The last one is written and not synced.
                let mut record = record;
                seal(&mut record, journal.generation, journal.offset);
                journal.segments[journal.current].medium.write_at(journal.offset, &record).unwrap();
            }
            let mut fates = fates.into_iter().cycle();
            let tapes = [0, 1].map(|index| files[index].cut(|| fates.next().unwrap()));
            let found = open(&tapes, in_database).unwrap().1;
            let acknowledged: Vec<u64> = (in_database + 1..=synced).collect();
            let with_last: Vec<u64> = (in_database + 1..=synced + 1).collect();
            proptest::prop_assert!(found == acknowledged || found == with_last, "{found:?}");
        }
    }
}
