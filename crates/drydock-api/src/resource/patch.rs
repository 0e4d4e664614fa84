//! `PATCH` in its four forms: JSON patch, merge patch, strategic merge patch and server-side apply.
//!
//! Start at [`patch`]; server-side apply has its own room, `apply`. The patches themselves are pure functions of
//! `crate::patch`; here they meet the stored object, and their failures become answers.

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use drydock_kinds::schema::{Mismatch, duplicate_fields, json_type};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::meta;
use crate::patch::{MergeError, go, json_patch, strategic_merge};
use crate::resource::admit::{self, Ownership};
use crate::resource::apply::server_side_apply;
use crate::resource::options::{OptionsOf, WriteOptions, unregistered};
use crate::resource::update::{Change, modify};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire::body;
use crate::wire::fields::FieldValidation;

/// More operations than this in one JSON patch are refused.
const MAX_OPERATIONS: usize = 10_000;
/// What an operation of a JSON patch may say.
const OPERATION_FIELDS: &[&str] = &["op", "path", "from", "value"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Form {
    fn of(cx: &Cx) -> Result<Self, ApiError> {
        match body::media_type(&cx.headers) {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if cx.kind.merges_strategically() => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if cx.kind.custom().is_none() => Err(ApiError::unknown_patch()),
            _ => Err(ApiError::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
        }
    }
}

/// Which options the patch of this request may carry.
pub(crate) fn options_of(cx: &Cx) -> OptionsOf {
    match Form::of(cx) {
        Ok(Form::Apply) => OptionsOf::Apply,
        _ => OptionsOf::Patch,
    }
}

pub(crate) async fn patch(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let form = Form::of(cx)?;
    let options = WriteOptions::of(cx, options_of(cx))?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    if form == Form::Apply {
        return server_side_apply(cx, &options, &bytes).await;
    }
    let patch = Patch::read(form, &bytes)?;
    let change = |live: &Object| {
        let object = patch.applied(cx, options.validation, live)?;
        Ok(Change { object, ownership: Ownership::Track })
    };
    cx.reply(StatusCode::OK, modify(cx, &options, change).await?)
}

/// An object after a patch of any form that needs no field managers.
pub(crate) fn patch_object(cx: &Cx, base: Value, bytes: &[u8]) -> Result<Value, ApiError> {
    match Form::of(cx)? {
        Form::Apply => Err(ApiError::not_implemented("server-side apply of this subresource")),
        form => Patch::read(form, bytes)?.on(cx, base),
    }
}

/// Merges a patch into something that is no stored object, such as a Scale, which has no lists: all kinds of merge
/// patch mean the same for it.
pub(crate) fn patch_value(cx: &Cx, base: Value, bytes: &[u8]) -> Result<Value, ApiError> {
    let form = match Form::of(cx)? {
        Form::Json => Form::Json,
        Form::Merge | Form::Strategic | Form::Apply => Form::Merge,
    };
    Patch::read(form, bytes)?.on(cx, base)
}

/// A decoded patch that is no apply.
struct Patch {
    form: Form,
    value: Value,
    /// Fields that came twice, and members of operations that mean nothing.
    findings: Vec<String>,
}

impl Patch {
    fn read(form: Form, bytes: &[u8]) -> Result<Self, ApiError> {
        let prefix = if form == Form::Strategic { "" } else { "error decoding patch: " };
        let refused = |why: String| ApiError::bad_request(format!("{prefix}{why}"));
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| refused(body::go_words(&error, bytes)))?;
        let expected = match (form, &value) {
            (Form::Json, Value::Array(_)) | (Form::Merge | Form::Strategic, Value::Object(_)) => None,
            (Form::Json, _) => Some("[]handlers.jsonPatchOp"),
            _ => Some("map[string]interface {}"),
        };
        if let Some(expected) = expected {
            let found = json_type(&value);
            return Err(refused(format!("json: cannot unmarshal {found} into Go value of type {expected}")));
        }
        let mut findings = duplicate_fields(bytes);
        if form == Form::Json {
            findings.extend(odd_members(&value));
            findings.iter_mut().for_each(|finding| finding.insert_str(0, "json patch "));
        }
        Ok(Self { form, value, findings })
    }

    /// The live object after the patch, in the shape of its kind. It is pinned to a resourceVersion only when the patch
    /// names another one than the live one: a patch is about fields, so losing a race means looking and trying again.
    fn applied(&self, cx: &Cx, validation: FieldValidation, live: &Object) -> Result<Value, ApiError> {
        let mut object = self.on(cx, live.value.clone())?;
        let shown = match self.form {
            Form::Strategic => go::text(&self.value),
            _ => object.to_string(),
        };
        cx.warnings.extend(self.conform(cx, validation, &mut object, &shown)?);
        cx.warnings.extend(admit::dedup_owners(&mut object, "", " after mutating admission happens"));
        admit::check_place(cx, &mut object)?;
        admit::check_name(cx, &object)?;
        check_uid(cx, &object, live)?;
        if meta::text(&object, "resourceVersion") == live.revision.to_string() {
            meta::set(&mut object, "resourceVersion", None);
        }
        Ok(object)
    }

    fn on(&self, cx: &Cx, mut base: Value) -> Result<Value, ApiError> {
        match (self.form, &self.value) {
            (Form::Json, Value::Array(operations)) => {
                if operations.len() > MAX_OPERATIONS {
                    let why = format!(
                        "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                        operations.len()
                    );
                    return Err(ApiError::body_too_large(MAX_OPERATIONS).with_message(why));
                }
                json_patch(&mut base, operations).map_err(|error| {
                    tracing::debug!(%error, "a JSON patch failed");
                    ApiError::impossible_patch()
                })?;
            }
            (Form::Strategic, patch) if let Some(root) = cx.kind.root() => {
                base = strategic_merge(&base, patch, root).map_err(strategic_refusal)?;
            }
            (_, patch) => json_patch::merge(&mut base, patch),
        }
        Ok(base)
    }

    /// A patch that leads to no object of the kind is the patch's fault.
    fn conform(
        &self,
        cx: &Cx,
        validation: FieldValidation,
        object: &mut Value,
        shown: &str,
    ) -> Result<Vec<String>, ApiError> {
        self.keep_kind(cx, object, shown)?;
        let refused = |why: Mismatch| match self.form {
            Form::Strategic => ApiError::invalid_patch(shown, &conversion_words(&why)),
            _ => ApiError::invalid_patch(shown, &why.to_string()),
        };
        let unknown = cx.kind.conform(object).map_err(refused)?;
        let findings: Vec<String> = self.findings.iter().cloned().chain(unknown).collect();
        match validation {
            _ if findings.is_empty() => Ok(findings),
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Warn => Ok(findings),
            FieldValidation::Strict => {
                let why = format!("strict decoding error: {}", findings.join(", "));
                Err(ApiError::invalid_patch(shown, &why))
            }
        }
    }

    /// A strategic patch cannot say what an object is; the others make another kind's object of it and fail.
    fn keep_kind(&self, cx: &Cx, object: &mut Value, shown: &str) -> Result<(), ApiError> {
        let (api_version, kind) = (cx.kind.api_version(), cx.kind.kind());
        if self.form == Form::Strategic {
            (object["apiVersion"], object["kind"]) = (api_version.into(), kind.into());
            return Ok(());
        }
        let found = |field: &str| object[field].as_str().unwrap_or_default();
        match found("apiVersion") == api_version && found("kind") == kind {
            true => Ok(()),
            false => Err(ApiError::invalid_patch(shown, &unregistered(found("kind"), found("apiVersion")))),
        }
    }
}

/// Members of operations that mean nothing, as a strict decoder names them.
fn odd_members(operations: &Value) -> Vec<String> {
    let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    let odd = |(index, operation): (usize, &Value)| {
        let names = operation.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        let odd = names.filter(|name| !OPERATION_FIELDS.contains(&name.as_str()));
        odd.map(|name| format!("unknown field \"[{index}].{name}\"")).collect::<Vec<_>>()
    };
    operations.iter().enumerate().flat_map(odd).collect()
}

fn strategic_refusal(error: MergeError) -> ApiError {
    match error {
        MergeError::ListOfLists => ApiError::impossible_patch(),
        error if error.is_bad_request() => ApiError::bad_request(error.to_string()),
        error => ApiError::failed(error.to_string()),
    }
}

/// A strategic patch is converted value by value, whose failures read differently from a decoder's.
fn conversion_words(why: &Mismatch) -> String {
    let Mismatch::Type { found, expected, .. } = why else { return why.to_string() };
    let found = match *found {
        "number" => "int64",
        "array" => "slice",
        "object" => "map",
        other => other,
    };
    match expected.as_str() {
        list if list.starts_with("[]") => format!("cannot restore slice from {found}"),
        map if map.starts_with("map[") => format!("cannot restore map from {found}"),
        structure if structure.contains('.') => format!("cannot restore struct from: {found}"),
        scalar if matches!(found, "slice" | "map") => format!("unrecognized type: {scalar}"),
        scalar => format!("cannot convert {found} to {scalar}"),
    }
}

/// An object keeps its uid; a patch that names another one is invalid.
pub(super) fn check_uid(cx: &Cx, object: &Value, live: &Object) -> Result<(), ApiError> {
    let (wanted, found) = (meta::uid(object), meta::uid(&live.value));
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    let error = FieldError::invalid(&Path::root("metadata").child("uid"), wanted, "field is immutable");
    Err(ApiError::invalid(&cx.kind, cx.path.name(), &[error]))
}
