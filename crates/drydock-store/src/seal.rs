//! Values that must not lie readable in the file, sealed on the way to it and opened on the way back.
//!
//! For whoever opens the store: [`Options::seal`](crate::Options) brings an implementation, which decides by the key
//! what it seals. Only the file ever holds sealed bytes; lists, watches and the memory see values as they were
//! written. The key of the record is handed to both directions, so that a sealed value can be bound to its place.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use crate::disk::DiskError;
use crate::packed::Packed;

/// Why a value could not be sealed or opened. The text names the key file, never the value.
pub type SealError = Box<dyn std::error::Error + Send + Sync>;

/// Seals and opens the values of some keys.
pub trait Seal: Debug + Send + Sync {
    /// The bytes to put into the file for `value`, or `None` to put the value itself.
    fn seal(&self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, SealError>;

    /// The value behind the bytes of the file, or `None` when they are the value themselves.
    fn open(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError>;

    /// The bytes to put into the file in place of `stored`, so that only the present key is needed to open them, or
    /// `None` when `stored` is that already.
    fn reseal(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError>;
}

/// What stands between memory, where values are packed, and the files, where they are plain or sealed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealing {
    seal: Option<Arc<dyn Seal>>,
    words: &'static [u8],
}

impl Sealing {
    pub fn new(seal: Option<Arc<dyn Seal>>, words: &'static [u8]) -> Self {
        Self { seal, words }
    }

    /// The value as memory is to hold it.
    pub fn pack(&self, value: &[u8]) -> Packed {
        Packed::new(value, self.words)
    }

    /// The value as the files are to hold it.
    pub fn seal<'v>(&self, key: &str, value: &'v Packed) -> Result<Cow<'v, [u8]>, DiskError> {
        let plain = value.plain();
        let Some(seal) = &self.seal else { return Ok(plain) };
        match seal.seal(key, &plain) {
            Ok(Some(sealed)) => Ok(Cow::Owned(sealed)),
            Ok(None) => Ok(plain),
            Err(source) => Err(DiskError::Sealed { key: key.to_owned(), source }),
        }
    }

    /// The value behind the bytes of a file.
    pub fn open(&self, key: &str, stored: &[u8]) -> Result<Packed, DiskError> {
        let Some(seal) = &self.seal else { return Ok(self.pack(stored)) };
        match seal.open(key, stored) {
            Ok(Some(value)) => Ok(self.pack(&value)),
            Ok(None) => Ok(self.pack(stored)),
            Err(source) => Err(DiskError::Sealed { key: key.to_owned(), source }),
        }
    }
}
