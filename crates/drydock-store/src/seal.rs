//! Values that must not lie readable in the file, sealed on the way to it and opened on the way back.
//!
//! For whoever opens the store: [`Options::seal`](crate::Options) brings an implementation, which decides by the key
//! what it seals. Only the file ever holds sealed bytes; lists, watches and the memory see values as they were
//! written. The key of the record is handed to both directions, so that a sealed value can be bound to its place.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskError;
use crate::memory::{Entry, Event};

/// Why a value could not be sealed or opened. The text names the key file, never the value.
pub type SealError = Box<dyn std::error::Error + Send + Sync>;

/// Seals and opens the values of some keys.
pub trait Seal: Debug + Send + Sync {
    /// The bytes to put into the file for `value`, or `None` to put the value itself.
    fn seal(&self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, SealError>;

    /// The value behind the bytes of the file, or `None` when they are the value themselves.
    fn open(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError>;
}

/// What stands between memory and file: the caller's [`Seal`], or nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealing(Option<Arc<dyn Seal>>);

impl Sealing {
    pub fn new(seal: Option<Arc<dyn Seal>>) -> Self {
        Self(seal)
    }

    /// The event as the file is to hold it; `None` when that is the event as it is.
    pub fn seal(&self, event: &Event) -> Result<Option<Event>, DiskError> {
        let Some(seal) = &self.0 else { return Ok(None) };
        let close = |value: &Bytes| {
            let sealed = seal.seal(&event.key, value);
            sealed.map_err(|source| DiskError::Sealed { key: event.key.to_string(), source })
        };
        let value = event.value.as_ref().map(close).transpose()?.flatten();
        let previous = event.previous.as_ref().map(|entry| close(&entry.value)).transpose()?.flatten();
        if value.is_none() && previous.is_none() {
            return Ok(None);
        }
        let mut sealed = event.clone();
        if let Some(value) = value {
            sealed.value = Some(value.into());
        }
        if let (Some(entry), Some(value)) = (&mut sealed.previous, previous) {
            entry.value = value.into();
        }
        Ok(Some(sealed))
    }

    pub fn open_entry(&self, key: &str, mut entry: Entry) -> Result<Entry, DiskError> {
        entry.value = self.open(key, entry.value)?;
        Ok(entry)
    }

    pub fn open_event(&self, mut event: Event) -> Result<Event, DiskError> {
        let key = event.key.clone();
        event.value = event.value.map(|value| self.open(&key, value)).transpose()?;
        event.previous = event.previous.map(|entry| self.open_entry(&key, entry)).transpose()?;
        Ok(event)
    }

    fn open(&self, key: &str, stored: Bytes) -> Result<Bytes, DiskError> {
        let Some(seal) = &self.0 else { return Ok(stored) };
        match seal.open(key, &stored) {
            Ok(Some(value)) => Ok(value.into()),
            Ok(None) => Ok(stored),
            Err(source) => Err(DiskError::Sealed { key: key.to_owned(), source }),
        }
    }
}
