//! Validation that holds for every kind: names, labels, owners and what of the metadata may never change.
//!
//! Start at [`KindSpec::check`], which is what the API calls.

use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::read::{entries, list, text, texts};
use crate::rules;
use crate::spec::{KindSpec, NameRule};

/// Events own nothing: they go by themselves.
const EVENTS: &[(&str, &str)] =
    &[("v1", "Event"), ("events.k8s.io/v1", "Event"), ("events.k8s.io/v1beta1", "Event")];
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

impl KindSpec {
    /// All reasons to refuse `new`, or its update over `old`. Call after conforming, defaulting and preparing.
    pub fn check(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        self.check_through("", new, old)
    }

    /// The same for a write through a subresource, which may have rules of its own.
    pub fn check_through(&self, subresource: &str, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let validate = match self.door {
            Some((door, validate)) if door == subresource => validate,
            _ => self.validate,
        };
        let mut errors = check(self.name_rule, self.is_namespaced(), new, old);
        errors.extend(own_finalizers(new));
        errors.extend(validate(new, old));
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
    } else {
        errors.extend(rules::check(rule.rule(), name, &path.child("name")));
    }
    let namespace = text(new, "/metadata/namespace");
    match (is_namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required(&path.child("namespace"), "")),
        (false, false) => {
            errors.push(FieldError::forbidden(&path.child("namespace"), "not allowed on this type"));
        }
        (true, false) => errors.extend(rules::check(rules::label, namespace, &path.child("namespace"))),
        (false, true) => {}
    }
    errors
}

impl NameRule {
    fn rule(self) -> rules::Rule {
        match self {
            Self::Subdomain => rules::subdomain,
            Self::Label => rules::label,
            Self::Label1035 => rules::label_1035,
            Self::PathSegment => rules::path_segment,
        }
    }

    /// The first complaint about a name; `None` when it is sound.
    pub fn complaint(self, name: &str) -> Option<String> {
        self.rule()(name).into_iter().next()
    }
}

/// The labels at a JSON pointer.
pub(crate) fn labels(object: &Value, pointer: &str, path: &Path) -> Vec<FieldError> {
    let check = |(key, value): (&String, &Value)| {
        let mut errors = rules::check(rules::qualified, key, path);
        errors.extend(rules::check(rules::label_value, value.as_str().unwrap_or_default(), path));
        errors
    };
    entries(object, pointer).flat_map(check).collect()
}

fn annotations(object: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, _) in entries(object, "/metadata/annotations") {
        let complaints = rules::qualified(&key.to_ascii_lowercase());
        errors.extend(complaints.into_iter().map(|text| FieldError::invalid(path, key.as_str(), text)));
    }
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if entries(object, "/metadata/annotations").map(size).sum::<usize>() > MAX_ANNOTATIONS_BYTES {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS_BYTES));
    }
    errors
}

fn finalizers(object: &Value, path: &Path) -> Vec<FieldError> {
    let all: Vec<&str> = texts(object, "/metadata/finalizers").collect();
    let mut errors: Vec<FieldError> =
        all.iter().flat_map(|name| rules::check(rules::qualified, name, path)).collect();
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, object["metadata"]["finalizers"].clone(), detail));
    }
    errors
}

/// On built-in kinds a finalizer says whose it is, unless it is one of the engine's own.
fn own_finalizers(object: &Value) -> Vec<FieldError> {
    let path = Path::root("metadata").child("finalizers");
    let names = texts(object, "/metadata/finalizers").enumerate();
    names.filter_map(|(index, name)| own_finalizer(name, &path.index(index))).collect()
}

fn own_finalizer(name: &str, at: &Path) -> Option<FieldError> {
    let strange =
        rules::qualified(name).is_empty() && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name);
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    strange.then(|| FieldError::invalid(at, name, why))
}

/// A finalizer of a namespace.
pub(crate) fn finalizer(name: &str, path: &Path) -> Vec<FieldError> {
    rules::check(rules::qualified, name, path).into_iter().chain(own_finalizer(name, path)).collect()
}

fn owners(object: &Value, path: &Path) -> Vec<FieldError> {
    let owners = list(object, "/metadata/ownerReferences");
    let mut errors: Vec<FieldError> = owners.iter().flat_map(|owner| owner_errors(owner, path)).collect();
    let controllers: Vec<&Value> = owners.iter().filter(|owner| owner["controller"] == true).collect();
    if let [first, second, ..] = controllers.as_slice() {
        let name = |owner: &Value| format!("{}/{}", text(owner, "/kind"), text(owner, "/name"));
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            name(first),
            name(second)
        );
        errors.push(FieldError::invalid(path, object["metadata"]["ownerReferences"].clone(), detail));
    }
    errors
}

fn owner_errors(owner: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let version = text(owner, "/apiVersion");
    if version.is_empty() || version.matches('/').count() > 1 {
        let detail = "version must not be empty";
        errors.push(FieldError::invalid(&path.child("apiVersion"), version, detail));
    }
    for field in ["kind", "name", "uid"] {
        if text(owner, &format!("/{field}")).is_empty() {
            errors.push(FieldError::invalid(&path.child(field), "", "must not be empty"));
        }
    }
    if EVENTS.contains(&(version, text(owner, "/kind"))) {
        let group_version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
        let detail = format!("{group_version}, Kind=Event is disallowed from being an owner");
        errors.push(FieldError::invalid(path, owner.clone(), detail));
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
                r#"metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","controller":true,"kind":"Pod""#,
            ],
        );
    }
}
