//! OpenAPI v2 documents as protobuf, the only form in which kubectl 1.27 and 1.28 read them.
//!
//! The message is `openapi.v2.Document` of gnostic; what JSON calls a map is there a list of names and values, and what
//! OpenAPI calls an extension is there a piece of YAML (of which JSON is a part). A document is large, so its parts
//! are handed in one by one: see [`Document`]. Keys that the message does not know are left out.

use serde_json::{Map, Value};

use crate::wire::{put_bytes, put_double, put_integer, put_nested};

/// A document under construction.
#[derive(Debug, Default)]
pub struct Document {
    paths: Vec<u8>,
    definitions: Vec<u8>,
}

impl Document {
    /// Adds the operations of one path.
    pub fn path(&mut self, path: &str, item: &Value) {
        put_named(&mut self.paths, 2, path, |out| put(out, &PATH_ITEM, item));
    }

    /// Adds one definition.
    pub fn definition(&mut self, name: &str, schema: &Value) {
        put_named(&mut self.definitions, 1, name, |out| put(out, &SCHEMA, schema));
    }

    /// The whole document. `head` holds what is left: `swagger`, `info`, `security` and the like.
    pub fn finish(self, head: &Value) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.paths.len() + self.definitions.len() + 1024);
        put(&mut out, &HEAD, head);
        put_bytes(&mut out, 8, &self.paths);
        drop(self.paths);
        put_bytes(&mut out, 9, &self.definitions);
        put(&mut out, &TAIL, head);
        out
    }
}

/// A message: JSON key, field number and form of each field, and the number of the extensions if it has any.
struct Spec {
    fields: &'static [(&'static str, u32, Form)],
    extensions: u32,
}

