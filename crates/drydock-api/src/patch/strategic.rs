//! Strategic merge patch: a merge patch that knows which lists merge by key.
//!
//! Understands `$patch: replace|delete`, `$retainKeys`, `$setElementOrder/<list>` and `$deleteFromPrimitiveList/<list>`.
//! The merge keys are those of the published schema's patch extensions, which differ from the keys of server-side
//! apply (a Service's ports merge by `port` alone).

use drydock_kinds::schema::{Field, PatchStrategy, Shape, Type};
use serde_json::{Map, Value};

use super::go;
use super::order::{Identity, arrange};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Worded as clients know it from other API servers, Go's way of printing values included.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    #[error("the patch must be an object")]
    NoObject,
    #[error("unknown patch type: {directive} in map: {map}")]
    UnknownDirective { directive: String, map: String },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeOfList,
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey { item: String, key: String },
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    #[error("expected a []interface {{}}, but received a {found}")]
    NoList { found: &'static str },
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch { patch: String, order: String },
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("cannot merge lists without merge key for {0}")]
    NoDeclaredKey(String),
}

impl MergeError {
    /// Whether the client is told that its patch is malformed (400, or 422 for lists of lists). All else is
    /// answered 500 by every API server, so clients expect that.
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Self::NoObject | Self::BadRetainKeys)
    }
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
        if let Some(name) = key.strip_prefix(SET_ORDER) {
            merge_in_order(&mut live, name, patch.get(name), value, ty)?;
        }
    }
    for (key, value) in patch {
        let is_done = || patch.contains_key(&format!("{SET_ORDER}{key}"));
        if let Some(name) = key.strip_prefix(DELETE_FROM) {
            delete_values(&mut live, name, value)?;
        } else if key != RETAIN_KEYS && !key.starts_with(SET_ORDER) && !is_done() {
            merge_field(&mut live, key, value, ty)?;
        }
    }
    Ok(live)
}

fn merge_field(live: &mut Fields, name: &str, value: &Value, ty: Option<Type<'_>>) -> Result<(), MergeError> {
    let merged = match (live.get(name), value) {
        (_, Value::Null) => None,
        (Some(Value::Object(_)), Value::Object(_)) if strategy(ty, name, PatchStrategy::Replace) => {
            Some(value.clone())
        }
        (Some(Value::Object(live)), Value::Object(patch)) => {
            Some(Value::Object(merge_fields(live.clone(), patch, child_type(ty, name))?))
        }
        (Some(Value::Array(live)), Value::Array(items)) => Some(merge_list(live, items, name, ty)?.into()),
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
        _ => Err(unknown_directive(directive, &Value::Object(patch.clone()))),
    }
}

fn unknown_directive(directive: &Value, map: &Value) -> MergeError {
    MergeError::UnknownDirective { directive: go::text(directive), map: go::text(map) }
}

/// Fields that the directive does not list go; the patch may only set listed ones.
fn retain(live: &mut Fields, patch: &Fields, keys: &Value) -> Result<(), MergeError> {
    let keys = keys.as_array().ok_or(MergeError::BadRetainKeys)?;
    let listed = |name: &String| keys.iter().any(|key| key.as_str() == Some(name));
    let is_directive =
        |name: &str| name == RETAIN_KEYS || name.starts_with(SET_ORDER) || name.starts_with(DELETE_FROM);
    let sets = |(name, value): &(&String, &Value)| !value.is_null() && !is_directive(name);
    if patch.iter().filter(sets).any(|(name, _)| !listed(name)) {
        return Err(MergeError::BadRetainKeys);
    }
    live.retain(|name, _| listed(name));
    Ok(())
}

/// A list whose order the patch dictates, with or without a patch of its items.
fn merge_in_order(
    live: &mut Fields,
    name: &str,
    patch: Option<&Value>,
    order: &Value,
    ty: Option<Type<'_>>,
) -> Result<(), MergeError> {
    let list = |value: Option<&Value>| match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(MergeError::NoList { found: go::type_name(other) }),
    };
    let order = list(Some(order))?.unwrap_or_default();
    let (before, patch) = (list(live.get(name))?, list(patch)?);
    let key = field_of(ty, name).and_then(Field::merge_key);
    check_order(patch.as_deref().unwrap_or_default(), &order, key)?;
    let merged = match (&before, &patch) {
        (None, None) => return Ok(()),
        (Some(before), None) => before.clone(),
        (None, Some(patch)) => patch.iter().filter_map(without_directives).collect(),
        (Some(before), Some(patch)) => merge_list(before, patch, name, ty)?,
    };
    let before = order_after(&before.unwrap_or_default(), &patch.unwrap_or_default(), key);
    live.insert(name.to_owned(), arrange(merged, &order, &before, Identity(key)).into());
    Ok(())
}

