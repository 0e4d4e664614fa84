//! What the schema of a custom kind may say: structural, with sound defaults, and nothing we would ignore.
//!
//! Start at [`validate`]. A schema is structural when every field has its type outside of `anyOf`, `oneOf`, `allOf` and
//! `not`, so that pruning and defaulting know what is there.

use serde_json::{Map, Value, json};

use crate::custom::cel::{self, Rule};
use crate::custom::check::check;
use crate::custom::jsonpath::JsonPath;
use crate::custom::node::Node;
use crate::custom::{pattern, prune_value};
use crate::field::{FieldError, Path};
use crate::read::{flag, list, text, texts};

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

/// Where a schema stands, which decides what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

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
    let root = Position { schema, path: path.clone(), level: Level::Root };
    root.structural(errors);
    complete(schema, schema, path, path, errors);
    if errors.len() == before {
        defaults(schema, path, errors);
    }
    allowed(schema, path, Some("in top-level metadata"), true, errors);
    // Rules rely on the schema they stand in; with that broken, complaints about them would only confuse.
    if errors.len() == before {
        rules(schema, path, None, errors);
    }
}

struct Position<'s> {
    schema: &'s Value,
    path: Path,
    level: Level,
}

impl Position<'_> {
    fn below<'s>(&self, schema: &'s Value, path: Path, level: Level) -> Position<'s> {
        Position { schema, path, level }
    }

    fn structural(&self, errors: &mut Vec<FieldError>) {
        let (schema, path) = (self.schema, &self.path);
        let kind = text(schema, "/type");
        if kind == "array" && !schema["items"].is_object() {
            errors.push(FieldError::required(&path.child("items"), "must be specified"));
        }
        if schema["items"].is_object() {
            self.below(&schema["items"], path.child("items"), Level::Item).structural(errors);
        }
        for (name, field) in fields(schema) {
            self.below(field, path.child("properties").key(name), Level::Field).structural(errors);
        }
        if !matches!(schema["additionalProperties"], Value::Null | Value::Bool(false)) {
            let at = path.child("additionalProperties");
            if self.level == Level::Root {
                errors.push(FieldError::forbidden(&at, "must not be used at the root"));
            }
            if schema["additionalProperties"].is_object() {
                self.below(&schema["additionalProperties"], at, Level::Field).structural(errors);
            }
        }
        self.own_type(kind, errors);
        self.extensions(errors);
        let (skip_any, skip_all) =
            (is_int_or_string(&schema["anyOf"]), is_int_or_string(&schema["allOf"][0]["anyOf"]));
        combinations(schema, path, skip_any, skip_all, errors);
        self.metadata(errors);
    }

    fn own_type(&self, kind: &str, errors: &mut Vec<FieldError>) {
        let at = self.path.child("type");
        let embedded = flag(self.schema, "/x-kubernetes-embedded-resource");
        let open = flag(self.schema, "/x-kubernetes-preserve-unknown-fields");
        let either = flag(self.schema, "/x-kubernetes-int-or-string");
        match kind {
            "object" => {}
            "" if embedded => {
                errors.push(FieldError::required(
                    &at,
                    "must be object if x-kubernetes-embedded-resource is true",
                ));
            }
            other if embedded => errors.push(FieldError::invalid(
                &at,
                other,
                "must be object if x-kubernetes-embedded-resource is true",
            )),
            "" if !either && !open => errors.push(FieldError::required(
                &at,
                match self.level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    Level::Field => "must not be empty for specified object fields",
                },
            )),
            "" => {}
            other if self.level == Level::Root => {
                errors.push(FieldError::invalid(&at, other, "must be object at the root"));
            }
            _ => {}
        }
        if embedded && !open && fields(self.schema).next().is_none() {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                       x-kubernetes-preserve-unknown-fields";
            errors.push(FieldError::required(&self.path.child("properties"), why));
        }
        if embedded && self.schema.get("additionalProperties").is_some() {
            let why = "must not be used if x-kubernetes-embedded-resource is set";
            errors.push(FieldError::forbidden(&self.path.child("additionalProperties"), why));
        }
    }

    fn extensions(&self, errors: &mut Vec<FieldError>) {
        if !flag(self.schema, "/x-kubernetes-int-or-string") {
            return;
        }
        for key in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if flag(self.schema, &format!("/{key}")) {
                let why = "must be false if x-kubernetes-int-or-string is true";
                errors.push(FieldError::invalid(&self.path.child(key), true, why));
            }
        }
    }

    /// Metadata is the same for every object; a kind may only restrict its name.
    fn metadata(&self, errors: &mut Vec<FieldError>) {
        if self.level != Level::Root && !flag(self.schema, "/x-kubernetes-embedded-resource") {
            return;
        }
        let properties = self.path.child("properties");
        for name in ["kind", "apiVersion"] {
            let kind = &self.schema["properties"][name]["type"];
            if self.schema["properties"].get(name).is_some() && kind != "string" {
                let at = properties.key(name).child("type");
                errors.push(FieldError::invalid(&at, kind.clone(), "must be string"));
            }
        }
        let Some(metadata) = self.schema["properties"].get("metadata") else { return };
        let at = properties.key("metadata");
        if metadata["type"] != "object" {
            errors.push(FieldError::invalid(&at.child("type"), metadata["type"].clone(), "must be object"));
        }
        let named =
            |name: &String| matches!(name.as_str(), "type" | "properties" | "description" | "default");
        let plain = metadata.as_object().is_none_or(|fields| fields.keys().all(named));
        let restricted = fields(metadata).all(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
        if self.level == Level::Root && !(plain && restricted) {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(&at, why));
        }
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

fn is_int_or_string(alternatives: &Value) -> bool {
    *alternatives == json!([{ "type": "integer" }, { "type": "string" }])
}

/// The schemas inside `anyOf` and its like, which may restrict but not describe.
fn combinations(schema: &Value, path: &Path, skip_any: bool, skip_all: bool, errors: &mut Vec<FieldError>) {
    for key in ["allOf", "anyOf", "oneOf"] {
        if key == "anyOf" && skip_any {
            continue;
        }
        for (index, inner) in list(schema, &format!("/{key}")).iter().enumerate() {
            nested(inner, &path.child(key).index(index), key == "allOf" && index == 0 && skip_all, errors);
        }
    }
    if schema["not"].is_object() {
        nested(&schema["not"], &path.child("not"), false, errors);
    }
    if let Some(Err(why)) = schema["pattern"].as_str().map(pattern::compile) {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(FieldError::invalid(&path.child("pattern"), schema["pattern"].clone(), why));
    }
}

fn nested(schema: &Value, path: &Path, skip_any: bool, errors: &mut Vec<FieldError>) {
    combinations(schema, path, skip_any, false, errors);
    if schema["items"].is_object() {
        nested(&schema["items"], &path.child("items"), false, errors);
    }
    for (name, field) in fields(schema) {
        nested(field, &path.child("properties").key(name), false, errors);
    }
    let forbidden = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (key, why) in forbidden {
        if schema.get(key).is_some_and(|value| *value != false && *value != "") {
            errors.push(FieldError::forbidden(&path.child(key), why));
        }
    }
    if schema["properties"].get("metadata").is_some() {
        let at = path.child("properties").key("metadata");
        errors.push(FieldError::forbidden(&at, "must not be specified in a nested context"));
    }
}

/// Every field that a combination mentions is described outside of it.
fn complete(
    inner: &Value,
    outer: &Value,
    outer_path: &Path,
    inner_path: &Path,
    errors: &mut Vec<FieldError>,
) {
    let mut visit = |inner: &Value, path: Path| {
        described(inner, outer, outer_path, &path, errors);
        complete(inner, outer, outer_path, &path, errors);
    };
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(inner, &format!("/{key}")).iter().enumerate() {
            visit(inner, inner_path.child(key).index(index));
        }
    }
    if inner["not"].is_object() {
        visit(&inner["not"], inner_path.child("not"));
    }
    // The structural part itself is complete; its own combinations are looked at where they stand.
    if std::ptr::eq(inner, outer) {
        for (name, field) in fields(inner) {
            let at = outer_path.child("properties").key(name);
            complete(field, field, &at, &at, errors);
        }
        for key in ["items", "additionalProperties"] {
            if inner[key].is_object() {
                let at = outer_path.child(key);
                complete(&inner[key], &inner[key], &at, &at, errors);
            }
        }
    }
}

