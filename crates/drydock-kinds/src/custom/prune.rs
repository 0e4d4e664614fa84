//! What a schema does not mention is dropped, and what the author left out is filled in.
//!
//! Both run on every write and, because a schema may have changed since, on every read.
//! Start at [`prune`], [`drop_nulls`] and [`fill_defaults`].

use serde_json::Value;

use super::node::{Additional, Node};

/// Fields of every object, which a schema need not mention at the root and in embedded resources.
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops unknown fields; returns their paths in order.
pub(crate) fn prune(object: &mut Value, root: &Node) -> Vec<String> {
    let mut walk = Prune { path: String::new(), dropped: Vec::new() };
    walk.known(object, root, true);
    walk.dropped.sort();
    walk.dropped
}

/// The same for a value inside an object, which has no metadata of its own.
pub(crate) fn prune_inside(value: &mut Value, node: &Node) {
    let mut walk = Prune { path: String::new(), dropped: Vec::new() };
    walk.known(value, node, node.embedded);
}

struct Prune {
    path: String,
    dropped: Vec<String>,
}

impl Prune {
    /// `keeps_meta` for the root and embedded resources.
    fn known(&mut self, value: &mut Value, node: &Node, keeps_meta: bool) {
        match value {
            Value::Object(fields) => fields.retain(|name, child| {
                if keeps_meta && META.contains(&name.as_str()) {
                    return true;
                }
                let length = self.enter(name);
                let stays = self.field(name, child, node);
                if !stays {
                    self.dropped.push(self.path.clone());
                }
                self.path.truncate(length);
                stays
            }),
            Value::Array(items) => {
                for (index, child) in items.iter_mut().enumerate() {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    match &node.items {
                        Some(item) => self.known(child, item, item.embedded),
                        None if node.open => {}
                        None => self.unknown(child),
                    }
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn field(&mut self, name: &str, child: &mut Value, node: &Node) -> bool {
        match (node.properties.get(name), &node.additional) {
            (Some(field), _) => self.known(child, field, field.embedded),
            (None, Additional::Of(field)) => self.known(child, field, field.embedded),
            (None, Additional::Anything) if node.open => {}
            (None, Additional::Anything) => self.unknown(child),
            (None, Additional::Unsaid) => return node.open,
        }
        true
    }

    /// Below a position that says nothing, objects stay but are empty.
    fn unknown(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in fields.keys() {
                    self.dropped.push(format!("{}.{name}", self.path));
                }
                fields.clear();
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.unknown(item)),
            _ => {}
        }
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }
}

/// Drops nulls where the schema allows none and has no default for them.
pub(crate) fn drop_nulls(value: &mut Value, node: &Node) {
    match value {
        Value::Object(fields) => fields.retain(|name, child| {
            let Some(field) = node.field(name) else { return true };
            let stays = !child.is_null() || field.nullable || field.default.is_some();
            drop_nulls(child, field);
            stays
        }),
        Value::Array(items) => {
            if let Some(item) = &node.items {
                items.iter_mut().for_each(|child| drop_nulls(child, item));
            }
        }
        _ => {}
    }
}

/// Fills in defaults, parents first, so that a defaulted object gets the defaults of its own fields.
pub(crate) fn fill_defaults(value: &mut Value, node: &Node) {
    match value {
        Value::Object(fields) => {
            for (name, field) in &node.properties {
                if let Some(default) = &field.default
                    && fields.get(name).is_none_or(|present| present.is_null() && !field.nullable)
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, child) in fields.iter_mut() {
                if let Some(field) = node.field(name) {
                    replace_null(child, field);
                    fill_defaults(child, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = &node.items {
                for child in items {
                    replace_null(child, item);
                    fill_defaults(child, item);
                }
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, node: &Node) {
    if let (true, false, Some(default)) = (value.is_null(), node.nullable, &node.default) {
        *value = default.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_pruned(schema: Value, object: Value, expect: Value, dropped: &[&str]) {
        let mut object = object;
        assert_eq!(prune(&mut object, &Node::parse(&schema)), dropped);
        assert_eq!(object, expect);
    }

    #[track_caller]
    fn check_defaulted(schema: Value, object: Value, expect: Value) {
        let (node, mut object) = (Node::parse(&schema), object);
        drop_nulls(&mut object, &node);
        fill_defaults(&mut object, &node);
        assert_eq!(object, expect);
    }

    #[test]
    fn unknown_fields_are_dropped_and_named() {
        let schema = json!({ "properties": { "spec": { "properties": { "a": {} } } } });
        check_pruned(
            schema,
            json!({ "kind": "K", "metadata": { "x": 1 }, "spec": { "a": 1, "b": 2 }, "other": 1 }),
            json!({ "kind": "K", "metadata": { "x": 1 }, "spec": { "a": 1 } }),
            &["other", "spec.b"],
        );
    }

    #[test]
    fn lists_and_maps_are_pruned_inside() {
        let item = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
        check_pruned(
            json!({ "properties": { "l": { "items": item }, "m": { "additionalProperties": item } } }),
            json!({ "l": [{ "a": "1", "b": 1 }], "m": { "k": { "a": "1", "c": 1 } } }),
            json!({ "l": [{ "a": "1" }], "m": { "k": { "a": "1" } } }),
            &["l[0].b", "m.k.c"],
        );
    }

    #[test]
    fn an_open_object_keeps_everything_but_prunes_what_it_knows() {
        let known = json!({ "type": "object", "properties": { "a": {} } });
        check_pruned(
            json!({ "properties": { "o": { "x-kubernetes-preserve-unknown-fields": true, "properties": { "known": known } } } }),
            json!({ "o": { "any": { "thing": [1] }, "known": { "a": 1, "b": 2 } } }),
            json!({ "o": { "any": { "thing": [1] }, "known": { "a": 1 } } }),
            &["o.known.b"],
        );
    }

    #[test]
    fn an_embedded_resource_keeps_its_metadata() {
        check_pruned(
            json!({ "properties": { "e": { "type": "object", "x-kubernetes-embedded-resource": true, "properties": { "spec": { "type": "object" } } } } }),
            json!({ "e": { "apiVersion": "v1", "kind": "K", "metadata": { "name": "a" }, "spec": {}, "status": {} } }),
            json!({ "e": { "apiVersion": "v1", "kind": "K", "metadata": { "name": "a" }, "spec": {} } }),
            &["e.status"],
        );
    }

    #[test]
    fn defaults_fill_what_is_absent_down_the_tree() {
        check_defaulted(
            json!({ "properties": { "spec": { "default": {}, "properties": { "n": { "default": 3 }, "s": { "default": "x" } } } } }),
            json!({ "spec": { "s": "mine" } }),
            json!({ "spec": { "n": 3, "s": "mine" } }),
        );
        check_defaulted(
            json!({ "properties": { "spec": { "default": {}, "properties": { "n": { "default": 3 } } } } }),
            json!({}),
            json!({ "spec": { "n": 3 } }),
        );
    }

    #[test]
    fn a_null_is_dropped_defaulted_or_kept_as_the_schema_says() {
        check_defaulted(
            json!({ "properties": {
                "plain": { "type": "string" }, "nullable": { "type": "string", "nullable": true },
                "defaulted": { "type": "string", "default": "d" }, "both": { "type": "string", "nullable": true, "default": "d" },
            } }),
            json!({ "plain": null, "nullable": null, "defaulted": null, "both": null, "elsewhere": null }),
            json!({ "nullable": null, "defaulted": "d", "both": null, "elsewhere": null }),
        );
    }

    #[test]
    fn items_and_entries_get_their_defaults() {
        let item = json!({ "type": "object", "properties": { "protocol": { "default": "TCP" } } });
        check_defaulted(
            json!({ "properties": { "ports": { "items": item }, "byName": { "additionalProperties": item } } }),
            json!({ "ports": [{ "n": 1 }], "byName": { "a": {} } }),
            json!({ "ports": [{ "n": 1, "protocol": "TCP" }], "byName": { "a": { "protocol": "TCP" } } }),
        );
    }
}
