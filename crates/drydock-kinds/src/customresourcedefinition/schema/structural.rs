//! Structural schemas: every field has its type outside of `anyOf`, `oneOf`, `allOf` and `not`, so that pruning and
//! defaulting know what is there.
//!
//! Start at [`validate`].

use serde_json::{Value, json};

use super::fields;
use crate::custom::pattern;
use crate::field::{FieldError, Path};
use crate::read::{flag, list, text};

pub(super) fn validate(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let root = Position { schema, path: path.clone(), level: Level::Root };
    root.structural(errors);
    complete(schema, schema, path, path, errors);
}

/// Where a schema stands, which decides what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
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
