//! The query parameters of writes, and the options that deletions carry in their body.

use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use http::HeaderMap;
use http::header::USER_AGENT;
use serde_json::Value;

use crate::server::Cx;
use crate::status::ApiError;
use crate::wire::fields::FieldValidation;

/// Longest name of a field manager.
const MAX_MANAGER: usize = 128;

/// Which options a request carries; they are refused under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionsOf {
    Create,
    Update,
    /// Any patch but server-side apply.
    Patch,
    Apply,
}

impl OptionsOf {
    fn kind(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

/// What a create, update or patch may say about itself.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub manager: String,
    pub validation: FieldValidation,
    pub force: bool,
}

impl WriteOptions {
    pub(crate) fn of(cx: &Cx, what: OptionsOf) -> Result<Self, ApiError> {
        let validation = FieldValidation::parse(cx.query.get("fieldValidation"));
        let manager = cx.query.get("fieldManager");
        let mut errors = Vec::new();
        if what == OptionsOf::Apply && manager.is_none() {
            errors.push(FieldError::required(&Path::root("fieldManager"), "is required for apply patch"));
        }
        if what == OptionsOf::Patch && cx.query.get("force").is_some() {
            errors.push(FieldError::forbidden(
                &Path::root("force"),
                "may not be specified for non-apply patch",
            ));
        }
        errors.extend(manager.and_then(manager_complaint));
        errors.extend(dry_run_complaint(&cx.query.all("dryRun").collect::<Vec<_>>()));
        errors.extend(validation.as_ref().err().cloned());
        match validation {
            Ok(validation) if errors.is_empty() => Ok(Self {
                dry_run: cx.query.get("dryRun").is_some(),
                manager: manager.map_or_else(|| program(&cx.headers), str::to_owned),
                validation,
                force: cx.query.is_true("force"),
            }),
            _ => Err(ApiError::invalid_options(what.kind(), &errors)),
        }
    }
}

fn dry_run_complaint(values: &[&str]) -> Option<FieldError> {
    let named: Vec<&&str> = values.iter().filter(|value| !value.is_empty()).collect();
    if named.iter().all(|value| **value == "All") {
        return None;
    }
    Some(FieldError::not_supported(&Path::root("dryRun"), serde_json::json!(named), &["All"]))
}

fn manager_complaint(manager: &str) -> Option<FieldError> {
    let path = Path::root("fieldManager");
    if manager.len() > MAX_MANAGER {
        return Some(FieldError::too_long(&path, MAX_MANAGER));
    }
    let (position, odd) = manager.chars().enumerate().find(|(_, c)| c.is_control())?;
    let why = format!("invalid character U+{:04X} (at position {position})", u32::from(odd));
    Some(FieldError::invalid(&path, manager, why))
}

/// Who writes when no `fieldManager` says so: the name of the program at the head of the user agent.
pub fn program(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    let program = agent.split('/').next().unwrap_or("unknown");
    program.chars().filter(|c| !c.is_control()).take(MAX_MANAGER).collect()
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
        check_kind(body)?;
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        // A body speaks alone; the query counts only without one.
        let queried = |name: &str| if body.is_null() { cx.query.get(name) } else { None };
        let policy = text("/propagationPolicy").or_else(|| queried("propagationPolicy").map(str::to_owned));
        let orphan = body["orphanDependents"]
            .as_bool()
            .or_else(|| queried("orphanDependents").map(|value| matches!(value, "true" | "1")));
        let grace = match body["gracePeriodSeconds"].as_i64() {
            None if body.is_null() => cx.query.number("gracePeriodSeconds")?,
            given => given,
        };
        let in_body = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let dry_run: Vec<&str> =
            in_body.chain(cx.query.all("dryRun")).filter(|one| !one.is_empty()).collect();
        let mut errors: Vec<FieldError> =
            propagation_complaint(policy.as_deref(), orphan).into_iter().collect();
        errors.extend(dry_run_complaint(&dry_run));
        if !errors.is_empty() {
            return Err(ApiError::invalid_options("DeleteOptions", &errors));
        }
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            // Negative values were once meaningful and now ask for the smallest grace there is.
            grace_period_s: grace.map(|seconds| if seconds < 0 { 1 } else { seconds }),
            propagation: propagation(policy.as_deref(), orphan),
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        })
    }
}

/// A body that is an object of some kind is no options for a deletion.
fn check_kind(body: &Value) -> Result<(), ApiError> {
    let (version, kind) = (body["apiVersion"].as_str().unwrap_or("v1"), body["kind"].as_str().unwrap_or(""));
    match kind {
        "" | "DeleteOptions" => Ok(()),
        other => Err(ApiError::bad_request(unregistered(other, version))),
    }
}

/// As Go's decoder says it.
pub(crate) fn unregistered(kind: &str, version: &str) -> String {
    format!("no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\"")
}

fn propagation_complaint(policy: Option<&str>, orphan: Option<bool>) -> Option<FieldError> {
    let path = Path::root("propagationPolicy");
    match (policy, orphan) {
        (Some(policy), Some(_)) => {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            Some(FieldError::invalid(&path, policy, why))
        }
        (None | Some("Background" | "Foreground" | "Orphan"), _) => None,
        (Some(other), None) => Some(FieldError::not_supported_in_order(
            &path,
            other,
            &["Foreground", "Background", "Orphan", "nil"],
        )),
    }
}

fn propagation(policy: Option<&str>, orphan: Option<bool>) -> Option<Propagation> {
    match (policy, orphan) {
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        _ => None,
    }
}
