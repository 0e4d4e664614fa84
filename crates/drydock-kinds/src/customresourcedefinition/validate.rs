//! What a definition may say about names, versions, subresources and columns.

use serde_json::Value;

use crate::field::FieldError;

pub(super) fn validate(_new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    Vec::new()
}
