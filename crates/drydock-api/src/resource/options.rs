//! The query parameters of writes, and the options that deletions carry in their body.

use http::header::USER_AGENT;
use serde_json::Value;

use crate::server::Cx;
use crate::status::ApiError;
use crate::wire::fields::FieldValidation;

/// Longest name of a field manager.
const MAX_MANAGER: usize = 128;

/// What a create, update or patch may say about itself.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub manager: String,
    pub validation: FieldValidation,
    pub force: bool,
}

impl WriteOptions {
    pub(crate) fn of(cx: &Cx) -> Result<Self, ApiError> {
        Ok(Self {
            dry_run: dry_run(cx.query.all("dryRun"))?,
            manager: manager(cx)?,
            validation: FieldValidation::parse(cx.query.get("fieldValidation"))?,
            force: cx.query.is_true("force"),
        })
    }
}

fn dry_run<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<bool, ApiError> {
    values.try_fold(false, |_, value| match value {
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!("invalid dryRun {other:?}: supported values: \"All\""))),
    })
}

/// The `fieldManager` parameter, or the name of the program at the head of the user agent.
fn manager(cx: &Cx) -> Result<String, ApiError> {
    if let Some(manager) = cx.query.get("fieldManager") {
        if manager.len() > MAX_MANAGER || manager.chars().any(char::is_control) {
            let why = format!("invalid fieldManager: at most {MAX_MANAGER} printable characters");
            return Err(ApiError::bad_request(why));
        }
        return Ok(manager.to_owned());
    }
    let agent = cx.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    let program = agent.split(['/', ' ']).next().unwrap_or("unknown");
    Ok(program.chars().take(MAX_MANAGER).collect())
}

/// What becomes of the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Debug, Clone)]
pub struct DeleteOptions {
    pub dry_run: bool,
    pub grace_period_s: Option<i64>,
    pub propagation: Option<Propagation>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// What the server itself asks for: dependents follow later.
    pub(crate) fn background() -> Self {
        Self {
            dry_run: false,
            grace_period_s: None,
            propagation: Some(Propagation::Background),
            uid: None,
            resource_version: None,
        }
    }

    /// From the body if there is one, else from the query.
    pub(crate) fn of(cx: &Cx, body: &Value) -> Result<Self, ApiError> {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let in_body = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let policy =
            text("/propagationPolicy").or_else(|| cx.query.get("propagationPolicy").map(str::to_owned));
        let orphan = body["orphanDependents"].as_bool();
        let grace = match body["gracePeriodSeconds"].as_i64() {
            None => cx.query.number("gracePeriodSeconds")?,
            given => given,
        };
        Ok(Self {
            dry_run: dry_run(in_body)? || dry_run(cx.query.all("dryRun"))?,
            // Negative values were once meaningful and now ask for the smallest grace there is.
            grace_period_s: grace.map(|seconds| if seconds < 0 { 1 } else { seconds }),
            propagation: propagation(policy.as_deref(), orphan)?,
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        })
    }
}

fn propagation(policy: Option<&str>, orphan: Option<bool>) -> Result<Option<Propagation>, ApiError> {
    Ok(match (policy, orphan) {
        (Some("Background"), None) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), None) => Some(Propagation::Foreground),
        (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, None) => None,
        (policy, _) => {
            let why =
                format!("invalid propagationPolicy {policy:?}: must be Background, Foreground or Orphan");
            return Err(ApiError::bad_request(why));
        }
    })
}
