//! `/scale`: the number of replicas as an object of its own, the same for every kind that has one.

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::column::age;
use drydock_kinds::field::Path;
use drydock_kinds::schema::{self, Mismatch, Schema};
use drydock_kinds::spec::Scale;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::meta;
use crate::resource::admit::{self, Ownership};
use crate::resource::apply;
use crate::resource::options::{OptionsOf, WriteOptions};
use crate::resource::patch::{self, patch_value};
use crate::resource::update::{Change, modify};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire::fields::FieldValidation;
use crate::wire::{self, View, body};

/// The kind that this door speaks, whatever is behind it.
const GROUP: &str = "autoscaling";
const API_VERSION: &str = "autoscaling/v1";
const KIND: &str = "Scale";

pub(super) async fn answer(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
    let spec = cx.kind.scale().ok_or_else(ApiError::no_such_path)?;
    if verb == "get" {
        return reply(cx, scale_of(&cx.load()?.value, &spec));
    }
    let what = if verb == "update" { OptionsOf::Update } else { patch::options_of(cx) };
    let options = WriteOptions::of(cx, what)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let wished = match what {
        OptionsOf::Patch => None,
        _ => Some(read(cx, &bytes, what, &options)?),
    };
    let change = |live: &Object| {
        let (scale, found) = match &wished {
            Some(wished) => wished.clone(),
            None => patched(cx, &scale_of(&live.value, &spec), &bytes, &options)?,
        };
        cx.warnings.extend(found);
        match what {
            OptionsOf::Apply => applied(cx, live, &scale, &spec, &options),
            _ => Ok(Change { object: rescaled(cx, live, &scale, &spec)?, ownership: Ownership::Track }),
        }
    };
    let stored = modify(cx, &options, change).await?;
    reply(cx, scale_of(&stored, &spec))
}

/// A Scale, or its table.
fn reply(cx: &Cx, scale: Value) -> Result<Response<Body>, ApiError> {
    let View::Table(version) = cx.shape()?.accept.view else { return Ok(wire::json(StatusCode::OK, scale)) };
    let column = |name: &str, kind: &str, format: &str| json!({ "name": name, "type": kind, "format": format, "description": "", "priority": 0 });
    let count = |pointer: &str| scale.pointer(pointer).cloned().unwrap_or_else(|| 0.into());
    let metadata = &scale["metadata"];
    let table = json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": { "resourceVersion": metadata["resourceVersion"] },
        "columnDefinitions": [
            column("Name", "string", "name"), column("Desired", "integer", ""), column("Available", "integer", ""),
            column("Age", "string", ""),
        ],
        "rows": [{
            "cells": [
                metadata["name"], count("/spec/replicas"), count("/status/replicas"),
                age(Some(&metadata["creationTimestamp"]), cx.now),
            ],
            "object": {
                "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
            },
        }],
    });
    Ok(wire::json(StatusCode::OK, table))
}

/// A Scale that a client sent as a whole, and what to warn about.
fn read(
    cx: &Cx,
    bytes: &[u8],
    what: OptionsOf,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), ApiError> {
    let media_type =
        if what == OptionsOf::Apply { "application/yaml" } else { body::media_type(&cx.headers) };
    let decoded = body::decode_as(bytes, media_type, Some((API_VERSION, KIND)))?;
    let mut scale = decoded.value;
    check_kind(&scale)?;
    let unknown = conform(&mut scale).map_err(|why| undecodable(&why.to_string()))?;
    let findings: Vec<String> = decoded.duplicates.into_iter().chain(unknown).collect();
    let warnings = match options.validation {
        FieldValidation::Strict if !findings.is_empty() => {
            return Err(undecodable(&format!("strict decoding error: {}", findings.join(", "))));
        }
        FieldValidation::Ignore => Vec::new(),
        _ => findings,
    };
    admit::check_place(cx, &mut scale)?;
    admit::check_name(cx, &scale)?;
    Ok((scale, warnings))
}