/// The items of a patch must come in the order that it dictates. A `replace` counts only behind items of the order.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), MergeError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let directive = |item: &&Value| item.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    let mut items = patch.iter().filter(|item| directive(item).as_deref() != Some("delete")).peekable();
    for known in order {
        while items.next_if(|item| item.get(PATCH).is_some()).is_some() {}
        items.next_if(|item| Identity(key).same(known, item));
    }
    let text = |items: &[Value]| go::text(&Value::Array(items.to_vec()));
    match items.peek() {
        None => Ok(()),
        Some(_) => Err(MergeError::OrderMismatch { patch: text(patch), order: text(order) }),
    }
}

/// The live order as other API servers see it after a merge: they delete and append in place, so new items stand where
/// deleted ones were. People know the resulting order of a renamed container, so it is kept.
fn order_after(before: &[Value], patch: &[Value], key: Option<&str>) -> Vec<Value> {
    let (mut kept, identity) = (before.to_vec(), Identity(key));
    let is_delete = |item: &&Value| item.get(PATCH).and_then(Value::as_str) == Some("delete");
    for gone in patch.iter().filter(is_delete) {
        kept.retain(|known| !identity.same(known, gone));
    }
    let is_new =
        |item: &&Value| item.get(PATCH).is_none() && !before.iter().any(|known| identity.same(known, item));
    let room = before.len() - kept.len();
    kept.extend(patch.iter().filter(is_new).take(room).cloned());
    kept
}

fn merge_list(
    live: &[Value],
    patch: &[Value],
    name: &str,
    ty: Option<Type<'_>>,
) -> Result<Vec<Value>, MergeError> {
    if !strategy(ty, name, PatchStrategy::Merge) {
        return Ok(patch.to_vec());
    }
    let (field, both) = (field_of(ty, name), || live.iter().chain(patch));
    let Some(first) = both().next() else { return Ok(Vec::new()) };
    if first.is_array() {
        return Err(MergeError::ListOfLists);
    }
    if both().any(|item| go::type_name(item) != go::type_name(first)) {
        let lists = format!("{} {}", go::text(&live.into()), go::text(&patch.into()));
        return Err(MergeError::MixedList(lists));
    }
    if !first.is_object() {
        return Ok(arrange(merge_values(live, patch), patch, live, Identity(None)));
    }
    let key = field.and_then(Field::merge_key).ok_or_else(|| MergeError::NoDeclaredKey(name.to_owned()))?;
    merge_items(live, patch, key, field.and_then(|field| field.ty.items()))
}

/// Items that are structures, which may be directives of their own.
fn merge_items(
    live: &[Value],
    patch: &[Value],
    key: &str,
    ty: Option<Type<'_>>,
) -> Result<Vec<Value>, MergeError> {
    let identity = Identity(Some(key));
    let keyed = |item: &Value| match item.get(key) {
        Some(_) => Ok(()),
        None => Err(MergeError::NoMergeKey { item: go::text(item), key: key.to_owned() }),
    };
    let (mut merged, mut plain, mut replace) = (live.to_vec(), Vec::new(), false);
    for item in patch {
        match item.get(PATCH).map(|directive| (directive, directive.as_str())) {
            None => plain.push(item.clone()),
            Some((_, Some("delete"))) => {
                keyed(item)?;
                merged.retain(|known| !identity.same(known, item));
            }
            Some((_, Some("replace"))) => replace = true,
            Some((_, Some("merge"))) => return Err(MergeError::MergeOfList),
            Some((directive, _)) => return Err(unknown_directive(directive, item)),
        }
    }
    if replace {
        return Ok(plain);
    }
    let before = merged.clone();
    for item in &plain {
        keyed(item)?;
        let known = merged.iter_mut().find(|known| identity.same(known, item));
        match (known, item) {
            (Some(known @ Value::Object(_)), Value::Object(patch)) => {
                let Value::Object(fields) = known.take() else { continue };
                *known = Value::Object(merge_fields(fields, patch, ty)?);
            }
            _ => merged.push(item.clone()),
        }
    }
    Ok(arrange(merged, &plain, &before, identity))
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
    match (live.get_mut(name), values) {
        (Some(Value::Array(items)), Value::Array(values)) => items.retain(|item| !values.contains(item)),
        (_, Value::Null) => drop(live.remove(name)),
        _ => {}
    }
    Ok(())
}

/// A new value without nulls and without what was only a directive; `None` when nothing else was there.
///
/// Other directives stay and are reported as the unknown fields they are here, where there is nothing to direct.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            let kept = kept.filter_map(|(key, value)| Some((key.clone(), without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_directives).collect())),
        other => Some(other.clone()),
    }
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
            Err("invalid patch format of retainKeys"),
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
            Err("map: map[image:x] does not contain declared merge key: name"),
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
