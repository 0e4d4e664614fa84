//! From merging here to the server's apply: fields that `helm` owns by updates become fields that it applies. Pure.
//!
//! Without it, fields that a chart drops would stay for ever, because the update still owns them.

use serde_json::{Map, Value, json};

use super::MANAGER;

/// The JSON patch that does it for a live object; `None` when there is nothing to move.
pub(crate) fn to_the_server(live: &Value) -> Option<Value> {
    let entries = live["metadata"]["managedFields"].as_array()?;
    let is_ours = |entry: &Value, operation: &str| {
        entry["manager"] == MANAGER
            && entry["operation"] == operation
            && entry["subresource"].as_str().unwrap_or_default().is_empty()
    };
    let updates: Vec<&Value> = entries.iter().filter(|entry| is_ours(entry, "Update")).collect();
    let first = updates.first()?;
    let applied = entries.iter().find(|entry| is_ours(entry, "Apply"));
    let mut merged = applied.map_or_else(|| (*first).clone(), Clone::clone);
    merged["operation"] = "Apply".into();
    for update in &updates {
        merged["fieldsV1"] = union(&merged["fieldsV1"], &update["fieldsV1"]);
    }
    let others = entries.iter().filter(|entry| !is_ours(entry, "Update") && !is_ours(entry, "Apply"));
    let moved: Vec<Value> = others.cloned().chain([merged]).collect();
    Some(json!([
        { "op": "replace", "path": "/metadata/managedFields", "value": moved },
        { "op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"] },
    ]))
}

/// Sets of fields are trees of maps; their union is the tree with the branches of both.
fn union(a: &Value, b: &Value) -> Value {
    let mut joined: Map<String, Value> = a.as_object().cloned().unwrap_or_default();
    for (key, value) in b.as_object().into_iter().flatten() {
        let old = joined.remove(key).unwrap_or_else(|| json!({}));
        joined.insert(key.clone(), union(&old, value));
    }
    Value::Object(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({ "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields })
    }

    fn live(entries: Vec<Value>) -> Value {
        json!({ "metadata": { "resourceVersion": "7", "managedFields": entries } })
    }

    #[test]
    fn an_update_of_helm_becomes_an_apply() {
        let object = live(vec![
            entry("helm", "Update", json!({ "f:data": { "f:a": {} } })),
            entry("kubectl", "Update", json!({})),
        ]);
        let patch = to_the_server(&object).unwrap();
        let entries = patch[0]["value"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((&entries[0]["manager"], &entries[1]["operation"]), (&json!("kubectl"), &json!("Apply")));
        assert_eq!(patch[1]["value"], "7");
    }

    #[test]
    fn what_was_applied_already_is_joined_with_it() {
        let object = live(vec![
            entry("helm", "Apply", json!({ "f:data": { "f:a": {} } })),
            entry("helm", "Update", json!({ "f:data": { "f:b": {} } })),
        ]);
        let patch = to_the_server(&object).unwrap();
        assert_eq!(patch[0]["value"][0]["fieldsV1"], json!({ "f:data": { "f:a": {}, "f:b": {} } }));
        assert_eq!(patch[0]["value"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_object_that_was_always_applied_is_left_alone() {
        assert_eq!(to_the_server(&live(vec![entry("helm", "Apply", json!({}))])), None);
        assert_eq!(to_the_server(&live(vec![entry("kubectl", "Update", json!({}))])), None);
    }
}
