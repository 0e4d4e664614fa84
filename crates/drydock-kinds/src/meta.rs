//! Validation that holds for every kind: names, labels, owners and what of the metadata may never change.
//!
//! Start at [`KindSpec::check`], which is what the API calls.

use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::names;
use crate::read::{entries, list, text};
use crate::spec::{KindSpec, NameRule};

const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

impl KindSpec {
    /// All reasons to refuse `new`, or its update over `old`. Call after conforming, defaulting and preparing.
    pub fn check(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = check(self.name_rule, self.is_namespaced(), new, old);
        errors.extend((self.validate)(new, old));
        errors
    }
}

/// The rules for metadata, the same for every kind, custom ones included.
pub(crate) fn check(
    rule: NameRule,
    is_namespaced: bool,
    new: &Value,
    old: Option<&Value>,
) -> Vec<FieldError> {
    let path = Path::root("metadata");
    let mut errors = check_names(rule, is_namespaced, new, &path);
    errors.extend(labels(new, "/metadata/labels", &path.child("labels")));
    errors.extend(annotations(new, &path.child("annotations")));
    errors.extend(owners(new, &path.child("ownerReferences")));
    if let Some(old) = old {
        errors.extend(unchanged(new, old, &path));
    }
    errors
}

fn check_names(rule: NameRule, is_namespaced: bool, new: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = text(new, "/metadata/name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    } else if let Some(complaint) = rule.complaint(name) {
        errors.push(FieldError::invalid(&path.child("name"), name, complaint));
    }
    let namespace = text(new, "/metadata/namespace");
    match (is_namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required(&path.child("namespace"), "")),
        (false, false) => {
            errors.push(FieldError::forbidden(&path.child("namespace"), "not allowed on this type"));
        }
        (true, false) => errors.extend(
            names::label(namespace)
                .map(|complaint| FieldError::invalid(&path.child("namespace"), namespace, complaint)),
        ),
        (false, true) => {}
    }
    errors
}

impl NameRule {
    /// What is wrong with a name; `None` when nothing is.
    pub fn complaint(self, name: &str) -> Option<String> {
        match self {
            Self::Subdomain => names::subdomain(name),
            Self::Label => names::label(name),
            Self::Label1035 => names::label_1035(name),
            Self::PathSegment => names::path_segment(name),
        }
    }
}

/// The labels at a JSON pointer.
pub(crate) fn labels(object: &Value, pointer: &str, path: &Path) -> Vec<FieldError> {
    let check = |(key, value): (&String, &Value)| {
        let value = value.as_str().unwrap_or_default();
        let bad_key = names::qualified(key).map(|text| FieldError::invalid(path, key.as_str(), text));
        let bad_value = names::label_value(value).map(|text| FieldError::invalid(path, value, text));
        bad_key.into_iter().chain(bad_value)
    };
    entries(object, pointer).flat_map(check).collect()
}

fn annotations(object: &Value, path: &Path) -> Vec<FieldError> {
    let lower = |key: &str| names::qualified(&key.to_ascii_lowercase());
    let bad_keys = entries(object, "/metadata/annotations")
        .filter_map(|(key, _)| lower(key).map(|text| FieldError::invalid(path, key.as_str(), text)));
    let mut errors: Vec<FieldError> = bad_keys.collect();
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if entries(object, "/metadata/annotations").map(size).sum::<usize>() > MAX_ANNOTATIONS_BYTES {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS_BYTES));
    }
    errors
}

fn owners(object: &Value, path: &Path) -> Vec<FieldError> {
    let owners = list(object, "/metadata/ownerReferences");
    let mut errors = Vec::new();
    for (index, owner) in owners.iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{field}")).is_empty() {
                let at = path.index(index).child(field);
                errors.push(FieldError::invalid(&at, "", "must not be empty"));
            }
        }
    }
    let controllers = owners.iter().filter(|owner| owner["controller"] == Value::Bool(true)).count();
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true";
        errors.push(FieldError::invalid(path, controllers, detail));
    }
    errors
}

fn unchanged(new: &Value, old: &Value, path: &Path) -> Vec<FieldError> {
    let fields = ["name", "namespace", "uid", "creationTimestamp"];
    let changed = fields.into_iter().filter(|field| new["metadata"][field] != old["metadata"][field]);
    changed.map(|field| immutable(&path.child(field), &new["metadata"][field])).collect()
}

/// The error for a field that may never change.
pub(crate) fn immutable(path: &Path, value: &Value) -> FieldError {
    FieldError::invalid(path, value.clone(), "field is immutable")
}

/// [`immutable`] when the value at a JSON pointer differs from the stored one.
pub(crate) fn keeps(new: &Value, old: &Value, pointer: &str) -> Option<FieldError> {
    let value = new.pointer(pointer).unwrap_or(&Value::Null);
    let path = Path::root(&pointer.trim_start_matches('/').replace('/', "."));
    (Some(value) != Some(old.pointer(pointer).unwrap_or(&Value::Null))).then(|| immutable(&path, value))
}

#[cfg(test)]
mod tests {
    use crate::catalog::by_kind;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(metadata: Value, expect: &[&str]) {
        let spec = by_kind("", "v1", "ServiceAccount").expect("service accounts are served");
        let errors = spec.check(&json!({"metadata": metadata}), None);
        let texts: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert_eq!(texts.len(), expect.len(), "{texts:?}");
        for (text, start) in texts.iter().zip(expect) {
            assert!(text.starts_with(start), "{text}");
        }
    }

    #[test]
    fn a_sound_object_passes() {
        check(json!({"name": "a", "namespace": "b", "labels": {"app.kubernetes.io/name": "x"}}), &[]);
    }

    #[test]
    fn a_name_outside_the_rules_is_invalid() {
        check(
            json!({"name": "A_b", "namespace": "b"}),
            &[r#"metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain"#],
        );
    }

    #[test]
    fn a_missing_name_is_required() {
        check(
            json!({"namespace": "b"}),
            &["metadata.name: Required value: name or generateName is required"],
        );
    }

    #[test]
    fn a_bad_label_is_named() {
        check(
            json!({"name": "a", "namespace": "b", "labels": {"x": "a b"}}),
            &[r#"metadata.labels: Invalid value: "a b": a valid label"#],
        );
    }

    #[test]
    fn an_object_has_one_controller() {
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true});
        check(
            json!({"name": "a", "namespace": "b", "ownerReferences": [owner, owner]}),
            &[
                "metadata.ownerReferences: Invalid value: 2: Only one reference can have Controller set to true",
            ],
        );
    }
}
