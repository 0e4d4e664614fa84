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

/// [`count_or_percent`], and no more than all.
pub(crate) fn share(value: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = count_or_percent(value, path).into_iter().collect();
    let percent =
        value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
    if percent.is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(path, value.clone(), "must not be greater than 100%"));
    }
    errors
}

/// Whether a count or share comes to nothing, whatever it is a share of.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.strip_suffix('%').and_then(|text| text.parse::<i64>().ok()).unwrap_or(0) == 0
        }
        other => other.as_i64().unwrap_or(0) == 0,
    }
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
