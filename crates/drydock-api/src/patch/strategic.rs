//! Strategic merge patch: a merge patch that knows which lists merge by key.
//!
//! Understands `$patch: replace|delete`, `$retainKeys`, `$setElementOrder/<list>` and `$deleteFromPrimitiveList/<list>`.
//! The merge keys are those of the published schema's patch extensions, which differ from the keys of server-side
//! apply (a Service's ports merge by `port` alone).

use drydock_kinds::schema::{Field, PatchStrategy, Shape, Type};
use serde_json::{Map, Value};

use super::order::{Identity, arrange};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Answer 400 for each of these.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    #[error("the patch must be an object")]
    NoObject,
    #[error("invalid patch directive `{0}`")]
    UnknownDirective(String),
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey { item: String, key: String },
    #[error("invalid patch format of `{0}`")]
    BadDirective(String),
}

type Fields = Map<String, Value>;

/// The object after `patch`.
pub fn strategic_merge(live: &Value, patch: &Value, root: Type<'_>) -> Result<Value, MergeError> {
    let (Value::Object(live), Value::Object(patch)) = (live, patch) else { return Err(MergeError::NoObject) };
    merge_fields(live.clone(), patch, Some(root)).map(Value::Object)
}

fn merge_fields(mut live: Fields, patch: &Fields, ty: Option<Type<'_>>) -> Result<Fields, MergeError> {
    if let Some(directive) = patch.get(PATCH) {
        return whole(directive, patch);
    }
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain(&mut live, patch, keys)?;
    }
    for (key, value) in patch {
        if key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM) {
            continue;
        }
        merge_field(&mut live, key, value, patch, ty)?;
    }
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix(DELETE_FROM) {
            delete_values(&mut live, name, value)?;
        } else if let Some(name) = key.strip_prefix(SET_ORDER) {
            // With a patch for the list, the order was respected while merging.
            if !patch.contains_key(name) {
                reorder(&mut live, name, value, field_of(ty, name))?;
            }
        }
    }
    Ok(live)
}

fn merge_field(
    live: &mut Fields,
    name: &str,
    value: &Value,
    patch: &Fields,
    ty: Option<Type<'_>>,
) -> Result<(), MergeError> {
    let merged = match (live.get(name), value) {
        (_, Value::Null) => None,
        (Some(Value::Object(live)), Value::Object(patch)) => {
            if strategy(ty, name, PatchStrategy::Replace) {
                without_directives(value)
            } else {
                let child = child_type(ty, name);
                Some(Value::Object(merge_fields(live.clone(), patch, child)?))
            }
        }
        (Some(Value::Array(live)), Value::Array(items)) if strategy(ty, name, PatchStrategy::Merge) => {
            let field = field_of(ty, name);
            let order = patch.get(&format!("{SET_ORDER}{name}"));
            Some(Value::Array(merge_list(live, items, field, order)?))
        }
        _ => without_directives(value),
    };
    match merged {
        Some(merged) => live.insert(name.to_owned(), merged),
        None => live.remove(name),
    };
    Ok(())
}

/// `$patch` on a structure decides about all of it.
fn whole(directive: &Value, patch: &Fields) -> Result<Fields, MergeError> {
    match directive.as_str() {
        Some("replace") => {
            let mut patch = patch.clone();
            patch.remove(PATCH);
            Ok(patch)
        }
        Some("delete") => Ok(Fields::new()),
        _ => Err(MergeError::UnknownDirective(directive.to_string())),
    }
}

/// Fields that the directive does not list go; the patch may only set listed ones.
fn retain(live: &mut Fields, patch: &Fields, keys: &Value) -> Result<(), MergeError> {
    let bad = || MergeError::BadDirective(RETAIN_KEYS.to_owned());
    let keys = keys.as_array().ok_or_else(bad)?;
    let listed = |name: &String| keys.iter().any(|key| key.as_str() == Some(name));
    let sets = |(name, value): &(&String, &Value)| !value.is_null() && !name.starts_with('$');
    if patch.iter().filter(sets).any(|(name, _)| !listed(name)) {
        return Err(bad());
    }
    live.retain(|name, _| listed(name));
    Ok(())
}

