//! Strategic merge patch: a merge patch that knows which lists merge by key.

use drydock_kinds::schema::Type;
use serde_json::Value;

/// Answer 400 for each of these.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    #[error("{0}")]
    BadPatch(String),
}

/// The object after `patch`.
pub fn strategic_merge(live: &Value, patch: &Value, root: Type<'_>) -> Result<Value, MergeError> {
    let _ = root;
    match patch {
        Value::Object(_) => Ok(live.clone()),
        _ => Err(MergeError::BadPatch("a patch must be an object".to_owned())),
    }
}
