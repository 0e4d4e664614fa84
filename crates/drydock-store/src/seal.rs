//! Values that must not lie readable in the file, sealed on the way to it and opened on the way back.
//!
//! For whoever opens the store: [`Options::seal`](crate::Options) brings an implementation, which decides by the key
//! what it seals. Only the file ever holds sealed bytes; lists, watches and the memory see values as they were
//! written. The key of the record is handed to both directions, so that a sealed value can be bound to its place.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskError;
use crate::memory::Entry;

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

    /// The value as the files are to hold it.
    pub fn seal<'v>(&self, key: &str, value: &'v [u8]) -> Result<Cow<'v, [u8]>, DiskError> {
        let Some(seal) = &self.0 else { return Ok(Cow::Borrowed(value)) };
        match seal.seal(key, value) {
            Ok(Some(sealed)) => Ok(Cow::Owned(sealed)),
            Ok(None) => Ok(Cow::Borrowed(value)),
            Err(source) => Err(DiskError::Sealed { key: key.to_owned(), source }),
        }
    }

    pub fn open_entry(&self, key: &str, mut entry: Entry) -> Result<Entry, DiskError> {
        entry.value = self.open(key, entry.value)?;
        Ok(entry)
    }

    pub fn open(&self, key: &str, stored: Bytes) -> Result<Bytes, DiskError> {
        let Some(seal) = &self.0 else { return Ok(stored) };
        match seal.open(key, &stored) {
            Ok(Some(value)) => Ok(value.into()),
            Ok(None) => Ok(stored),
            Err(source) => Err(DiskError::Sealed { key: key.to_owned(), source }),
        }
    }
}
