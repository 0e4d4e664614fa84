//! Ownership after every write that is not an apply.

use drydock_kinds::schema::Type;
use jiff::Timestamp;
use serde_json::Value;

/// Who writes, and through which door.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The `fieldManager` parameter, or the program name at the head of the user agent.
    pub manager: &'a str,
    /// Empty for the main resource, else `status`, `scale` ...
    pub subresource: &'a str,
    /// Top-level fields this door does not own: `KindSpec::excluded_fields`.
    pub excluded: &'a [&'a str],
}

/// Answer 400 for each of these.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrackError {
    #[error("metadata.managedFields is not readable: {0}")]
    BadManagedFields(String),
}

/// Records in `new.metadata.managedFields` what this create, update or patch changed relative to `live`.
/// Call after defaulting and preparing, before validation. An unchanged object keeps its entries byte for byte.
pub fn track_update(
    live: Option<&Value>,
    new: &mut Value,
    root: Type<'_>,
    writer: Writer<'_>,
    now: Timestamp,
) -> Result<(), TrackError> {
    let _ = (live, new, root, writer, now);
    Ok(())
}
