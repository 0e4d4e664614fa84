//! Server-side apply over HTTP: the configuration meets the stored object, or makes it.

use axum::body::Body;
use drydock_kinds::schema::duplicate_fields;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::meta;
use crate::patch::{Apply, ApplyError, apply};
use crate::resource::admit::{self, Ownership};
use crate::resource::create::create_object;
use crate::resource::options::WriteOptions;
use crate::resource::patch::check_uid;
use crate::resource::update::{Change, modify};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire::body;
use crate::wire::fields::FieldValidation;

pub(super) async fn server_side_apply(
    cx: &Cx,
    options: &WriteOptions,
    bytes: &[u8],
) -> Result<Response<Body>, ApiError> {
    let config = body::decode_yaml(bytes)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {}", error.message)))?
        .value;
    check_kind(cx, &config)?;
    cx.warnings.extend(judge_duplicates(options.validation, bytes)?);
    // Two rounds: the object may appear or vanish between looking and writing.
    for _ in 0..2 {
        if cx.load_if_present()?.is_some() || !cx.path.subresource.is_empty() {
            match modify(cx, options, |live| changed(cx, options, &config, live)).await {
                Err(error) if error.reason == "NotFound" && cx.path.subresource.is_empty() => {}
                outcome => return cx.reply(StatusCode::OK, outcome?),
            }
        }
        check_is_new(cx, &config)?;
        let object = applied(cx, options, &config, None)?;
        match create_object(cx, object, Ownership::Given, options).await {
            Err(error) if error.reason == "AlreadyExists" => {}
            outcome => return cx.reply(StatusCode::CREATED, outcome?),
        }
    }
    Err(ApiError::modified(&cx.kind, cx.path.name()))
}

fn changed(cx: &Cx, options: &WriteOptions, config: &Value, live: &Object) -> Result<Change, ApiError> {
    let mut object = applied(cx, options, config, Some(&live.value))?;
    check_uid(cx, &object, live)?;
    let mut whole = object.clone();
    cx.kind.complete(&mut whole);
    if same_but_times(&live.value, &whole) {
        object = live.value.clone();
    }
    // The configuration's resourceVersion is the client's precondition; the live one is not.
    meta::carry_over(&mut object, config, "resourceVersion");
    Ok(Change { object, ownership: Ownership::Given })
}

/// The object after the apply, in the shape of its kind and in its place.
pub(crate) fn applied(
    cx: &Cx,
    options: &WriteOptions,
    config: &Value,
    live: Option<&Value>,
) -> Result<Value, ApiError> {
    let Some(root) = cx.kind.root() else {
        return Err(ApiError::unsupported_media_type("this kind has no schema, so it cannot be applied"));
    };
    let writer = admit::writer(cx, options);
    let request = Apply { live, config, root, writer, force: options.force, now: cx.now };
    let mut object = apply(request).map_err(refusal)?;
    cx.kind.conform(&mut object).map_err(|why| ApiError::failed(why.to_string()))?;
    admit::check_place(cx, &mut object)?;
    admit::check_name(cx, &object)?;
    Ok(object)
}

/// Writing the same in other words (`1000m` for `1`) changes nothing, so no entry gets a new time for it.
fn same_but_times(live: &Value, object: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        for entry in
            object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut).into_iter().flatten()
        {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
        object
    };
    timeless(live) == timeless(object)
}

fn check_kind(cx: &Cx, config: &Value) -> Result<(), ApiError> {
    let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version == cx.kind.api_version() && kind == cx.kind.kind() {
        return Ok(());
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Err(ApiError::bad_request(format!("invalid object type: {group}/{version}, Kind={kind}")))
}

/// Fields that came twice in JSON; in YAML they are no readable document to begin with.
fn judge_duplicates(validation: FieldValidation, bytes: &[u8]) -> Result<Vec<String>, ApiError> {
    if validation == FieldValidation::Ignore || !bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(Vec::new());
    }
    let last = |finding: String| {
        let path = finding.split('"').nth(1).unwrap_or_default().to_owned();
        let name = path.rsplit('.').next().unwrap_or_default().to_owned();
        format!("line 1: key {name:?} already set in map")
    };
    let found: Vec<String> = duplicate_fields(bytes).into_iter().map(last).collect();
    match validation {
        FieldValidation::Strict if !found.is_empty() => Err(ApiError::bad_request(format!(
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
            found.join("\n  ")
        ))),
        _ => Ok(found),
    }
}

/// An object that is to have a certain uid must exist.
fn check_is_new(cx: &Cx, config: &Value) -> Result<(), ApiError> {
    match meta::uid(config) {
        "" => Ok(()),
        uid => {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            Err(ApiError::conflict(&cx.kind, cx.path.name(), &why))
        }
    }
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
        ApplyError::BadConfig(_) => ApiError::failed(message),
        ApplyError::ManagedFieldsInConfig => ApiError::bad_request(message),
    }
}
