//! List types and map types: what tells the items of a list apart, and what may be merged.

use serde_json::{Value, json};

use crate::field::{FieldError, Path};
use crate::read::{flag, text, texts};

/// The rules for list types and map types.
pub(super) fn validate(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let kind = text(schema, "/type");
    let typed = |key: &str, wanted: &str, known: &[&str], errors: &mut Vec<FieldError>| {
        let Some(given) = schema.get(key).and_then(Value::as_str) else { return };
        let why = format!("must be {wanted} if {key} is specified");
        match kind {
            "" => errors.push(FieldError::required(&path.child("type"), why)),
            other if other != wanted => errors.push(FieldError::invalid(&path.child("type"), other, why)),
            _ => {}
        }
        if !known.contains(&given) {
            errors.push(FieldError::not_supported(&path.child(key), given, known));
        }
    };
    typed("x-kubernetes-map-type", "object", &["atomic", "granular"], errors);
    typed("x-kubernetes-list-type", "array", &["atomic", "map", "set"], errors);
    let (list_type, item) = (text(schema, "/x-kubernetes-list-type"), &schema["items"]);
    let item_path = path.child("items");
    let keys: Vec<&str> = texts(schema, "/x-kubernetes-list-map-keys").collect();
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if !keys.is_empty() && list_type != "map" {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        let at = path.child("x-kubernetes-list-type");
        errors.push(match list_type {
            "" => FieldError::required(&at, why),
            other => FieldError::invalid(&at, other, why),
        });
    }
    if matches!(list_type, "set" | "map") && flag(item, "/nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(&item_path.child("nullable"), why));
    }
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    match (list_type, text(item, "/type")) {
        ("set", "array") if !matches!(text(item, "/x-kubernetes-list-type"), "" | "atomic") => {
            let at = item_path.child("x-kubernetes-list-type");
            errors.push(FieldError::invalid(&at, item["x-kubernetes-list-type"].clone(), why));
        }
        ("set", "object") if text(item, "/x-kubernetes-map-type") != "atomic" => {
            let at = item_path.child("x-kubernetes-map-type");
            errors.push(FieldError::invalid(&at, item["x-kubernetes-map-type"].clone(), why));
        }
        ("map", _) => map_keys(&keys, item, &keys_path, &item_path, errors),
        _ => {}
    }
}

fn map_keys(keys: &[&str], item: &Value, keys_path: &Path, item_path: &Path, errors: &mut Vec<FieldError>) {
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(keys_path, why));
    }
    if !item.is_object() {
        errors.push(FieldError::required(item_path, "must have a schema if x-kubernetes-list-type is map"));
        return;
    }
    if item["type"] != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(&item_path.child("type"), item["type"].clone(), why));
        return;
    }
    let required: Vec<&str> = texts(item, "/required").collect();
    for (index, key) in keys.iter().enumerate() {
        let at = item_path.child("properties").key(key);
        let Some(field) = item["properties"].get(*key) else {
            errors.push(FieldError::invalid(
                keys_path,
                json!(keys),
                "entries must all be names of item properties",
            ));
            continue;
        };
        if matches!(text(field, "/type"), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(&at.child("type"), item["type"].clone(), why));
        }
        if keys[..index].contains(key) {
            errors.push(FieldError::invalid(keys_path, json!(keys), "must not contain duplicate entries"));
        }
        if !required.contains(key) && field.get("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(&at.child("default"), why));
        }
        if flag(field, "/nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(&at.child("nullable"), why));
        }
    }
}
