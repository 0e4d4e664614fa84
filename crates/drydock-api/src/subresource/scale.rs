//! `/scale`: the number of replicas as an object of its own, the same for every kind that has one.

use axum::body::Body;
use drydock_kinds::spec::Scale;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::resource::admit::Ownership;
use crate::resource::options::{OptionsOf, WriteOptions};
use crate::resource::patch::{self, patch_value};
use crate::resource::update::{Change, modify};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire::{self, body};

pub(super) async fn answer(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
    let spec = cx.kind.scale().ok_or_else(ApiError::no_such_path)?;
    if verb == "get" {
        return Ok(wire::json(StatusCode::OK, scale_of(&cx.load()?.value, &spec)));
    }
    let options =
        WriteOptions::of(cx, if verb == "update" { OptionsOf::Update } else { patch::options_of(cx) })?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let replaced = match verb {
        "update" => Some(body::decode(&bytes, body::media_type(&cx.headers))?.value),
        _ => None,
    };
    let change = |live: &Object| {
        let scale = match &replaced {
            Some(scale) => scale.clone(),
            None => {
                let mut now = scale_of(&live.value, &spec);
                crate::meta::set(&mut now, "resourceVersion", None);
                patch_value(cx, now, &bytes)?
            }
        };
        Ok(Change { object: rescaled(cx, live, &scale, &spec)?, ownership: Ownership::Track })
    };
    let stored = modify(cx, &options, change).await?;
    Ok(wire::json(StatusCode::OK, scale_of(&stored, &spec)))
}

fn rescaled(cx: &Cx, live: &Object, scale: &Value, spec: &Scale<'_>) -> Result<Value, ApiError> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        number => {
            number.as_i64().filter(|number| (0..=i64::from(i32::MAX)).contains(number)).ok_or_else(|| {
                let path = drydock_kinds::field::Path::root("spec").child("replicas");
                let why = "must be a whole number greater than or equal to 0";
                let error = drydock_kinds::FieldError::invalid(&path, number.clone(), why);
                ApiError::invalid(&cx.kind, cx.path.name(), &[error])
            })?
        }
    };
    let mut object = live.value.clone();
    let precondition = scale["metadata"]["resourceVersion"].as_str().map(Value::from);
    crate::meta::set(&mut object, "resourceVersion", precondition);
    set_at(&mut object, spec.spec_replicas, replicas.into());
    Ok(object)
}

/// Sets the value at a JSON pointer of plain field names, making objects on the way.
fn set_at(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for field in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[field];
    }
    *place = value;
}

fn scale_of(object: &Value, spec: &Scale<'_>) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let metadata = &object["metadata"];
    let mut kept = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            kept[field] = value.clone();
        }
    }
    let mut status = json!({ "replicas": number(spec.status_replicas) });
    if let Some(selector) = object
        .pointer(spec.selector)
        .filter(|_| !spec.selector.is_empty())
        .map(selector_text)
        .filter(|text| !text.is_empty())
    {
        status["selector"] = selector.into();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept,
        "spec": { "replicas": number(spec.spec_replicas) }, "status": status,
    })
}

/// A selector in the form that query parameters use.
fn selector_text(selector: &Value) -> String {
    if let Value::String(text) = selector {
        return text.clone();
    }
    let labels = selector
        .get("matchLabels")
        .or_else(|| selector.get("matchExpressions").is_none().then_some(selector));
    let pairs = labels.and_then(Value::as_object).into_iter().flatten();
    let mut terms: Vec<String> =
        pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    for term in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = term["key"].as_str().unwrap_or("");
        let values: Vec<&str> =
            term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match term["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}
