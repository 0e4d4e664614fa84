//! What can go wrong with the store, split by what a caller can do about it.

use std::path::PathBuf;
use std::sync::Arc;

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store `{}` is in use by another drydock", path.display())]
    Locked { path: PathBuf },
    #[error(
        "the store `{}` is damaged: {detail}; `seaworthy drydock export` saves what is readable, `seaworthy drydock reset` puts it aside and starts with an empty one",
        path.display()
    )]
    Corrupt { path: PathBuf, detail: String },
    #[error(
        "the store `{}` was written by a newer version (format {found}, this one reads {known}); update, or run `seaworthy drydock reset`",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: u64, known: u64 },
    /// The file is whole; a value in it needs a key that is not there.
    #[error("the store `{}` holds `{key}` sealed, and it cannot be opened; nothing was changed", path.display())]
    Sealed {
        path: PathBuf,
        key: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot open the store `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A write was not carried out, or (`Disk`) may not have been: it was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// A precondition did not hold. `actual` is the revision found, `None` when the key is absent.
    #[error("`{key}` is not in the expected state (found revision {actual:?})")]
    Conflict { key: Arc<str>, actual: Option<u64> },
    #[error("cannot write to the store `{}`", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    #[error("the store is closed")]
    Closed,
}

/// The requested revision is older than the event log reaches; list again and start from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("revision {requested} has been compacted; the oldest one available is {floor}")]
pub struct Compacted {
    pub requested: u64,
    pub floor: u64,
}
