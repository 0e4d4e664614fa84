//! The annotation in which client-side `kubectl apply` remembers its last configuration.
//!
//! For server-side apply by the manager `kubectl`, so that both ways of applying can be mixed.

use drydock_kinds::schema::Type;
use serde_json::Value;

use super::fieldset::FieldSet;
use super::walk::{compare, fields_of};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What all annotations of an object may weigh; beyond it this one is given up.
const MAX_ANNOTATIONS_BYTES: usize = 256 << 10;

/// The fields that the annotation sets and that still have its values. `None` without a usable annotation.
pub(super) fn untouched_fields(live: &Value, root: Type<'_>) -> Option<FieldSet> {
    let text = live.pointer("/metadata/annotations")?.get(LAST_APPLIED)?.as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last["apiVersion"] != live["apiVersion"] {
        return None;
    }
    let (set, removed) = compare(&last, live, root).set_and_removed();
    Some(fields_of(&last, root).difference(&set).difference(&removed))
}

/// Keeps the annotation in step with what is applied now, where there is one.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    let annotations = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let Some(annotations) = annotations else { return };
    if annotations.get(LAST_APPLIED).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(all) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        all.remove(LAST_APPLIED);
    }
    annotations.insert(LAST_APPLIED.to_owned(), format!("{config}\n").into());
    let weight = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if annotations.iter().map(weight).sum::<usize>() > MAX_ANNOTATIONS_BYTES {
        annotations.remove(LAST_APPLIED);
    }
}
