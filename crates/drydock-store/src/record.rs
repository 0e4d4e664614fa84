//! How records look inside the tables: checksum first, then numbers in little-endian order and fields with their
//! length in front.
//!
//! The checksum covers the key too, so a record that ended up under another key is noticed.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskError;
use crate::memory::{Entry, Event};

pub fn object(key: &str, revision: u64, value: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 8];
    out.extend_from_slice(&revision.to_le_bytes());
    out.extend_from_slice(value);
    sealed(key, out)
}

pub fn read_object(key: &str, bytes: &[u8]) -> Result<Entry, DiskError> {
    let mut fields = opened(key, bytes)?;
    let revision = fields.number()?;
    Ok(Entry { revision, value: Bytes::copy_from_slice(fields.rest) })
}

/// Key, previous revision (0 for none) and value, then the new value if there is one.
pub fn event(event: &Event) -> Vec<u8> {
    let mut out = vec![0; 8];
    let mut field = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    field(event.key.as_bytes());
    let previous = event.previous.as_ref();
    field(&previous.map_or(0, |entry| entry.revision).to_le_bytes());
    field(previous.map_or(&[], |entry| &entry.value));
    if let Some(value) = &event.value {
        field(value);
    }
    sealed(&event.revision.to_string(), out)
}

pub fn read_event(revision: u64, bytes: &[u8]) -> Result<Event, DiskError> {
    let damaged = || DiskError::Damaged { key: format!("revision {revision}") };
    let name = revision.to_string();
    let mut fields = opened(&name, bytes)?;
    let key: Arc<str> = std::str::from_utf8(fields.field()?).map_err(|_| damaged())?.into();
    let previous_revision = Fields { rest: fields.field()?, key: "" }.number()?;
    let previous_value = Bytes::copy_from_slice(fields.field()?);
    let previous =
        (previous_revision > 0).then_some(Entry { revision: previous_revision, value: previous_value });
    let value = match fields.rest {
        [] => None,
        _ => Some(Bytes::copy_from_slice(fields.field()?)),
    };
    Ok(Event { revision, key, value, previous })
}

fn sealed(key: &str, mut out: Vec<u8>) -> Vec<u8> {
    let sum = checksum(key.as_bytes(), &out[8..]);
    out[..8].copy_from_slice(&sum.to_le_bytes());
    out
}

fn opened<'a>(key: &'a str, bytes: &'a [u8]) -> Result<Fields<'a>, DiskError> {
    let mut fields = Fields { rest: bytes, key };
    if fields.number()? != checksum(key.as_bytes(), fields.rest) {
        return Err(DiskError::Damaged { key: key.to_owned() });
    }
    Ok(fields)
}

struct Fields<'a> {
    rest: &'a [u8],
    key: &'a str,
}

impl<'a> Fields<'a> {
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

    fn damaged(&self) -> DiskError {
        DiskError::Damaged { key: self.key.to_owned() }
    }
}

/// FNV-1a over eight bytes at a time: finds flipped bits, is no defence against an attacker.
fn checksum(key: &[u8], value: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ value.len() as u64;
    for chunk in key.chunks(8).chain(value.chunks(8)) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    sum
}