fn described(
    inner: &Value,
    outer: &Value,
    outer_path: &Path,
    inner_path: &Path,
    errors: &mut Vec<FieldError>,
) {
    let missing =
        |at: &Path, from: &Path| FieldError::required(at, format!("because it is defined in {from}"));
    if inner["items"].is_object() {
        let (at, from) = (outer_path.child("items"), inner_path.child("items"));
        match outer["items"].is_object() {
            true => {
                described(&inner["items"], &outer["items"], &at, &from, errors);
                complete(&inner["items"], &outer["items"], &at, &from, errors);
            }
            false => errors.push(missing(&at, &from)),
        }
    }
    for (name, field) in fields(inner) {
        let (at, from) = (outer_path.child("properties").key(name), inner_path.child("properties").key(name));
        match outer["properties"].get(name) {
            Some(known) => {
                described(field, known, &at, &from, errors);
                complete(field, known, &at, &from, errors);
            }
            None => errors.push(missing(&at, &from)),
        }
    }
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
    lists(schema, path, errors);
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

/// The rules for list types and map types.
fn lists(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
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

/// Validation rules. `scattered` is the list inside which an item cannot be found again after an update.
fn rules(schema: &Value, path: &Path, scattered: Option<&Path>, errors: &mut Vec<FieldError>) {
    for (index, rule) in list(schema, "/x-kubernetes-validations").iter().enumerate() {
        one_rule(schema, rule, &path.child("x-kubernetes-validations").index(index), scattered, errors);
    }
    for (name, field) in fields(schema) {
        rules(field, &path.child("properties").key(name), scattered, errors);
    }
    if schema["additionalProperties"].is_object() {
        rules(&schema["additionalProperties"], &path.child("additionalProperties"), scattered, errors);
    }
    if schema["items"].is_object() {
        let by_key = text(schema, "/x-kubernetes-list-type") == "map";
        let scattered = if by_key { scattered } else { scattered.or(Some(path)) };
        rules(&schema["items"], &path.child("items"), scattered, errors);
    }
}

fn one_rule(
    schema: &Value,
    rule: &Value,
    path: &Path,
    scattered: Option<&Path>,
    errors: &mut Vec<FieldError>,
) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let (source, message) = (text(rule, "/rule"), text(rule, "/message"));
    let blank = |key: &str| rule[key].as_str().is_some_and(|text| !text.is_empty() && text.trim().is_empty());
    let broken = |text: &str| text.trim().contains(['\n', '\r']);
    if source.trim().is_empty() {
        errors.push(FieldError::required(&path.child("rule"), "rule is not specified"));
        return;
    }
    if blank("message") {
        errors.push(FieldError::invalid(&path.child("message"), message, "must be non-empty if specified"));
    } else if broken(message) {
        errors.push(FieldError::invalid(&path.child("message"), message, "must not contain line breaks"));
    } else if broken(source) && message.is_empty() {
        let why = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(&path.child("message"), why));
    }
    if blank("messageExpression") {
        let why = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(&path.child("messageExpression"), why));
    }
    if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
        errors.push(FieldError::not_supported(&path.child("reason"), reason, &REASONS));
    }
    let field_path = text(rule, "/fieldPath");
    if !field_path.is_empty() && !leads_somewhere(schema, field_path) {
        errors.push(FieldError::invalid(&path.child("fieldPath"), field_path, "must be a valid path"));
    }
    match Rule::compile(rule) {
        Err(error) => {
            let why = format!("compilation failed: {error}");
            errors.push(FieldError::invalid(&path.child("rule"), rule.clone(), why));
        }
        Ok(compiled) if compiled.misfit(schema).is_some() => {
            let why = compiled.misfit(schema).unwrap_or_default();
            errors.push(FieldError::invalid(&path.child("rule"), rule.clone(), why));
        }
        Ok(compiled) => match (compiled.uses_old_self, scattered) {
            (true, Some(within)) => {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
                );
                errors.push(FieldError::invalid(&path.child("rule"), source, why));
            }
            (false, _) if rule.get("optionalOldSelf").is_some() => {
                let why = "may not be set if oldSelf is not used in rule";
                errors.push(FieldError::invalid(
                    &path.child("optionalOldSelf"),
                    rule["optionalOldSelf"].clone(),
                    why,
                ));
            }
            _ => {}
        },
    }
}

fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let Some(parsed) = JsonPath::parse(path).filter(|_| path.starts_with('.') || path.starts_with('['))
    else {
        return false;
    };
    let step = |schema: &'_ Value, name: &str| -> Option<Value> {
        let named = schema["properties"].get(name);
        named.or_else(|| schema.get("additionalProperties").filter(|extra| extra.is_object())).cloned()
    };
    let names = parsed.fields().unwrap_or_default();
    !names.is_empty() && names.iter().try_fold(schema.clone(), |schema, name| step(&schema, name)).is_some()
}