fn merge_list(
    live: &[Value],
    patch: &[Value],
    field: Option<Field<'_>>,
    order: Option<&Value>,
) -> Result<Vec<Value>, MergeError> {
    let key = field.and_then(Field::merge_key);
    let (merged, wanted) = match key {
        Some(key) => merge_items(live, patch, key, field)?,
        None => (merge_values(live, patch), patch.to_vec()),
    };
    let wanted = match order {
        Some(Value::Array(order)) => order.clone(),
        Some(_) => return Err(MergeError::BadDirective(SET_ORDER.to_owned())),
        None => wanted,
    };
    Ok(arrange(merged, &wanted, live, Identity(key)))
}

/// Returns the merged items and those of the patch that are no directives.
fn merge_items(
    live: &[Value],
    patch: &[Value],
    key: &str,
    field: Option<Field<'_>>,
) -> Result<(Vec<Value>, Vec<Value>), MergeError> {
    let identity = Identity(Some(key));
    let (mut merged, mut plain) = (live.to_vec(), Vec::new());
    let mut replace = false;
    for item in patch {
        let keyed = || match item.get(key) {
            Some(_) => Ok(()),
            None => Err(MergeError::NoMergeKey { item: item.to_string(), key: key.to_owned() }),
        };
        match item.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
            None => {
                keyed()?;
                plain.push(item.clone());
            }
            Some("delete") => {
                keyed()?;
                merged.retain(|known| !identity.same(known, item));
            }
            Some("replace") => replace = true,
            Some(other) => return Err(MergeError::UnknownDirective(other.to_owned())),
        }
    }
    if replace {
        return Ok((plain.iter().filter_map(without_directives).collect(), plain));
    }
    let ty = field.and_then(|field| field.ty.items());
    for item in &plain {
        let known = merged.iter_mut().find(|known| identity.same(known, item));
        match (known, item) {
            (Some(known @ Value::Object(_)), Value::Object(patch)) => {
                let Value::Object(fields) = known.take() else { continue };
                *known = Value::Object(merge_fields(fields, patch, ty)?);
            }
            _ => merged.extend(without_directives(item)),
        }
    }
    Ok((merged, plain))
}

fn merge_values(live: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for value in live.iter().chain(patch) {
        if !merged.contains(value) {
            merged.push(value.clone());
        }
    }
    merged
}

fn delete_values(live: &mut Fields, name: &str, values: &Value) -> Result<(), MergeError> {
    let values = values.as_array().ok_or_else(|| MergeError::BadDirective(format!("{DELETE_FROM}{name}")))?;
    if let Some(Value::Array(items)) = live.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn reorder(live: &mut Fields, name: &str, order: &Value, field: Option<Field<'_>>) -> Result<(), MergeError> {
    let order = order.as_array().ok_or_else(|| MergeError::BadDirective(format!("{SET_ORDER}{name}")))?;
    if let Some(Value::Array(items)) = live.get_mut(name) {
        let before = std::mem::take(items);
        *items = arrange(before.clone(), order, &before, Identity(field.and_then(Field::merge_key)));
    }
    Ok(())
}

/// A new value with all directives and nulls taken out; `None` when it was only a directive.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => match fields[PATCH].as_str() {
            // Replacing what is not there is setting it.
            Some("replace") => {
                let mut fields = fields.clone();
                fields.remove(PATCH);
                without_directives(&Value::Object(fields))
            }
            _ => None,
        },
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, value)| !value.is_null() && !is_directive(key));
            let kept = kept.filter_map(|(key, value)| Some((key.clone(), without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_directives).collect())),
        other => Some(other.clone()),
    }
}

fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
}

fn field_of<'s>(ty: Option<Type<'s>>, name: &str) -> Option<Field<'s>> {
    ty.filter(|ty| ty.shape() == Shape::Struct)?.field(name)
}

fn child_type<'s>(ty: Option<Type<'s>>, name: &str) -> Option<Type<'s>> {
    match ty?.shape() {
        Shape::Struct => field_of(ty, name).map(|field| field.ty),
        _ => ty?.items(),
    }
}

