//! Three-way merges on this side of the wire, for releases that were not applied by the server. Pure.
//!
//! What the last revision had and the new one has not is removed; what the new one says is set; everything else of
//! the live object stays. Lists of named things are merged by name, as the strategic merge of Kubernetes does; the
//! names come from the types' own `patchMergeKey`.

use serde_json::{Map, Value};

/// Lists that are merged by a key of their elements, by the field that holds them.
const MERGE_KEYS: [(&str, &[&str]); 17] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("ports", &["containerPort", "port"]),
    ("imagePullSecrets", &["name"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    ("secrets", &["name"]),
    ("webhooks", &["name"]),
    ("ownerReferences", &["uid"]),
    ("conditions", &["type"]),
];
/// Lists of plain values that are sets.
const SETS: [&str; 1] = ["finalizers"];

/// What `live` becomes when `wanted` follows `original`.
pub(crate) fn three_way(original: &Value, wanted: &Value, live: &Value) -> Value {
    merge("", original, wanted, live)
}

fn merge(field: &str, original: &Value, wanted: &Value, live: &Value) -> Value {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            Value::Object(merge_maps(original.as_object().unwrap_or(&Map::new()), wanted, live))
        }
        (Value::Array(wanted), Value::Array(live)) => {
            let original = original.as_array().map(Vec::as_slice).unwrap_or_default();
            match merge_key(field, wanted, live) {
                Some(key) => Value::Array(merge_lists(key, original, wanted, live)),
                None if SETS.contains(&field) => Value::Array(merge_sets(original, wanted, live)),
                None => Value::Array(wanted.clone()),
            }
        }
        (wanted, _) => wanted.clone(),
    }
}

fn merge_maps(
    original: &Map<String, Value>,
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
) -> Map<String, Value> {
    let is_wanted = |key: &str| wanted.get(key).is_some_and(|value| !value.is_null());
    let mut merged = live.clone();
    merged.retain(|key, _| is_wanted(key) || !(original.contains_key(key) || wanted.contains_key(key)));
    for (key, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
        let before = original.get(key).unwrap_or(&Value::Null);
        let now = live.get(key).unwrap_or(&Value::Null);
        merged.insert(key.clone(), merge(key, before, value, now));
    }
    merged
}

/// The key that every element has.
fn merge_key(field: &str, wanted: &[Value], live: &[Value]) -> Option<&'static str> {
    let (_, keys) = MERGE_KEYS.iter().find(|(name, _)| *name == field)?;
    let has = |key: &str| wanted.iter().chain(live).all(|element| element.get(key).is_some());
    keys.iter().copied().find(|key| has(key))
}

fn merge_lists(key: &str, original: &[Value], wanted: &[Value], live: &[Value]) -> Vec<Value> {
    let find =
        |list: &[Value], element: &Value| list.iter().find(|other| other[key] == element[key]).cloned();
    let merged = |element: &Value| {
        let before = find(original, element).unwrap_or(Value::Null);
        let now = find(live, element).unwrap_or(Value::Null);
        merge("", &before, element, &now)
    };
    let common = |list: &[Value], of: &[Value]| -> Vec<Value> {
        list.iter()
            .filter(|element| find(of, element).is_some())
            .map(|element| element[key].clone())
            .collect()
    };
    let mut result = Vec::new();
    if common(live, wanted) == common(wanted, live) {
        for element in live {
            match find(wanted, element) {
                Some(wanted) => result.push(merged(&wanted)),
                None if find(original, element).is_none() => result.push(element.clone()),
                None => {}
            }
        }
        result.extend(wanted.iter().filter(|element| find(live, element).is_none()).cloned());
    } else {
        result.extend(wanted.iter().map(merged));
        let own = |element: &&Value| find(wanted, element).is_none() && find(original, element).is_none();
        result.extend(live.iter().filter(own).cloned());
    }
    result
}

fn merge_sets(original: &[Value], wanted: &[Value], live: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> =
        live.iter().filter(|value| wanted.contains(value) || !original.contains(value)).cloned().collect();
    merged.extend(wanted.iter().filter(|value| !live.contains(value)).cloned());
    merged
}

/// The JSON merge patch that makes `from` into `to`; an empty map when they are equal.
pub(crate) fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(same) if same == value => {}
            Some(was @ Value::Object(_)) if value.is_object() => {
                let inner = merge_patch(was, value);
                if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            _ => drop(patch.insert(key.clone(), without_nulls(value))),
        }
    }
    Value::Object(patch)
}

/// A null in a merge patch would delete.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(original: Value, wanted: Value, live: Value, expect: Value) {
        let merged = three_way(&original, &wanted, &live);
        assert_eq!(merged, expect);
        // A second time there is nothing left to do.
        assert_eq!(merge_patch(&merged, &three_way(&wanted, &wanted, &merged)), json!({}));
    }

    #[test]
    fn what_the_chart_dropped_goes_and_what_others_added_stays() {
        check(
            json!({ "a": 1, "b": 1 }),
            json!({ "a": 2 }),
            json!({ "a": 1, "b": 1, "c": 1 }),
            json!({ "a": 2, "c": 1 }),
        );
    }

    #[test]
    fn drift_is_set_right_again() {
        check(json!({ "a": 1 }), json!({ "a": 1 }), json!({ "a": 7 }), json!({ "a": 1 }));
    }

    #[test]
    fn a_null_takes_a_field_away() {
        check(json!({}), json!({ "a": null }), json!({ "a": 1 }), json!({}));
    }

    #[test]
    fn containers_are_merged_by_name() {
        check(
            json!({ "containers": [{ "name": "web", "image": "1" }, { "name": "old" }] }),
            json!({ "containers": [{ "name": "web", "image": "2" }] }),
            json!({ "containers": [{ "name": "web", "image": "1", "terminationMessagePath": "/x" }, { "name": "old" }, { "name": "injected" }] }),
            json!({ "containers": [{ "name": "web", "image": "2", "terminationMessagePath": "/x" }, { "name": "injected" }] }),
        );
    }

    #[test]
    fn a_new_order_is_followed() {
        let named = |names: &[&str]| json!({ "env": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() });
        check(named(&["a", "b"]), named(&["b", "a"]), named(&["a", "b", "x"]), named(&["b", "a", "x"]));
    }

    #[test]
    fn lists_without_names_are_replaced() {
        check(
            json!({ "args": ["a"] }),
            json!({ "args": ["b"] }),
            json!({ "args": ["a", "z"] }),
            json!({ "args": ["b"] }),
        );
    }

    #[test]
    fn a_patch_says_only_what_differs() {
        let patch =
            merge_patch(&json!({ "a": { "b": 1, "c": 1 }, "d": 1 }), &json!({ "a": { "b": 2, "c": 1 } }));
        assert_eq!(patch, json!({ "a": { "b": 2 }, "d": null }));
    }
}