fn check_kind(scale: &Value) -> Result<(), ApiError> {
    let text = |field: &str| scale[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if matches!(api_version, "" | API_VERSION) && matches!(kind, "" | KIND) {
        return Ok(());
    }
    let version = api_version.rsplit('/').next().unwrap_or_default();
    Err(ApiError::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {KIND}: converting ({version}.{kind}) to \
         ({GROUP}.{KIND}): unknown conversion"
    )))
}

fn undecodable(why: &str) -> ApiError {
    ApiError::bad_request(format!("{KIND} in version \"v1\" cannot be handled as a {KIND}: {why}"))
}

fn conform(scale: &mut Value) -> Result<Vec<String>, Mismatch> {
    match Schema::builtin().kind(GROUP, "v1", KIND) {
        Some(root) => schema::conform(scale, root),
        None => Ok(Vec::new()),
    }
}

/// The Scale of the live object after a patch, and what to warn about.
fn patched(
    cx: &Cx,
    now: &Value,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), ApiError> {
    let mut scale = patch_value(cx, now.clone(), bytes)?;
    let shown = scale.to_string();
    let findings = conform(&mut scale).map_err(|why| ApiError::invalid_patch(&shown, &why.to_string()))?;
    let warnings = match options.validation {
        FieldValidation::Strict if !findings.is_empty() => {
            let why = format!("strict decoding error: {}", findings.join(", "));
            return Err(ApiError::invalid_patch(&shown, &why));
        }
        FieldValidation::Ignore => Vec::new(),
        _ => findings,
    };
    admit::check_place(cx, &mut scale)?;
    admit::check_name(cx, &scale)?;
    // Only a patch that names another version than the live one insists on it.
    if scale["metadata"]["resourceVersion"] == now["metadata"]["resourceVersion"] {
        meta::set(&mut scale, "resourceVersion", None);
    }
    Ok((scale, warnings))
}

/// An applied Scale is an applied object with nothing but its replicas, through this door.
fn applied(
    cx: &Cx,
    live: &Object,
    scale: &Value,
    spec: &Scale<'_>,
    options: &WriteOptions,
) -> Result<Change, ApiError> {
    let mut config = json!({
        "apiVersion": cx.kind.api_version(), "kind": cx.kind.kind(), "metadata": { "name": cx.path.name() },
    });
    if !scale["spec"]["replicas"].is_null() {
        set_at(&mut config, spec.spec_replicas, replicas_of(cx, scale)?.into());
    }
    let mut object = apply::applied(cx, options, &config, Some(&live.value))?;
    meta::carry_over(&mut object, scale, "resourceVersion");
    Ok(Change { object, ownership: Ownership::Given })
}

fn rescaled(cx: &Cx, live: &Object, scale: &Value, spec: &Scale<'_>) -> Result<Value, ApiError> {
    let mut object = live.value.clone();
    let precondition = scale["metadata"]["resourceVersion"].as_str().map(Value::from);
    meta::set(&mut object, "resourceVersion", precondition);
    set_at(&mut object, spec.spec_replicas, replicas_of(cx, scale)?.into());
    Ok(object)
}

fn replicas_of(cx: &Cx, scale: &Value) -> Result<i64, ApiError> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if (0..=i64::from(i32::MAX)).contains(&replicas) {
        return Ok(replicas);
    }
    let path = Path::root("spec").child("replicas");
    let error = FieldError::invalid(&path, replicas, "must be greater than or equal to 0");
    Err(ApiError::invalid_fields_of(GROUP, KIND, cx.path.name(), &[error]))
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
    // Zero is not written, as it never is where nothing means zero.
    let wanted = match number(spec.spec_replicas) {
        0 => json!({}),
        replicas => json!({ "replicas": replicas }),
    };
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
        "kind": KIND, "apiVersion": API_VERSION, "metadata": kept, "spec": wanted, "status": status,
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
