//! `PATCH` in its four forms: JSON patch, merge patch, strategic merge patch and server-side apply.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::meta;
use crate::patch::{Apply, ApplyError, apply, strategic_merge};
use crate::resource::admit::{self, Ownership};
use crate::resource::create::create_object;
use crate::resource::options::WriteOptions;
use crate::resource::update::{Change, modify};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire;
use crate::wire::body::{self, Decoded};
use crate::wire::fields::undecodable;

/// More operations than this in one JSON patch are refused.
const MAX_OPERATIONS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Form {
    fn of(cx: &Cx) -> Result<Self, ApiError> {
        let supported = "application/json-patch+json, application/merge-patch+json, \
                         application/strategic-merge-patch+json, application/apply-patch+yaml";
        match body::media_type(&cx.headers) {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if cx.kind.merges_strategically() => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {supported}"
            ))),
        }
    }
}

pub(crate) async fn patch(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let form = Form::of(cx)?;
    let options = WriteOptions::of(cx)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    if form == Form::Apply {
        return server_side_apply(cx, &options, body::decode_yaml(&bytes)?).await;
    }
    let Decoded { value: patch, duplicates } = body::decode_json(&bytes)?;
    let warnings = options.validation.judge(duplicates, &cx.kind)?;
    let unknown = std::sync::Mutex::new(Vec::new());
    let change = |live: &Object| {
        let mut object = patched(cx, form, live, &patch)?;
        check_still_itself(cx, &object)?;
        let found = conform_patched(cx, &mut object)?;
        let found = options.validation.judge(found, &cx.kind)?;
        *unknown.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = found;
        Ok(Change { object, ownership: Ownership::Track })
    };
    let stored = modify(cx, &options, change).await?;
    let unknown = unknown.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let warnings: Vec<String> = warnings.into_iter().chain(unknown).collect();
    Ok(wire::warn(cx.reply(StatusCode::OK, stored)?, &warnings))
}

/// The live object after the patch. It is pinned to a resourceVersion only when the patch names another one than the
/// live one: a patch is about fields, so losing a race means looking and trying again.
fn patched(cx: &Cx, form: Form, live: &Object, patch: &Value) -> Result<Value, ApiError> {
    let mut object = apply_form(cx, form, live.value.clone(), patch)?;
    if meta::text(&object, "resourceVersion") == live.revision.to_string() {
        meta::set(&mut object, "resourceVersion", None);
    }
    Ok(object)
}

fn apply_form(cx: &Cx, form: Form, mut base: Value, patch: &Value) -> Result<Value, ApiError> {
    match form {
        Form::Json => {
            json_patch(&mut base, patch)?;
            Ok(base)
        }
        Form::Strategic if let Some(root) = cx.kind.root() => {
            strategic_merge(&base, patch, root).map_err(|error| ApiError::bad_request(error.to_string()))
        }
        _ if !patch.is_object() => Err(ApiError::bad_request("the patch must be an object")),
        _ => {
            json_patch::merge(&mut base, patch);
            Ok(base)
        }
    }
}

/// Merges a JSON or merge patch into something that is no stored object, such as a Scale.
pub(crate) fn patch_value(cx: &Cx, base: Value, bytes: &[u8]) -> Result<Value, ApiError> {
    let patch = body::decode_json(bytes)?.value;
    match Form::of(cx)? {
        Form::Json => apply_form(cx, Form::Json, base, &patch),
        // A Scale has no lists, so both kinds of merge patch mean the same for it.
        Form::Merge | Form::Strategic | Form::Apply => apply_form(cx, Form::Merge, base, &patch),
    }
}

fn json_patch(object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if operations.0.len() > MAX_OPERATIONS {
        let why = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}");
        return Err(ApiError::body_too_large(MAX_OPERATIONS).with_message(why));
    }
    json_patch::patch(object, &operations.0).map_err(|error| ApiError::unprocessable(error.to_string()))
}

fn conform_patched(cx: &Cx, object: &mut Value) -> Result<Vec<String>, ApiError> {
    cx.kind.conform(object).map_err(|why| undecodable(&cx.kind, &why.to_string()))
}

/// A patch may change an object, not make another one of it.
fn check_still_itself(cx: &Cx, object: &Value) -> Result<(), ApiError> {
    let same = object["kind"] == cx.kind.kind()
        && object["apiVersion"] == cx.kind.api_version().as_str()
        && meta::name(object) == cx.path.name()
        && meta::namespace(object) == cx.path.namespace.as_deref().unwrap_or("");
    match same {
        true => Ok(()),
        false => {
            Err(ApiError::bad_request("a patch must not change the apiVersion, kind, name or namespace"))
        }
    }
}

async fn server_side_apply(
    cx: &Cx,
    options: &WriteOptions,
    decoded: Decoded,
) -> Result<Response<Body>, ApiError> {
    if cx.query.get("fieldManager").is_none() {
        return Err(ApiError::bad_request("fieldManager is required for apply patch"));
    }
    let (config, warnings) = admit::conform(cx, decoded, options)?;
    let Some(root) = cx.kind.root() else {
        return Err(ApiError::unsupported_media_type("this kind has no schema, so it cannot be applied"));
    };
    let merge = |live: Option<&Value>| {
        let writer = admit::writer(cx, options);
        let request = Apply { live, config: &config, root, writer, force: options.force, now: cx.now };
        apply(request).map_err(refusal)
    };
    let wire_warn = |response| wire::warn(response, &warnings);
    // Two rounds: the object may appear or vanish between looking and writing.
    for _ in 0..2 {
        if cx.load_if_present()?.is_some() || !cx.path.subresource.is_empty() {
            let change = |live: &Object| {
                let mut object = merge(Some(&live.value))?;
                // The configuration's resourceVersion is the client's precondition; the live one is not.
                meta::carry_over(&mut object, &config, "resourceVersion");
                Ok(Change { object, ownership: Ownership::Given })
            };
            match modify(cx, options, change).await {
                Err(error) if error.reason == "NotFound" && cx.path.subresource.is_empty() => {}
                outcome => return Ok(wire_warn(cx.reply(StatusCode::OK, outcome?)?)),
            }
        }
        if !meta::uid(&config).is_empty() {
            return Err(ApiError::modified(&cx.kind, cx.path.name()));
        }
        match create_object(cx, merge(None)?, Ownership::Given, options).await {
            Err(error) if error.reason == "AlreadyExists" => {}
            outcome => return Ok(wire_warn(cx.reply(StatusCode::CREATED, outcome?)?)),
        }
    }
    Err(ApiError::modified(&cx.kind, cx.path.name()))
}

fn refusal(error: ApplyError) -> ApiError {
    let message = error.to_string();
    match error {
        ApplyError::Conflicts(conflicts) => {
            let causes = conflicts.iter().map(|conflict| {
                json!({ "reason": "FieldManagerConflict", "message": conflict.message, "field": conflict.field })
            });
            ApiError::apply_conflict(&message, causes.collect())
        }
        _ => ApiError::bad_request(message),
    }
}
