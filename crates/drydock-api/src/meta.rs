//! Small readings and changes of an object's `metadata`.

use serde_json::{Map, Value};

use crate::stored::Object;

pub fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str).unwrap_or("")
}

pub fn name(object: &Value) -> &str {
    text(object, "name")
}

pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// The metadata map, created when the object has none. `None` when the object or its metadata is no map.
pub fn of_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let object = object.as_object_mut()?;
    object.entry("metadata").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

/// Sets a metadata field, or removes it with `None`.
/// Gives the object metadata, if it has none.
pub fn ensure(object: &mut Value) {
    if let Value::Object(fields) = object
        && !fields.get("metadata").is_some_and(Value::is_object)
    {
        fields.insert("metadata".to_owned(), Value::Object(serde_json::Map::new()));
    }
}

pub fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(metadata) = of_mut(object) else { return };
    match value {
        Some(value) => metadata.insert(field.to_owned(), value),
        None => metadata.remove(field),
    };
}

/// Makes a metadata field what it is in `from`, present or not.
pub fn carry_over(object: &mut Value, from: &Value, field: &str) {
    set(object, field, from.get("metadata").and_then(|metadata| metadata.get(field)).cloned());
}

/// Makes a top-level field what it is in `from`, present or not.
pub fn carry_over_field(object: &mut Value, from: Option<&Value>, field: &str) {
    let Some(object) = object.as_object_mut() else { return };
    match from.and_then(|from| from.get(field)) {
        Some(value) => object.insert(field.to_owned(), value.clone()),
        None => object.remove(field),
    };
}

pub fn finalizers(object: &Value) -> Vec<&str> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

pub fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Whether nothing keeps a deleted object any longer: no finalizer, no grace period, and for a namespace no content.
pub fn may_vanish(object: &Value) -> bool {
    let grace = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    let held = is_namespace
        && object.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    is_deleting(object) && finalizers(object).is_empty() && grace == 0 && !held
}

/// A label map as pairs.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or("")))
}

/// Whether two states of an object differ in nothing a client can see.
pub fn same(a: &Object, b: &Value) -> bool {
    let (Some(fields), Some(others)) = (a.value.as_object(), b.as_object()) else { return false };
    let metadata = (
        fields.get("metadata").and_then(Value::as_object),
        others.get("metadata").and_then(Value::as_object),
    );
    let same_metadata = match metadata {
        (Some(own), Some(other)) => same_but(own, other, "resourceVersion"),
        _ => false,
    };
    same_metadata && same_but(fields, others, "metadata")
}

/// Whether two maps hold the same, one key left aside.
fn same_but(a: &Map<String, Value>, b: &Map<String, Value>, but: &str) -> bool {
    let rest = |map: &'_ Map<String, Value>| map.len() - usize::from(map.contains_key(but));
    rest(a) == rest(b) && a.iter().all(|(key, value)| key == but || b.get(key) == Some(value))
}

/// A time as the API writes it: whole seconds, UTC.
pub fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
