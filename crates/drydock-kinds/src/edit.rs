//! Filling in defaults: every function leaves what the author wrote.

use serde_json::{Map, Value};

/// Sets `key` when it is absent. Does nothing when `parent` is no object.
pub(crate) fn fill(parent: &mut Value, key: &str, value: impl Into<Value>) {
    let Some(fields) = parent.as_object_mut() else { return };
    let missing = fields.get(key).is_none_or(Value::is_null);
    if missing {
        fields.insert(key.to_owned(), value.into());
    }
}

/// Sets several keys of the object at a JSON pointer, creating that object (but not its parents).
pub(crate) fn fill_at(object: &mut Value, pointer: &str, defaults: Value) {
    let Some(target) = ensure(object, pointer) else { return };
    let Value::Object(defaults) = defaults else { return };
    for (key, value) in defaults {
        fill(target, &key, value);
    }
}

/// The object at a JSON pointer, created empty when its last segment is absent.
pub(crate) fn ensure<'v>(object: &'v mut Value, pointer: &str) -> Option<&'v mut Value> {
    if let Some((parent, key)) = pointer.rsplit_once('/') {
        fill(object.pointer_mut(parent)?, key, Map::new());
    }
    object.pointer_mut(pointer)
}

/// The entries of the list at a JSON pointer.
pub(crate) fn each<'v>(object: &'v mut Value, pointer: &str) -> impl Iterator<Item = &'v mut Value> {
    object.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Replaces the status of a new object; updates keep theirs.
pub(crate) fn start_status(new: &mut Value, old: Option<&Value>, status: Value) {
    if let (None, Some(object)) = (old, new.as_object_mut()) {
        object.insert("status".to_owned(), status);
    }
}

/// As [`start_status`] with nothing in it: for kinds whose status only controllers write.
pub(crate) fn start_without_status(new: &mut Value, old: Option<&Value>) {
    start_status(new, old, Value::Object(Default::default()));
}

/// Copies a field the client left out from the stored object, so that a full update need not repeat it.
pub(crate) fn carry_over(new: &mut Value, old: &Value, parent: &str, key: &str) {
    let stored = old.pointer(parent).and_then(|fields| fields.get(key));
    if let (Some(stored), Some(target)) = (stored, new.pointer_mut(parent)) {
        let blank = target.get(key).is_some_and(|value| value.as_str() == Some(""));
        if blank {
            target[key] = stored.clone();
        }
        fill(target, key, stored.clone());
    }
}

/// Removes a field that holds an empty text, where empty and absent mean the same.
pub(crate) fn drop_blank(parent: &mut Value, key: &str) {
    if let Some(fields) = parent.as_object_mut()
        && fields.get(key).and_then(Value::as_str) == Some("")
    {
        fields.remove(key);
    }
}
