//! Server-side apply: merges what a manager wants into the live object and gives up what it no longer wants.

use drydock_kinds::schema::Type;
use jiff::Timestamp;
use serde_json::Value;

use super::tracking::Writer;

/// One apply request.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// The stored object; `None` creates it.
    pub live: Option<&'a Value>,
    /// The applied configuration, complete with `apiVersion`, `kind` and `metadata.name`.
    pub config: &'a Value,
    pub root: Type<'a>,
    pub writer: Writer<'a>,
    /// Takes fields over from other managers instead of reporting a conflict.
    pub force: bool,
    pub now: Timestamp,
}

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// As a cause's message: `conflict with "kubectl" using apps/v1`
    pub message: String,
    /// `.spec.replicas`
    pub field: String,
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ApplyError {
    /// Answer 409 with one cause per conflict.
    #[error("Apply failed with {} conflict{}", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Conflicts(Vec<Conflict>),
    /// Answer 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsInConfig,
    /// Answer 400.
    #[error("{0}")]
    BadConfig(String),
}

/// The object after the apply, `managedFields` included. Equal to `live` when nothing changes: then do not write.
pub fn apply(request: Apply<'_>) -> Result<Value, ApplyError> {
    Ok(request.config.clone())
}