fn strategy(ty: Option<Type<'_>>, name: &str, wanted: PatchStrategy) -> bool {
    field_of(ty, name).is_some_and(|field| field.has_strategy(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_kinds::schema::Schema;
    use serde_json::json;

    #[track_caller]
    fn check(kind: &str, live: Value, patch: Value, expect: Result<Value, &str>) {
        let group = if kind == "Deployment" { "apps" } else { "" };
        let root = Schema::builtin().kind(group, "v1", kind).expect("a schema");
        let got = strategic_merge(&json!({ "spec": live }), &json!({ "spec": patch }), root);
        match expect {
            Ok(spec) => assert_eq!(got, Ok(json!({ "spec": spec }))),
            Err(text) => assert_eq!(got.expect_err("a refusal").to_string(), text),
        }
    }

    #[test]
    fn plain_fields_are_set_and_nulls_remove() {
        check(
            "Deployment",
            json!({"replicas": 1, "paused": true}),
            json!({"replicas": 2, "paused": null}),
            Ok(json!({"replicas": 2})),
        );
    }

    #[test]
    fn lists_with_a_merge_key_merge_by_it_and_new_items_come_first() {
        check(
            "Pod",
            json!({"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}]}),
            Ok(
                json!({"containers": [{"name": "a", "image": "2", "tty": true}, {"name": "c"}, {"name": "b"}]}),
            ),
        );
    }

    #[test]
    fn an_order_directive_rules_even_without_a_patch_of_the_list() {
        let live = json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "x"}]});
        check(
            "Pod",
            live.clone(),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
            Ok(json!({"containers": [{"name": "b"}, {"name": "a"}, {"name": "x"}]})),
        );
        check(
            "Pod",
            live,
            json!({"$setElementOrder/containers": [{"name": "n"}, {"name": "a"}, {"name": "b"}], "containers": [{"name": "n"}]}),
            Ok(json!({"containers": [{"name": "n"}, {"name": "a"}, {"name": "b"}, {"name": "x"}]})),
        );
    }

    #[test]
    fn an_item_is_deleted_by_its_key() {
        check(
            "Pod",
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "$patch": "delete"}]}),
            Ok(json!({"containers": [{"name": "b"}]})),
        );
    }

    #[test]
    fn a_list_can_be_replaced_as_a_whole() {
        check(
            "Pod",
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a"}, {"$patch": "replace"}]}),
            Ok(json!({"containers": [{"name": "a"}]})),
        );
    }

    #[test]
    fn a_structure_can_be_replaced_or_emptied() {
        check(
            "Deployment",
            json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
            json!({"strategy": {"$patch": "replace", "type": "Recreate"}}),
            Ok(json!({"strategy": {"type": "Recreate"}})),
        );
        check(
            "Pod",
            json!({"nodeSelector": {"a": "b"}}),
            json!({"nodeSelector": {"$patch": "delete"}}),
            Ok(json!({"nodeSelector": {}})),
        );
    }

    #[test]
    fn retain_keys_drops_all_other_fields() {
        check(
            "Deployment",
            json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
            json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
            Ok(json!({"strategy": {"type": "Recreate"}})),
        );
        check(
            "Deployment",
            json!({"strategy": {"type": "RollingUpdate"}}),
            json!({"strategy": {"$retainKeys": ["rollingUpdate"], "type": "Recreate"}}),
            Err("invalid patch format of `$retainKeys`"),
        );
    }

    #[test]
    fn lists_of_plain_values_merge_or_are_replaced_as_the_schema_says() {
        let root = Schema::builtin().kind("", "v1", "Pod").expect("a schema");
        let live = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"containers": [{"name": "c", "command": ["x", "y"]}]}});
        let patch = json!({
            "metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
            "spec": {"containers": [{"name": "c", "command": ["z"]}]},
        });
        let got = strategic_merge(&live, &patch, root).expect("a sound patch");
        assert_eq!(got["metadata"]["finalizers"], json!(["c", "b"]));
        assert_eq!(got["spec"]["containers"][0]["command"], json!(["z"]));
    }

    #[test]
    fn ports_of_a_service_merge_by_port_alone() {
        check(
            "Service",
            json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 1}]}),
            json!({"ports": [{"port": 80, "targetPort": 2}]}),
            Ok(json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 2}]})),
        );
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        check(
            "Pod",
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"image": "x"}]}),
            Err(r#"map: {"image":"x"} does not contain declared merge key: name"#),
        );
    }

    #[test]
    fn directives_in_new_values_leave_no_trace() {
        check(
            "Pod",
            json!({}),
            json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "env": [{"name": "x", "$patch": "delete"}], "tty": null}]}),
            Ok(json!({"containers": [{"name": "a", "env": []}]})),
        );
    }
}
