//! ConfigMap: configuration that is no secret.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use crate::column::ColumnType;
use crate::field::{FieldError, Path};
use crate::read::{entries, flag};
use crate::rules;
use crate::{Column, KindSpec};

/// The largest sum of all values.
pub(crate) const MAX_DATA_BYTES: usize = 1024 * 1024;

pub const KIND: KindSpec =
    KindSpec::namespaced::<ConfigMap>().short_names(&["cm"]).validate_with(validate).columns(&[
        Column::compute("Data", |object, _| {
            Value::from(entries(object, "/data").count() + entries(object, "/binaryData").count())
        })
        .typed(ColumnType::Integer),
        Column::age(),
    ]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, _) in entries(new, "/data") {
        let at = Path::root("data").key(key);
        errors.extend(rules::check(rules::data_key, key, &at));
        if new["binaryData"].get(key).is_some() {
            errors.push(FieldError::invalid(&at, key.as_str(), "duplicate of key present in binaryData"));
        }
    }
    errors.extend(keys(new, "binaryData"));
    let size = |field: &str| -> usize {
        entries(new, field).map(|(_, value)| value.as_str().map_or(0, str::len)).sum()
    };
    if size("/data") + size("/binaryData") / 4 * 3 > MAX_DATA_BYTES {
        errors.push(FieldError::too_long(&Path::root("[]"), MAX_DATA_BYTES));
    }
    errors.extend(old.map(|old| frozen(new, old, &["data", "binaryData"])).unwrap_or_default());
    errors
}

/// Keys become file names.
pub(crate) fn keys(object: &Value, field: &str) -> Vec<FieldError> {
    let bad = |(key, _): (&String, &Value)| rules::check(rules::data_key, key, &Path::root(field).key(key));
    entries(object, &format!("/{field}")).flat_map(bad).collect()
}

/// Once `immutable` is set, it stays and so do these fields.
pub(crate) fn frozen(new: &Value, old: &Value, fields: &[&str]) -> Vec<FieldError> {
    if !flag(old, "/immutable") {
        return Vec::new();
    }
    let detail = "field is immutable when `immutable` is set";
    let thawed = (!flag(new, "/immutable")).then_some("immutable");
    let changed = fields.iter().copied().filter(|field| new.get(field) != old.get(field));
    thawed.into_iter().chain(changed).map(|field| FieldError::forbidden(&Path::root(field), detail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(new: Value, old: Value, expect: &[&str]) {
        let texts: Vec<String> = validate(&new, Some(&old)).iter().map(|error| error.to_string()).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn an_immutable_map_keeps_its_data() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        check(old.clone(), old.clone(), &[]);
        check(
            json!({"data": {"a": "2"}}),
            old,
            &[
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ],
        );
    }

    #[test]
    fn a_mutable_map_may_change() {
        check(json!({"data": {"a": "2"}}), json!({"data": {"a": "1"}}), &[]);
    }
}
