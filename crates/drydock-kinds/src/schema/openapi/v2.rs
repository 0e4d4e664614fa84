//! Version 2 of OpenAPI, made from what version 3 says.
//!
//! It cannot say that something may be null, is one of several types or has a default, so that is left out; parameters
//! and bodies are arranged otherwise. Paths and definitions come one by one, for JSON and protobuf alike.

use serde_json::{Map, Value, json};

use super::{Published, SCHEMAS, definitions, operations};

const DEFINITIONS: &str = "#/definitions/";
const PRODUCES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The document of all kinds.
#[derive(Debug, Clone, Copy)]
pub struct Version2<'k> {
    kinds: &'k [Published],
}

impl<'k> Version2<'k> {
    pub fn new(kinds: &'k [Published]) -> Self {
        Self { kinds }
    }

    /// Everything but the paths and definitions.
    pub fn head(&self) -> Value {
        json!({
            "swagger": "2.0",
            "info": { "title": "Kubernetes", "version": "v1.36.0" },
            "securityDefinitions": {
                "BearerToken": {
                    "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header",
                },
            },
            "security": [{ "BearerToken": [] }],
        })
    }

    pub fn paths(&self) -> impl Iterator<Item = (String, Value)> + 'k {
        self.kinds.iter().flat_map(operations::paths).map(|(path, item)| (path, path_item(item)))
    }

    pub fn definitions(&self) -> impl Iterator<Item = (String, Value)> {
        definitions(self.kinds).map(|(name, mut definition)| {
            convert(&mut definition);
            (name, definition)
        })
    }
}

/// A schema of version 3 in the words of version 2.
fn convert(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("default");
    hoist_reference(fields);
    // Published integers or strings are known by their format, those of custom kinds have no type at all.
    if let Some(one_of) = fields.remove("oneOf")
        && one_of.as_array().is_some_and(|types| types.iter().any(|ty| ty["type"] == "string"))
        && !fields.contains_key("x-kubernetes-int-or-string")
    {
        fields.insert("type".to_owned(), "string".into());
    }
    let is_open = ["x-kubernetes-preserve-unknown-fields", "nullable"]
        .iter()
        .any(|key| fields.get(*key) == Some(&Value::Bool(true)));
    let is_mixed = fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    if is_open || is_mixed {
        for key in ["type", "properties", "items", "additionalProperties", "required"] {
            fields.remove(key);
        }
    }
    for key in ["nullable", "anyOf", "allOf", "not", "x-kubernetes-validations"] {
        fields.remove(key);
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(convert);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            convert(inner);
        }
    }
}

/// References with siblings are written as `allOf` with one entry in version 3.
fn hoist_reference(fields: &mut Map<String, Value>) {
    if let Some([one]) = fields.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
        && let Some(target) = one.get("$ref").cloned()
    {
        fields.remove("allOf");
        fields.insert("$ref".to_owned(), target);
    }
    if let Some(Value::String(target)) = fields.get_mut("$ref")
        && let Some(name) = target.strip_prefix(SCHEMAS)
    {
        *target = format!("{DEFINITIONS}{name}");
    }
}

fn path_item(mut item: Value) -> Value {
    let Some(fields) = item.as_object_mut() else { return item };
    for (key, value) in fields.iter_mut() {
        match key.as_str() {
            "parameters" => value.as_array_mut().into_iter().flatten().for_each(parameter),
            _ => operation(value),
        }
    }
    item
}

fn operation(operation: &mut Value) {
    let body = operation.as_object_mut().and_then(|fields| fields.remove("requestBody"));
    let mut parameters = match operation["parameters"].take() {
        Value::Array(parameters) => parameters,
        _ => Vec::new(),
    };
    parameters.iter_mut().for_each(parameter);
    let mut consumes = vec![Value::from("*/*")];
    if let Some(body) = body {
        let content = body["content"].as_object();
        consumes = content.into_iter().flat_map(Map::keys).map(|name| name.as_str().into()).collect();
        let mut schema = content
            .and_then(|content| content.values().next())
            .map_or(Value::Null, |entry| entry["schema"].clone());
        convert(&mut schema);
        let mut parameter = json!({ "name": "body", "in": "body", "schema": schema });
        if body["required"] == true {
            parameter["required"] = true.into();
        }
        parameters.insert(0, parameter);
    }
    operation["consumes"] = consumes.into();
    operation["produces"] = json!(PRODUCES);
    operation["schemes"] = json!(["https"]);
    match parameters.is_empty() {
        true => drop(operation.as_object_mut().and_then(|fields| fields.remove("parameters"))),
        false => operation["parameters"] = parameters.into(),
    }
    for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let content = response.as_object_mut().and_then(|fields| fields.remove("content"));
        if let Some(entry) =
            content.as_ref().and_then(Value::as_object).and_then(|content| content.values().next())
        {
            let mut schema = entry["schema"].clone();
            convert(&mut schema);
            response["schema"] = schema;
        }
    }
}

/// The schema of a parameter that is no body stands in the parameter itself.
fn parameter(parameter: &mut Value) {
    let Some(fields) = parameter.as_object_mut() else { return };
    if let Some(Value::Object(schema)) = fields.remove("schema") {
        fields.extend(schema);
    }
}