enum Form {
    Text,
    Texts,
    Bool,
    Integer,
    Double,
    /// Any value, as YAML.
    Any,
    Anys,
    Message(&'static Spec),
    Messages(&'static Spec),
    /// A map, in a message of its own.
    Named(&'static Spec),
    /// The same, with each value wrapped in a message that holds it under this number.
    NamedIn(u32, &'static Spec),
    /// A message wrapped in one that holds it under this number.
    In(u32, &'static Spec),
    Parameters,
    NamedParameters,
    /// A schema, or yes or no.
    Additional,
    /// One text or several, in a message of its own.
    Types,
    /// One schema, in a message that could hold several.
    Items,
    /// A list of maps from names to lists of texts.
    Requirements,
}

static HEAD: Spec =
    Spec { fields: &[("swagger", 1, Form::Text), ("info", 2, Form::Message(&INFO))], extensions: 0 };

/// What stands behind the definitions.
static TAIL: Spec = Spec {
    fields: &[
        ("parameters", 10, Form::NamedParameters),
        ("security", 12, Form::Requirements),
        ("securityDefinitions", 13, Form::NamedIn(2, &API_KEY)),
    ],
    extensions: 16,
};

static INFO: Spec = Spec { fields: &[("title", 1, Form::Text), ("version", 2, Form::Text)], extensions: 7 };

static API_KEY: Spec = Spec {
    fields: &[
        ("type", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("description", 4, Form::Text),
    ],
    extensions: 5,
};

static PATH_ITEM: Spec = Spec {
    fields: &[
        ("get", 2, Form::Message(&OPERATION)),
        ("put", 3, Form::Message(&OPERATION)),
        ("post", 4, Form::Message(&OPERATION)),
        ("delete", 5, Form::Message(&OPERATION)),
        ("options", 6, Form::Message(&OPERATION)),
        ("head", 7, Form::Message(&OPERATION)),
        ("patch", 8, Form::Message(&OPERATION)),
        ("parameters", 9, Form::Parameters),
    ],
    extensions: 10,
};

static OPERATION: Spec = Spec {
    fields: &[
        ("tags", 1, Form::Texts),
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("operationId", 5, Form::Text),
        ("produces", 6, Form::Texts),
        ("consumes", 7, Form::Texts),
        ("parameters", 8, Form::Parameters),
        ("responses", 9, Form::NamedIn(1, &RESPONSE)),
        ("schemes", 10, Form::Texts),
        ("deprecated", 11, Form::Bool),
    ],
    extensions: 13,
};

static RESPONSE: Spec =
    Spec { fields: &[("description", 1, Form::Text), ("schema", 2, Form::In(1, &SCHEMA))], extensions: 5 };

static REFERENCE: Spec = Spec { fields: &[("$ref", 1, Form::Text)], extensions: 0 };

static BODY_PARAMETER: Spec = Spec {
    fields: &[
        ("description", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("required", 4, Form::Bool),
        ("schema", 5, Form::Message(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY_PARAMETER: Spec = Spec {
    fields: &[
        ("required", 1, Form::Bool),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 6, Form::Text),
        ("format", 7, Form::Text),
        ("uniqueItems", 20, Form::Bool),
    ],
    extensions: 23,
};

static PATH_PARAMETER: Spec = Spec {
    fields: &[
        ("required", 1, Form::Bool),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 5, Form::Text),
        ("format", 6, Form::Text),
        ("uniqueItems", 19, Form::Bool),
    ],
    extensions: 22,
};

static SCHEMA: Spec = Spec {
    fields: &[
        ("$ref", 1, Form::Text),
        ("format", 2, Form::Text),
        ("title", 3, Form::Text),
        ("description", 4, Form::Text),
        ("default", 5, Form::Any),
        ("multipleOf", 6, Form::Double),
        ("maximum", 7, Form::Double),
        ("exclusiveMaximum", 8, Form::Bool),
        ("minimum", 9, Form::Double),
        ("exclusiveMinimum", 10, Form::Bool),
        ("maxLength", 11, Form::Integer),
        ("minLength", 12, Form::Integer),
        ("pattern", 13, Form::Text),
        ("maxItems", 14, Form::Integer),
        ("minItems", 15, Form::Integer),
        ("uniqueItems", 16, Form::Bool),
        ("maxProperties", 17, Form::Integer),
        ("minProperties", 18, Form::Integer),
        ("required", 19, Form::Texts),
        ("enum", 20, Form::Anys),
        ("additionalProperties", 21, Form::Additional),
        ("type", 22, Form::Types),
        ("items", 23, Form::Items),
        ("allOf", 24, Form::Messages(&SCHEMA)),
        ("properties", 25, Form::Named(&SCHEMA)),
        ("readOnly", 27, Form::Bool),
        ("example", 30, Form::Any),
    ],
    extensions: 31,
};

fn put(out: &mut Vec<u8>, spec: &Spec, value: &Value) {
    let Some(object) = value.as_object() else { return };
    for (key, number, form) in spec.fields {
        if let Some(value) = object.get(*key) {
            put_field(out, *number, form, value);
        }
    }
    for (key, value) in object.iter().filter(|(key, _)| spec.extensions > 0 && key.starts_with("x-")) {
        put_named(out, spec.extensions, key, |out| put_any(out, value));
    }
}

fn put_field(out: &mut Vec<u8>, number: u32, form: &Form, value: &Value) {
    match form {
        Form::Text => put_text(out, number, value),
        Form::Texts => texts(value).for_each(|text| put_bytes(out, number, text.as_bytes())),
        Form::Bool if value.as_bool() == Some(true) => put_integer(out, number, 1),
        Form::Bool => {}
        // Zeros are not written, as everywhere in this version of protobuf.
        Form::Integer => {
            if let Some(value) = value.as_i64().filter(|value| *value != 0) {
                put_integer(out, number, value);
            }
        }
        Form::Double => {
            if let Some(value) = value.as_f64().filter(|value| *value != 0.0) {
                put_double(out, number, value);
            }
        }
        Form::Any => nested(out, number, |out| put_any(out, value)),
        Form::Anys => items(value).for_each(|item| nested(out, number, |out| put_any(out, item))),
        Form::Message(spec) => nested(out, number, |out| put(out, spec, value)),
        Form::Messages(spec) => items(value).for_each(|item| nested(out, number, |out| put(out, spec, item))),
        Form::Named(spec) => nested(out, number, |out| {
            entries(value).for_each(|(name, value)| put_named(out, 1, name, |out| put(out, spec, value)));
        }),
        Form::NamedIn(inner, spec) => nested(out, number, |out| {
            for (name, value) in entries(value) {
                put_named(out, 1, name, |out| nested(out, *inner, |out| put(out, spec, value)));
            }
        }),
        Form::In(inner, spec) => {
            nested(out, number, |out| nested(out, *inner, |out| put(out, spec, value)));
        }
        Form::Parameters => items(value).for_each(|item| nested(out, number, |out| put_parameter(out, item))),
        Form::NamedParameters => nested(out, number, |out| {
            for (name, value) in entries(value) {
                put_named(out, 1, name, |out| put_own_parameter(out, value));
            }
        }),
        Form::Additional => nested(out, number, |out| match value {
            Value::Bool(value) => put_integer(out, 2, i64::from(*value)),
            schema => nested(out, 1, |out| put(out, &SCHEMA, schema)),
        }),
        Form::Types => nested(out, number, |out| {
            put_text(out, 1, value);
            texts(value).for_each(|text| put_bytes(out, 1, text.as_bytes()));
        }),
        Form::Items => nested(out, number, |out| nested(out, 1, |out| put(out, &SCHEMA, value))),
        Form::Requirements => items(value).for_each(|item| {
            nested(out, number, |out| {
                for (name, value) in entries(item) {
                    let scopes =
                        |out: &mut Vec<u8>| texts(value).for_each(|text| put_bytes(out, 1, text.as_bytes()));
                    put_named(out, 1, name, scopes);
                }
            });
        }),
    }
}

/// A parameter, or a reference to one.
fn put_parameter(out: &mut Vec<u8>, value: &Value) {
    match value.get("$ref") {
        Some(_) => nested(out, 2, |out| put(out, &REFERENCE, value)),
        None => nested(out, 1, |out| put_own_parameter(out, value)),
    }
}

fn put_own_parameter(out: &mut Vec<u8>, value: &Value) {
    let (number, spec) = match value.get("in").and_then(Value::as_str) {
        Some("body") => return nested(out, 1, |out| put(out, &BODY_PARAMETER, value)),
        Some("path") => (4, &PATH_PARAMETER),
        _ => (3, &QUERY_PARAMETER),
    };
    nested(out, 2, |out| nested(out, number, |out| put(out, spec, value)));
}

fn put_any(out: &mut Vec<u8>, value: &Value) {
    // Plain words need no quotes in YAML, and readers of extensions expect none.
    let text = match value.as_str() {
        Some(text) if text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains([':', '#']) => {
            format!("{text}\n")
        }
        _ => format!("{value}\n"),
    };
    put_bytes(out, 2, text.as_bytes());
}

fn put_text(out: &mut Vec<u8>, number: u32, value: &Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        put_bytes(out, number, text.as_bytes());
    }
}

/// A name and a value in a message of their own.
fn put_named(out: &mut Vec<u8>, number: u32, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    nested(out, number, |out| {
        put_bytes(out, 1, name.as_bytes());
        nested(out, 2, value);
    });
}

fn nested(out: &mut Vec<u8>, number: u32, content: impl FnOnce(&mut Vec<u8>)) {
    let done = put_nested(out, number, |out| {
        content(out);
        Ok::<_, std::convert::Infallible>(())
    });
    match done {
        Ok(()) => {}
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    items(value).filter_map(Value::as_str)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
