//! The OpenAPI document as a rule: an answer that it does not promise fails whichever test got it.

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::Value;
use service::client::Answer;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../src/openapi.json")).expect("JSON"));

/// Panics unless the document has this status for this route, with a body of this shape.
#[track_caller]
pub fn expect_promised(method: &Method, path: &str, answer: &Answer) {
    let status = answer.status.as_u16();
    // The other routes and methods are not there, which needs no word.
    let Some(operation) = operation(method, path) else { return };
    let promised = &operation["responses"][status.to_string()];
    assert!(!promised.is_null(), "{method} {path} was answered {status}, which is not documented");
    let promised = resolved(promised);
    let Some(schema) = promised.pointer("/content/application~1json/schema") else { return };
    let body: Value = answer.json().expect("JSON, as documented");
    if let Err(problem) = conforms(schema, &body) {
        panic!("{method} {path} was answered {status} {body}: {problem}");
    }
}

/// The documented route that `path` belongs to: the one with the fewest placeholders.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or(path);
    let fits = |template: &str| {
        let (template, path): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        let same = |(part, given): (&&str, &&str)| part.starts_with('{') || part == given;
        template.len() == path.len() && template.iter().zip(&path).all(same)
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let mut fitting: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    fitting.sort_by_key(|(template, _)| template.matches('{').count());
    fitting.first()?.1.get(method.as_str().to_lowercase())
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(path) => {
            DOCUMENT.pointer(path.trim_start_matches('#')).expect("a reference that leads somewhere")
        }
        None => value,
    }
}

/// As much of JSON schema as the document uses. Properties that it does not name are refused.
fn conforms(schema: &'static Value, value: &Value) -> Result<(), String> {
    let schema = resolved(schema);
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if !kinds.is_empty() && !kinds.contains(&kind_of(value)) {
        return Err(format!("{value} is not {}", kinds.join(" or ")));
    }
    if let Some(wanted) = schema.get("const").filter(|wanted| *wanted != value) {
        return Err(format!("{value} is not {wanted}"));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    for element in value.as_array().into_iter().flatten() {
        conforms(&schema["items"], element)?;
    }
    match (schema["properties"].as_object(), value.as_object()) {
        (Some(_), Some(given)) => fields(schema, given),
        _ => Ok(()),
    }
}

fn fields(schema: &'static Value, given: &serde_json::Map<String, Value>) -> Result<(), String> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !given.contains_key(*name)) {
        return Err(format!("`{missing}` is missing"));
    }
    for (name, value) in given {
        let property = schema["properties"].get(name).ok_or_else(|| format!("`{name}` is not documented"))?;
        conforms(property, value).map_err(|problem| format!("`{name}`: {problem}"))?;
    }
    Ok(())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn the_document_keeps_the_rules_of_openapi_3_1() {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(text(&DOCUMENT["info"]["title"]) && text(&DOCUMENT["info"]["version"]));
    let mut ids = Vec::new();
    for (path, operations) in DOCUMENT["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        let shared = operations["parameters"].as_array().into_iter().flatten();
        let shared: Vec<&Value> = shared.map(resolved).collect();
        for (method, operation) in
            operations.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
        {
            let what = format!("{method} {path}");
            ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{what} has no id")));
            let own = operation["parameters"].as_array().into_iter().flatten().map(resolved);
            let all: Vec<&Value> = own.chain(shared.iter().copied()).collect();
            let in_path = all.iter().filter(|parameter| parameter["in"] == "path");
            for parameter in in_path.clone() {
                assert!(path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())), "{what}");
                assert_eq!(parameter["required"], true, "{what}");
            }
            assert_eq!(
                in_path.count(),
                path.matches('{').count(),
                "{what}: every placeholder is a parameter"
            );
            assert!(all.iter().all(|parameter| parameter["schema"].is_object()), "{what}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(!responses.is_empty(), "{what}");
            for (code, response) in responses {
                assert!(code.parse::<u16>().is_ok_and(|code| (100..600).contains(&code)), "{what} {code}");
                assert!(text(&resolved(response)["description"]), "{what} {code}");
            }
            if !operation["requestBody"].is_null() {
                assert!(operation["requestBody"]["content"].is_object() && method != "get", "{what}");
            }
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id names one operation");
}
