//! Validation that holds for every kind: names, labels, owners and what of the metadata may never change.
//!
//! Start at [`KindSpec::check`], which is what the API calls.

use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::names;
use crate::read::{entries, list, text};
use crate::spec::{KindSpec, NameRule};

/// Events own nothing: they go by themselves.
const EVENTS: &[(&str, &str)] =
    &[("v1", "Event"), ("events.k8s.io/v1", "Event"), ("events.k8s.io/v1beta1", "Event")];
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

impl KindSpec {
    /// All reasons to refuse `new`, or its update over `old`. Call after conforming, defaulting and preparing.
    pub fn check(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = check(self.name_rule, self.is_namespaced(), new, old);
        errors.extend(own_finalizers(new));
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
    errors.extend(finalizers(new, &path.child("finalizers")));
    if let Some(old) = old {
        errors.extend(unchanged(new, old, &path));
    }
    errors
}

fn check_names(rule: NameRule, is_namespaced: bool, new: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let prefix = text(new, "/metadata/generateName");
    // What follows a prefix is a letter, so a dash at its end is no dash at an end.
    let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |kept| format!("{kept}a"));
    if let Some(complaint) = (!prefix.is_empty()).then(|| rule.complaint(&masked)).flatten() {
        errors.push(FieldError::invalid(&path.child("generateName"), prefix, complaint));
    }
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
    for owner in owners {
        if EVENTS.contains(&(text(owner, "/apiVersion"), text(owner, "/kind"))) {
            let api_version = text(owner, "/apiVersion");
            let group_version =
                if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
            let why = format!("{group_version}, Kind=Event is disallowed from being an owner");
            errors.push(FieldError::invalid(path, owner.clone(), why));
        }
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{field}")).is_empty() {
                // Without an index: that is how every API server names it.
                let at = path.child(field);
                errors.push(FieldError::invalid(&at, "", "must not be empty"));
            }
        }
    }
    let mut controllers = owners.iter().filter(|owner| owner["controller"] == Value::Bool(true));
    if let (Some(first), Some(second)) = (controllers.next(), controllers.next()) {
        let named = |owner: &Value| format!("{}/{}", text(owner, "/kind"), text(owner, "/name"));
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            named(first),
            named(second)
        );
        errors.push(FieldError::invalid(path, owners.to_vec(), detail));
    }
    errors
}

/// On built-in kinds a finalizer says whose it is, unless it is one of the engine's own.
fn own_finalizers(object: &Value) -> Vec<FieldError> {
    let path = Path::root("metadata").child("finalizers");
    let names = list(object, "/metadata/finalizers").iter().filter_map(Value::as_str).enumerate();
    let strange = names.filter(|(_, name)| !name.contains('/') && !STANDARD_FINALIZERS.contains(name));
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    strange.map(|(index, name)| FieldError::invalid(&path.index(index), name, why)).collect()
}

fn finalizers(object: &Value, path: &Path) -> Vec<FieldError> {
    let names: Vec<&str> = list(object, "/metadata/finalizers").iter().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    for name in &names {
        if let Some(why) = names::qualified(name) {
            errors.push(FieldError::invalid(path, *name, why));
        }
    }
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        let why = "finalizers orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, names, why));
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
            &[r#"metadata.ownerReferences: Invalid value: [{"apiVersion":"v1""#],
        );
    }
}
