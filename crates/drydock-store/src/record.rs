//! How records look inside the tables: checksum first, then numbers in little-endian order and fields with their
//! length in front.
//!
//! The checksum covers the key too, so a record that ended up under another key is noticed.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskError;

pub fn object(key: &str, revision: u64, value: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 8];
    out.extend_from_slice(&revision.to_le_bytes());
    out.extend_from_slice(value);
    sealed(key, out)
}

/// The revision of an object and its value.
pub fn read_object<'b>(key: &str, bytes: &'b [u8]) -> Result<(u64, &'b [u8]), DiskError> {
    let mut fields = opened(key, bytes)?;
    let revision = fields.number()?;
    Ok((revision, fields.rest))
}

/// How to undo one change: its key, the revision (0 for none) and value that were there before, and whether it was a
/// deletion. The value it wrote is the object itself, or what the next change of the key undoes to.
pub struct Undo<'b> {
    pub key: Arc<str>,
    pub previous: Option<(u64, &'b [u8])>,
    pub deleted: bool,
}

pub fn undo(revision: u64, key: &str, previous: Option<(u64, &[u8])>, deleted: bool) -> Vec<u8> {
    let mut out = vec![0; 8];
    field(&mut out, key.as_bytes());
    out.extend_from_slice(&previous.map_or(0, |(revision, _)| revision).to_le_bytes());
    out.push(u8::from(deleted));
    out.extend_from_slice(previous.map_or(&[], |(_, value)| value));
    sealed(&revision.to_string(), out)
}

pub fn read_undo(revision: u64, bytes: &[u8]) -> Result<Undo<'_>, DiskError> {
    let name = format!("revision {revision}");
    let mut fields = opened_as(&revision.to_string(), &name, bytes)?;
    let key = fields.text()?.into();
    let before = fields.number()?;
    let deleted = fields.flag()?;
    let previous = (before > 0).then_some((before, fields.rest));
    Ok(Undo { key, previous, deleted })
}

/// One change as the journal holds it.
#[derive(Debug)]
pub struct JournalEvent {
    pub revision: u64,
    pub key: Arc<str>,
    pub value: Option<Bytes>,
}

pub fn journal_event(out: &mut Vec<u8>, revision: u64, key: &str, value: Option<&[u8]>) {
    out.extend_from_slice(&revision.to_le_bytes());
    field(out, key.as_bytes());
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        field(out, value);
    }
}

pub fn read_journal_events(bytes: &[u8]) -> Result<Vec<JournalEvent>, DiskError> {
    let mut fields = Fields { rest: bytes, key: "the journal" };
    let mut events = Vec::new();
    while !fields.rest.is_empty() {
        let revision = fields.number()?;
        let key = fields.text()?.into();
        let value = match fields.flag()? {
            true => Some(Bytes::copy_from_slice(fields.field()?)),
            false => None,
        };
        events.push(JournalEvent { revision, key, value });
    }
    Ok(events)
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn sealed(key: &str, mut out: Vec<u8>) -> Vec<u8> {
    let sum = checksum(key.as_bytes(), &out[8..]);
    out[..8].copy_from_slice(&sum.to_le_bytes());
    out
}

fn opened<'a, 'n>(key: &'n str, bytes: &'a [u8]) -> Result<Fields<'a, 'n>, DiskError> {
    opened_as(key, key, bytes)
}

/// `name` is what an error calls the record.
fn opened_as<'a, 'n>(key: &str, name: &'n str, bytes: &'a [u8]) -> Result<Fields<'a, 'n>, DiskError> {
    let mut fields = Fields { rest: bytes, key: name };
    if fields.number()? != checksum(key.as_bytes(), fields.rest) {
        return Err(fields.damaged());
    }
    Ok(fields)
}

struct Fields<'a, 'n> {
    rest: &'a [u8],
    key: &'n str,
}

impl<'a> Fields<'a, '_> {
    fn number(&mut self) -> Result<u64, DiskError> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn field(&mut self) -> Result<&'a [u8], DiskError> {
        let length = usize::try_from(self.number()?).map_err(|_| self.damaged())?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(bytes)
    }

    fn flag(&mut self) -> Result<bool, DiskError> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*byte != 0)
    }

    fn text(&mut self) -> Result<&'a str, DiskError> {
        std::str::from_utf8(self.field()?).map_err(|_| self.damaged())
    }

    fn damaged(&self) -> DiskError {
        DiskError::Damaged { key: self.key.to_owned() }
    }
}

/// FNV-1a over eight bytes at a time: finds flipped bits, is no defence against an attacker.
pub fn checksum(key: &[u8], value: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ value.len() as u64;
    for chunk in key.chunks(8).chain(value.chunks(8)) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    sum
}
