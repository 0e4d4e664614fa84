//! Fills in what a Go server writes although nobody set it: fields whose tag does not let them be left out.
//!
//! For the API, so that an object that came as JSON reads like one of a real cluster: `lastProbeTime: null` in a pod's
//! condition, `rules: null` in a role. Values that are there stay as they are; what the table does not know, too.
//!
//! Start at [`complete`]; [`blank`] is an object in which nothing was set.

use serde_json::{Map, Value};

use crate::table::{Field, Kind, Many, Message, table};

/// Adds the empty fields that a Go server would write. Kinds without a published message stay as they are.
pub fn complete(object: &mut Value) {
    let message = match named(object) {
        Some((api_version, kind)) => table().kind(api_version, kind),
        None => None,
    };
    if let (Some(message), Value::Object(fields)) = (message, object) {
        fill(message, fields);
    }
}

/// An object of this kind in which nothing was set; without apiVersion and kind.
pub fn blank(api_version: &str, kind: &str) -> Option<Value> {
    table().kind(api_version, kind).map(empty)
}

fn named(object: &Value) -> Option<(&str, &str)> {
    Some((object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?))
}

/// As deep as the object, plus structures within structures, of which the published types have few.
fn fill(message: &Message, object: &mut Map<String, Value>) {
    for field in &message.fields {
        if let (Kind::Message(inner), true, false) = (field.kind, field.inline, field.can_be_nil()) {
            fill(table().message(inner), object);
            continue;
        }
        match object.get_mut(field.json) {
            // Empty lists do not survive a store that keeps protobuf: nobody sees other than null.
            Some(value) if is_empty(value) && field.can_be_nil() && !field.is_left_out() => {
                *value = Value::Null
            }
            Some(value) if !value.is_null() => descend(field, value),
            _ if field.is_left_out() => {}
            _ => drop(object.insert(field.json.to_owned(), zero(field))),
        }
    }
}

fn descend(field: &Field, value: &mut Value) {
    let Kind::Message(inner) = field.kind else { return };
    let message = table().message(inner);
    let fill_one = |value: &mut Value| {
        if let Value::Object(fields) = value {
            fill(message, fields);
        }
    };
    match (field.many, value) {
        (Many::One, value) => fill_one(value),
        (Many::List, Value::Array(items)) => items.iter_mut().for_each(fill_one),
        (Many::Map, Value::Object(entries)) => entries.values_mut().for_each(fill_one),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn zero(field: &Field) -> Value {
    if field.can_be_nil() {
        return Value::Null;
    }
    match field.kind {
        Kind::String => Value::from(""),
        Kind::Bool | Kind::OrBool(_) => Value::Bool(false),
        Kind::Int32 | Kind::Int64 | Kind::IntOrString => Value::from(0),
        Kind::Double => Value::from(0.0),
        Kind::Duration => Value::from("0s"),
        Kind::Quantity => Value::from("0"),
        Kind::Message(inner) => empty(table().message(inner)),
        _ => Value::Null,
    }
}

fn empty(message: &Message) -> Value {
    let mut fields = Map::new();
    fill(message, &mut fields);
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(mut object: Value, expect: Value) {
        complete(&mut object);
        assert_eq!(object, expect);
    }

    #[test]
    fn what_go_always_writes_is_there_though_nobody_set_it() {
        check(
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role" }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {}, "rules": null }),
        );
    }

    #[test]
    fn lists_of_structures_are_completed_and_what_is_set_stays() {
        let given = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" }, "spec": { "containers": [{ "name": "c" }] },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        let mut whole = given.clone();
        whole["spec"]["containers"][0]["resources"] = json!({});
        whole["status"]["conditions"][0]["lastProbeTime"] = Value::Null;
        whole["status"]["conditions"][0]["lastTransitionTime"] = Value::Null;
        check(given, whole);
    }

    #[test]
    fn kinds_without_a_message_stay_as_they_are() {
        let custom = json!({ "apiVersion": "example.com/v1", "kind": "Thing" });
        check(custom.clone(), custom);
    }

    #[test]
    fn a_blank_object_has_only_what_cannot_be_left_out() {
        let expect = json!({ "metadata": {}, "spec": { "containers": null }, "status": {} });
        assert_eq!(blank("v1", "Pod"), Some(expect));
    }
}
