//! Errors as Kubernetes clients expect them: a `Status` object whose `reason` and `details` they branch on.
//!
//! For every handler. The message is for a person at `kubectl`; what only we need to know goes to the log.

use drydock_kinds::FieldError;
use http::StatusCode;
use serde_json::{Value, json};

use crate::served::ServedKind;

/// An answer that is not the requested one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: StatusCode,
    pub reason: &'static str,
    pub message: String,
    details: Option<Box<Value>>,
    /// Where a list can go on all the same.
    next: Option<Box<str>>,
    /// What the client was to be told whatever comes of its request.
    pub warnings: Vec<String>,
}

impl ApiError {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, next: None, warnings: Vec::new() }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let mut details = json!({});
        if !kind.is_empty() {
            details["kind"] = kind.into();
        }
        if !name.is_empty() {
            details["name"] = name.into();
        }
        if !group.is_empty() {
            details["group"] = group.into();
        }
        self.details = Some(Box::new(details));
        self
    }

    /// Details that are there and say nothing.
    fn no_details(mut self) -> Self {
        self.details = Some(Box::new(json!({})));
        self
    }

    fn detail(mut self, key: &str, value: Value) -> Self {
        self.details.get_or_insert_with(|| Box::new(json!({})))[key] = value;
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let resource = qualified(group, plural);
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} {name:?} is forbidden: {why}"),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, plural, name)
    }

    pub fn forbidden_path(why: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", format!("forbidden: {why}")).no_details()
    }

    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(group, plural));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, plural, name)
    }

    /// No such path or resource.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: Some(Box::new(json!({}))), ..Self::new(StatusCode::NOT_FOUND, "NotFound", message) }
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        Self { details: Some(Box::new(json!({}))), ..error }
    }

    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(group, plural));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(group, plural, name)
    }

    /// A deletion that insists on another state of the object; named by its kind, unlike everything else.
    pub fn unmet_precondition(kind: &ServedKind, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            qualified(kind.group(), kind.kind())
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(kind.group(), kind.kind(), name)
    }

    pub fn conflict(kind: &ServedKind, name: &str, why: &str) -> Self {
        Self::conflict_of(kind.group(), kind.plural(), name, why)
    }

    /// The same for kinds that are not stored.
    pub fn conflict_of(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(group, resource, name)
    }

    pub fn modified(kind: &ServedKind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub fn apply_conflict(message: &str, causes: Vec<Value>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message).detail("causes", causes.into())
    }

    pub fn invalid(kind: &ServedKind, name: &str, errors: &[FieldError]) -> Self {
        let error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "");
        error.invalid_fields(kind.stored_group(), kind.kind(), name, errors)
    }

    /// The same for kinds that are not stored.
    pub fn invalid_fields_of(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "").invalid_fields(group, kind, name, errors)
    }

    /// Options that a request may not carry; `kind` is the one of `meta.k8s.io` they belong to.
    pub fn invalid_options(kind: &str, errors: &[FieldError]) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "").invalid_fields(
            "meta.k8s.io",
            kind,
            "",
            errors,
        )
    }

    /// The query of `pods/NAME/log`, as the options it stands for.
    pub fn invalid_log_options(pod: &str, errors: &[FieldError]) -> Self {
        let error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "");
        error.invalid_fields("", "PodLogOptions", pod, errors)
    }

    fn invalid_fields(mut self, group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut list: Vec<String> = Vec::new();
        for text in errors.iter().map(FieldError::to_string) {
            // A complaint that two checks share is said once, though both causes are listed.
            if !list.contains(&text) {
                list.push(text);
            }
        }
        let text = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        self.message = format!("{} {name:?} is invalid: {text}", qualified(group, kind));
        let causes = errors.iter().map(
            |error| json!({ "reason": error.kind.reason(), "message": error.message(), "field": error.path }),
        );
        self.about(group, kind, name).detail("causes", causes.collect())
    }

    /// A patch whose outcome is no object of its kind. `value` is the patched object, or the patch.
    pub fn invalid_patch(value: &str, why: &str) -> Self {
        let error = FieldError::invalid(&drydock_kinds::field::Path::root("patch"), value, why);
        let message = format!(" \"\" is invalid: {error}");
        let cause =
            json!([{ "reason": error.kind.reason(), "message": error.message(), "field": error.path }]);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).detail("causes", cause)
    }

    /// What was understood and cannot be carried out.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// A patch that cannot be carried out; every API server says no more than this.
    pub fn impossible_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        error.details = Some(Box::new(json!({})));
        error
    }

    /// What API servers answer to requests they fail at, where one would expect a 400.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// The refusal of an admission webhook, with the code and reason it chose.
    pub fn of_webhook(code: u16, reason: Option<&str>, message: String, details: Option<Value>) -> Self {
        const REASONS: [&str; 12] = [
            "AlreadyExists",
            "BadRequest",
            "Conflict",
            "Expired",
            "Forbidden",
            "Gone",
            "Invalid",
            "MethodNotAllowed",
            "NotFound",
            "Timeout",
            "TooManyRequests",
            "Unauthorized",
        ];
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
        let known = REASONS.into_iter().find(|known| Some(*known) == reason);
        let mut error = Self::new(code, known.unwrap_or(""), message);
        error.details = details.filter(Value::is_object).map(Box::new);
        error
    }

    /// The refusal of an admission policy: worded as one, whatever reason the policy gives.
    pub fn of_policy(kind: &ServedKind, name: &str, reason: &str, why: &str) -> Self {
        let (code, reason) = match reason {
            "Forbidden" => (StatusCode::FORBIDDEN, "Forbidden"),
            "Unauthorized" => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            "RequestEntityTooLarge" => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
        };
        let refused = Self::forbidden(kind.group(), kind.plural(), name, why);
        Self { code, reason, ..refused }.detail("causes", json!([{ "message": why }]))
    }

    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// A revision from the future, as after a reset of the store: clients then start over.
    pub fn too_large_revision(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = json!([{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }]);
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
            .detail("causes", cause)
            .detail("retryAfterSeconds", 1.into())
    }

    pub fn timeout() -> Self {
        let message = "the server was unable to return a response in the time allotted";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    pub fn too_many_requests(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
            .detail("retryAfterSeconds", 1.into())
    }

    pub fn disruption_budget(message: &str, cause: &str, retry_after_s: Option<u64>) -> Self {
        let cause = json!([{ "reason": "DisruptionBudget", "message": cause }]);
        let error =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).detail("causes", cause);
        match retry_after_s {
            Some(seconds) => error.detail("retryAfterSeconds", seconds.into()),
            None => error,
        }
    }

    pub fn body_too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub fn uri_too_long(limit: usize) -> Self {
        let message = format!("Request URI too long: limit is {limit}");
        Self::new(StatusCode::URI_TOO_LONG, "RequestURITooLong", message)
    }

    /// Never sent: how the audit log calls a request that nobody waited for.
    pub fn client_gone() -> Self {
        let code = StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT);
        Self::new(code, "ClientClosedRequest", "the client went away before the answer")
    }

    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// The same for objects of built-in kinds.
    pub fn not_acceptable_builtin() -> Self {
        let offered = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Self::not_acceptable(format!("406: Not Acceptable\n\nAvailable representations: {offered}"))
            .no_details()
    }

    /// A patch of a built-in kind in a form that patches do not have.
    pub fn unknown_patch() -> Self {
        Self::unsupported_media_type("415: Unsupported Media Type").no_details()
    }

    pub fn not_implemented(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", format!("drydock does not offer {what} yet"))
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        let message = format!("Internal error occurred: {}", message.into());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Offers a continue token, as 410 does when a page can no longer be shown as it was.
    pub fn with_continue(mut self, token: String) -> Self {
        self.next = Some(token.into());
        self
    }

    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub fn with_causes(self, causes: Value) -> Self {
        self.detail("causes", causes)
    }

    pub fn with_cause(self, reason: &str, message: &str) -> Self {
        self.detail("causes", json!([{ "reason": reason, "message": message }]))
    }

    /// The `Status` object of this error.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(token) = &self.next {
            status["metadata"]["continue"] = (**token).into();
        }
        if let Some(details) = &self.details {
            status["details"] = (**details).clone();
        }
        status
    }

    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }
}

/// The answer to a deletion that is complete.
pub fn deleted(kind: &ServedKind, name: &str, uid: &str) -> Value {
    let mut details = json!({ "name": name, "kind": kind.plural(), "uid": uid });
    if !kind.group().is_empty() {
        details["group"] = kind.group().into();
    }
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

fn qualified(group: &str, resource: &str) -> String {
    match group {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    }
}
