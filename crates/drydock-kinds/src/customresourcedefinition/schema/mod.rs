//! What the schema of a custom kind may say: structural, with sound defaults, and nothing we would ignore.
//!
//! Start at [`validate`].

mod lists;
mod rules;
mod structural;

use serde_json::{Map, Value};

use crate::custom::cel;
use crate::custom::check::check;
use crate::custom::node::Node;
use crate::custom::prune_value;
use crate::field::{FieldError, Path};
use crate::read::{flag, list, text};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// What may stand beside `properties` at the root of a kind with a status of its own.
const AT_ROOT: &str = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength \
    MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
    XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled";
const NOT_AT_ROOT: [&str; 14] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "enum",
    "default",
    "maxProperties",
    "minProperties",
    "nullable",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

pub(super) fn validate(schema: &Value, has_status: bool, path: &Path, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    if has_status {
        match schema["type"].as_str() {
            None | Some("object") => {}
            Some(other) => {
                let why = "only \"object\" is allowed as the type at the root of the schema if the status \
                           subresource is enabled";
                errors.push(FieldError::invalid(&path.child("type"), other, why));
            }
        }
        if NOT_AT_ROOT.iter().any(|key| schema.get(key).is_some_and(|value| *value != false)) {
            errors.push(FieldError::invalid(path, schema.clone(), AT_ROOT));
        }
    }
    if flag(schema, "/nullable") {
        errors.push(FieldError::forbidden(&path.child("nullable"), "nullable cannot be true at the root"));
    }
    structural::validate(schema, path, errors);
    if errors.len() == before {
        defaults(schema, path, errors);
    }
    allowed(schema, path, Some("in top-level metadata"), true, errors);
    // Rules rely on the schema they stand in; with that broken, complaints about them would only confuse.
    if errors.len() == before {
        rules::validate(schema, path, None, errors);
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

/// A default must be a value that the schema accepts as it is.
fn defaults(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if let Some(default) = schema.get("default") {
        let at = path.child("default");
        let node = Node::parse(schema);
        let mut pruned = default.clone();
        prune_value(&mut pruned, &node);
        if pruned != *default {
            errors.push(FieldError::invalid(&at, default.clone(), "must not have unknown fields"));
        }
        let mut found = check(default, None, &node, "");
        if found.is_empty() {
            found = cel::check(default, None, &node, "");
        }
        for mut error in found {
            error.path = match error.path.as_str() {
                "<nil>" => error.path,
                "" => at.to_string(),
                below => format!("{at}.{below}"),
            };
            errors.push(error);
        }
    }
    if schema["items"].is_object() {
        defaults(&schema["items"], &path.child("items"), errors);
    }
    for (name, field) in fields(schema) {
        defaults(field, &path.child("properties").key(name), errors);
    }
}

/// The rules for single keys of a schema, wherever it stands. `no_defaults` says why defaults are forbidden.
fn allowed(
    schema: &Value,
    path: &Path,
    no_defaults: Option<&str>,
    is_root: bool,
    errors: &mut Vec<FieldError>,
) {
    let kind = text(schema, "/type");
    if kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(&path.child("type"), why));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &TYPES));
    }
    if let (Some(reason), false, true) = (no_defaults, is_root, schema.get("default").is_some()) {
        let why = format!("must not be set {reason}");
        errors.push(FieldError::forbidden(&path.child("default"), why));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(key).is_some() {
            errors.push(FieldError::forbidden(&path.child(key), format!("{key} is not supported")));
        }
    }
    if schema["items"].is_array() {
        errors.push(FieldError::forbidden(
            &path.child("items"),
            "items must be a schema object and not an array",
        ));
    }
    if flag(schema, "/uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(&path.child("uniqueItems"), why));
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(&at, false, "must be true or undefined"));
    }
    let extra = &schema["additionalProperties"];
    if fields(schema).next().is_some() && !matches!(extra, Value::Null | Value::Bool(true)) {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(&path.child("additionalProperties"), why));
    }
    lists::validate(schema, path, errors);
    let inherited = no_defaults.filter(|_| !is_root);
    if extra.is_object() {
        allowed(extra, &path.child("additionalProperties"), inherited, false, errors);
    }
    if schema["items"].is_object() {
        allowed(&schema["items"], &path.child("items"), inherited, false, errors);
    }
    for (name, field) in fields(schema) {
        let reason = if is_root && META.contains(&name.as_str()) { no_defaults } else { inherited };
        allowed(field, &path.child("properties").key(name), reason, false, errors);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(schema, &format!("/{key}")).iter().enumerate() {
            allowed(inner, &path.child(key).index(index), inherited, false, errors);
        }
    }
    if schema["not"].is_object() {
        allowed(&schema["not"], &path.child("not"), inherited, false, errors);
    }
}
