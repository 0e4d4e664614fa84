//! Objects, variations of them and patches, made from the schema of any kind. The same seed gives the same everywhere.
//!
//! [`Dice::object`] rolls a rich object; [`Dice::variation`] a sibling of it that shares some fields, changes others and
//! drops the rest, which is what two managers of one object send.

use drydock_kinds::schema::{Field, ListType, PatchStrategy, Shape, Type};
use serde_json::{Map, Value, json};

/// Deeper structures stay as small as their required fields.
const DEPTH: usize = 7;
const SERVER_OWNED: &[&str] = &[
    "managedFields",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
    "namespace",
    "name",
];

/// A small generator (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// True this many times out of a hundred.
    pub fn in_hundred(&mut self, times: u64) -> bool {
        self.roll(100) < times
    }

    fn word(&mut self) -> &'static str {
        ["a", "b", "c", "d"][self.roll(4) as usize]
    }

    /// A whole object of a kind.
    pub fn object(&mut self, api_version: &str, kind: &str, root: Type<'_>) -> Value {
        let mut object = self.value(root, DEPTH);
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        object["metadata"]["name"] = "x".into();
        object
    }

    /// A value of this type, never the zero value, which Go's encoders would drop.
    pub fn value(&mut self, ty: Type<'_>, depth: usize) -> Value {
        match ty.shape() {
            Shape::Struct => self.structure(ty, depth),
            Shape::Map => self.map(ty, depth),
            Shape::List => self.list(ty, depth),
            Shape::String => self.word().into(),
            Shape::Integer | Shape::Integer32 => (self.roll(3) + 1).into(),
            Shape::Number => json!(self.roll(3) as f64 + 0.5),
            Shape::Boolean => true.into(),
            Shape::Bytes => ["YQ==", "Yg==", "Yw=="][self.roll(3) as usize].into(),
            Shape::Time => ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"][self.roll(2) as usize].into(),
            Shape::MicroTime => "2026-01-01T00:00:00.000001Z".into(),
            Shape::Quantity => ["1", "2", "100m"][self.roll(3) as usize].into(),
            Shape::IntOrString => [json!(1), json!("50%")][self.roll(2) as usize].clone(),
            Shape::Any => json!({ self.word(): self.roll(3) }),
        }
    }

    fn structure(&mut self, ty: Type<'_>, depth: usize) -> Value {
        let mut out = Map::new();
        let is_metadata = ty.name().is_some_and(|name| name.ends_with("ObjectMeta"));
        let offered = |name: &str| !is_metadata || !SERVER_OWNED.contains(&name);
        let fields: Vec<_> = ty.fields().filter(|(name, _)| offered(name)).collect();
        let optional =
            fields.iter().filter(|(name, field)| !is_always_there(ty, name, *field)).count() as u64;
        for (name, field) in fields {
            let wanted = is_always_there(ty, name, field)
                || (depth > 0 && (matches!(name, "metadata" | "spec") || self.roll(optional.max(1)) < 4));
            if wanted {
                let value = self.value(field.ty, depth.saturating_sub(1));
                if is_always_there(ty, name, field) || !is_empty(&value) {
                    out.insert(name.to_owned(), value);
                }
            }
        }
        Value::Object(out)
    }

    fn map(&mut self, ty: Type<'_>, depth: usize) -> Value {
        let Some(items) = ty.items() else { return json!({}) };
        let count = self.roll(3) + 1;
        let entries =
            (0..count).map(|_| (self.word().to_owned(), self.value(items, depth.saturating_sub(1))));
        Value::Object(entries.collect())
    }

    fn list(&mut self, ty: Type<'_>, depth: usize) -> Value {
        let Some(item) = ty.items() else { return json!([]) };
        let count = self.roll(3) + 1;
        let items: Vec<Value> = (0..count).map(|_| self.value(item, depth.saturating_sub(1))).collect();
        let items = items.into_iter().map(|item_value| self.with_keys(item_value, ty, item)).collect();
        Value::Array(distinct(items, ty))
    }

    /// Associative lists need their keys; one with a default may be left out now and then.
    fn with_keys(&mut self, mut value: Value, list: Type<'_>, item: Type<'_>) -> Value {
        let ListType::Map(keys) = list.list_type() else { return value };
        for key in keys {
            let Some(field) = item.field(key) else { continue };
            match field.default().filter(|default| **default != "" && **default != 0) {
                Some(_) if self.in_hundred(40) => {
                    value.as_object_mut().map(|fields| fields.remove(key));
                }
                Some(default) if self.in_hundred(50) => value[key.as_str()] = default.clone(),
                _ if value.get(key).is_none() => value[key.as_str()] = self.value(field.ty, 0),
                _ => {}
            }
        }
        value
    }

    /// What another client might send of the same object: parts of it, some with other values.
    pub fn variation(&mut self, object: &Value, root: Type<'_>, keep: u64) -> Value {
        let mut out = self.vary(object, Some(root), keep);
        for field in ["apiVersion", "kind"] {
            out[field] = object[field].clone();
        }
        if !out["metadata"].is_object() {
            out["metadata"] = json!({});
        }
        out["metadata"]["name"] = object["metadata"]["name"].clone();
        out
    }

    fn vary(&mut self, value: &Value, ty: Option<Type<'_>>, keep: u64) -> Value {
        let Some(ty) = ty else { return value.clone() };
        match (ty.shape(), value) {
            (Shape::Struct | Shape::Map, Value::Object(fields)) => {
                let mut out = Map::new();
                for (name, child) in fields {
                    let required = ty.field(name).is_some_and(|field| is_always_there(ty, name, field));
                    if required || self.in_hundred(keep) {
                        out.insert(name.clone(), self.vary(child, child_type(ty, name), keep));
                    }
                }
                Value::Object(out)
            }
            (Shape::List, Value::Array(items)) => self.vary_list(items, ty, keep),
            _ if self.in_hundred(30) => self.value(ty, 0),
            _ => value.clone(),
        }
    }

    fn vary_list(&mut self, items: &[Value], ty: Type<'_>, keep: u64) -> Value {
        let mut out = Vec::new();
        for item in items {
            if !out.is_empty() && !self.in_hundred(keep) {
                continue;
            }
            let mut varied = self.vary(item, ty.items(), keep);
            if let ListType::Map(keys) = ty.list_type() {
                for key in keys {
                    match item.get(key) {
                        Some(value) => varied[key.as_str()] = value.clone(),
                        None => drop(varied.as_object_mut().map(|fields| fields.remove(key))),
                    }
                }
            }
            out.push(varied);
        }
        if out.len() > 1 && self.in_hundred(30) {
            out.reverse();
        }
        Value::Array(distinct(out, ty))
    }

    /// Repeats an item of some list, which updates may do and applies may not.
    pub fn duplicate(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|child| self.duplicate(child)),
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.duplicate(item));
                if !items.is_empty() && self.in_hundred(20) {
                    let again = items[self.roll(items.len() as u64) as usize].clone();
                    items.push(again);
                }
            }
            _ => {}
        }
    }

    /// A strategic merge patch for `live`, with directives here and there.
    pub fn strategic(&mut self, object: &Value, live: &Value, root: Type<'_>) -> Value {
        let mut patch = self.vary(object, Some(root), 70);
        if let Some(fields) = patch.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        self.direct(&mut patch, live, root);
        patch
    }

    fn direct(&mut self, patch: &mut Value, live: &Value, ty: Type<'_>) {
        let Value::Object(fields) = patch else { return };
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            let Some(child) = child_type(ty, &name) else { continue };
            let required = ty.field(&name).is_some_and(|field| is_always_there(ty, &name, field));
            if !required && self.in_hundred(5) {
                fields.insert(name.clone(), Value::Null);
                continue;
            }
            let field = if ty.shape() == Shape::Struct { ty.field(&name) } else { None };
            let merges = field.is_some_and(|field| field.has_strategy(PatchStrategy::Merge));
            let key = field.and_then(|field| field.merge_key()).map(str::to_owned);
            match fields.get_mut(&name) {
                Some(Value::Array(items)) if merges && child.shape() == Shape::List => {
                    let live = live[name.as_str()].as_array().cloned().unwrap_or_default();
                    let order = self.direct_list(items, &live, child, key.as_deref());
                    if let Some(order) = order {
                        fields.insert(format!("$setElementOrder/{name}"), order);
                    }
                    if key.is_none() && !live.is_empty() && self.in_hundred(20) {
                        let gone = live[self.roll(live.len() as u64) as usize].clone();
                        // Adding and deleting one value at once comes out either way.
                        if let Some(Value::Array(items)) = fields.get_mut(&name) {
                            items.retain(|item| *item != gone);
                        }
                        if let Some(Value::Array(order)) = fields.get_mut(&format!("$setElementOrder/{name}"))
                        {
                            order.retain(|item| *item != gone);
                        }
                        fields.insert(format!("$deleteFromPrimitiveList/{name}"), json!([gone]));
                    }
                }
                Some(inner @ Value::Object(_)) => {
                    self.direct(inner, &live[name.as_str()], child);
                    if self.in_hundred(4) {
                        inner["$patch"] = ["replace", "delete", "merge"][self.roll(3) as usize].into();
                    } else if field.is_some_and(|field| field.has_strategy(PatchStrategy::RetainKeys)) {
                        let keys: Vec<Value> =
                            inner.as_object().into_iter().flatten().map(|(k, _)| json!(k)).collect();
                        inner["$retainKeys"] = keys.into();
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds directives to a merging list; returns the order to ask for, if any.
    fn direct_list(
        &mut self,
        items: &mut Vec<Value>,
        live: &[Value],
        ty: Type<'_>,
        key: Option<&str>,
    ) -> Option<Value> {
        let item_ty = ty.items()?;
        if let Some(key) = key {
            items.retain(|item| item.get(key).is_some());
            for item in items.iter_mut() {
                let there =
                    live.iter().find(|known| known.get(key) == item.get(key)).cloned().unwrap_or(json!({}));
                self.direct(item, &there, item_ty);
                // Directives must not take the key.
                if item.get(key).is_none_or(Value::is_null) {
                    item[key] = there.get(key).cloned().unwrap_or_else(|| json!("a"));
                }
            }
            if !live.is_empty() && self.in_hundred(15) {
                let gone = &live[self.roll(live.len() as u64) as usize];
                if let Some(value) = gone.get(key) {
                    items.retain(|item| item.get(key) != Some(value));
                    items.push(json!({ key: value, "$patch": "delete" }));
                }
            }
            if self.in_hundred(3) {
                items.push(json!({ "$patch": "replace" }));
            }
        }
        // An empty order is an accident waiting to happen elsewhere too.
        if !self.in_hundred(30) || (items.is_empty() && live.is_empty()) {
            return None;
        }
        let plain = items.iter().filter(|item| item.get("$patch").is_none());
        let mut order: Vec<Value> = match key {
            Some(key) => plain.map(|item| json!({ key: item[key] })).collect(),
            None => plain.cloned().collect(),
        };
        for known in live {
            let named = key.map_or_else(|| known.clone(), |key| json!({ key: known[key] }));
            if !order.contains(&named) && self.in_hundred(60) {
                order.insert(self.roll(order.len() as u64 + 1) as usize, named);
            }
        }
        Some(order.into())
    }
}

/// Fields that Go writes even when nobody set them, without the schema saying so.
const ALWAYS_WRITTEN: &[&str] = &[
    "service",
    "apiGroup",
    "lastTransitionTime",
    "lastProbeTime",
    "lastUpdateTime",
    "rules",
    "start",
    "serviceName",
    "endpoints",
    "targetPort",
    "divisor",
    "currentMetrics",
    "desiredReplicas",
];

/// What Go's structures always hold: required fields, and structures that are no pointers.
fn is_always_there(ty: Type<'_>, name: &str, field: Field<'_>) -> bool {
    let slice_ports = name == "ports" && ty.name().is_some_and(|name| name.ends_with("EndpointSlice"));
    field.is_required()
        || matches!(field.default(), Some(Value::Object(_)))
        || ALWAYS_WRITTEN.contains(&name)
        || slice_ports
}

pub fn child_type<'s>(ty: Type<'s>, name: &str) -> Option<Type<'s>> {
    match ty.shape() {
        Shape::Struct => ty.field(name).map(|field| field.ty),
        _ => ty.items(),
    }
}

/// Items that the list's rules tell apart; others keep their duplicates.
fn distinct(items: Vec<Value>, list: Type<'_>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for item in items {
        let same = |known: &Value| match list.list_type() {
            ListType::Atomic => false,
            ListType::Set => *known == item,
            ListType::Map(keys) => keys.iter().all(|key| {
                let default = list.items().and_then(|item| item.field(key)).and_then(|field| field.default());
                let text = |value: &Value| value.get(key).or(default).cloned();
                text(known) == text(&item)
            }),
        };
        if !out.iter().any(same) {
            out.push(item);
        }
    }
    out
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}
