//! Objects as they lie in the store, and as they are handed out.
//!
//! Stored bytes are the object's JSON without `metadata.resourceVersion`: the store's revision is that version, so
//! it is known only after the write and added on every read.

use bytes::Bytes;
use drydock_store::Entry;
use serde_json::Value;

use crate::meta;
use crate::status::ApiError;

/// A stored object with its `resourceVersion` in place.
#[derive(Debug, Clone)]
pub struct Object {
    pub revision: u64,
    pub value: Value,
}

pub fn encode(object: &Value) -> Result<Bytes, ApiError> {
    let mut object = object.clone();
    meta::set(&mut object, "resourceVersion", None);
    let bytes = serde_json::to_vec(&object).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(bytes.into())
}

pub fn decode(entry: &Entry) -> Result<Object, ApiError> {
    decode_at(&entry.value, entry.revision)
}

/// Decodes with another revision than the one that wrote the bytes, as the last event of a deleted object carries.
pub fn decode_at(bytes: &[u8], revision: u64) -> Result<Object, ApiError> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| ApiError::internal(error.to_string()))?;
    with_revision(&mut value, revision);
    Ok(Object { revision, value })
}

pub fn with_revision(object: &mut Value, revision: u64) {
    meta::set(object, "resourceVersion", Some(revision.to_string().into()));
}
