//! Checks that several workload kinds share.

use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::read::number;

/// Counts of the specification that may be absent but not negative.
pub(crate) fn non_negative(object: &Value, fields: &[&str]) -> Vec<FieldError> {
    let value = |field: &str| number(object, &format!("/spec/{field}"));
    let negative = fields.iter().filter(|field| value(field) < 0);
    let error = |field: &&str| {
        let path = Path::root("spec").child(field);
        FieldError::invalid(&path, value(field), "must be greater than or equal to 0")
    };
    negative.map(error).collect()
}

/// `2` or `25%`; absent is fine.
pub(crate) fn count_or_percent(value: &Value, path: &Path) -> Option<FieldError> {
    match value {
        Value::Number(count) if count.as_i64().is_some_and(|count| count < 0) => {
            Some(FieldError::invalid(path, value.clone(), "must be greater than or equal to 0"))
        }
        Value::String(text) => {
            let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty());
            let sound = digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                          '93%', regex used for validation is '[0-9]+%')";
            (!sound).then(|| FieldError::invalid(path, text.as_str(), detail))
        }
        _ => None,
    }
}
