//! Checks of probes and of the hooks around a container's life.

use serde_json::Value;

use super::container::{port_number, port_or_name};
use crate::field::{FieldError, Path};
use crate::read::{list, number, text};

pub(super) fn check(probe: &Value, path: &Path, readiness: bool) -> Vec<FieldError> {
    let mut errors = handler(probe, path, &["exec", "httpGet", "tcpSocket", "grpc"]);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        let value = number(probe, &format!("/{field}"));
        if value < 0 {
            errors.push(FieldError::invalid(&path.child(field), value, "must be greater than or equal to 0"));
        }
    }
    if let Some(grace) = probe.get("terminationGracePeriodSeconds").and_then(Value::as_i64) {
        let at = path.child("terminationGracePeriodSeconds");
        if readiness {
            errors.push(FieldError::invalid(&at, grace, "must not be set for readinessProbes"));
        } else if grace <= 0 {
            errors.push(FieldError::invalid(&at, grace, "must be greater than 0"));
        }
    }
    let successes = number(probe, "/successThreshold");
    if !readiness && successes != 1 {
        errors.push(FieldError::invalid(&path.child("successThreshold"), successes, "must be 1"));
    }
    errors
}

pub(super) fn lifecycle(container: &Value, path: &Path, grace_s: i64) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for hook in ["postStart", "preStop"] {
        let Some(value) = container.get("lifecycle").and_then(|lifecycle| lifecycle.get(hook)) else {
            continue;
        };
        let at = path.child(hook);
        errors.extend(handler(value, &at, &["exec", "httpGet", "tcpSocket", "sleep"]));
        if let Some(seconds) = value.pointer("/sleep/seconds").and_then(Value::as_i64)
            && !(0..=grace_s).contains(&seconds)
        {
            let detail =
                format!("must be non-negative and less than terminationGracePeriodSeconds ({grace_s})");
            errors.push(FieldError::invalid(&at.child("sleep"), seconds, detail));
        }
    }
    errors
}

/// Exactly one of the handlers, and a sound one.
fn handler(holder: &Value, path: &Path, handlers: &[&str]) -> Vec<FieldError> {
    let mut present = handlers.iter().filter(|name| holder.get(**name).is_some());
    let Some(first) = present.next() else {
        return vec![FieldError::required(path, "must specify a handler type")];
    };
    let at = path.child(first);
    let handler = &holder[*first];
    let mut errors = match *first {
        "exec" if list(handler, "/command").is_empty() => {
            vec![FieldError::required(&at.child("command"), "")]
        }
        "httpGet" => http_get(handler, &at),
        "tcpSocket" => port_or_name(&handler["port"], &at.child("port")),
        "grpc" => port_number(number(handler, "/port"), &at.child("port")).into_iter().collect(),
        _ => Vec::new(),
    };
    let detail = "may not specify more than 1 handler type";
    errors.extend(present.map(|name| FieldError::forbidden(&path.child(name), detail)));
    errors
}

fn http_get(handler: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(handler, "/path").is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
    }
    errors.extend(port_or_name(&handler["port"], &path.child("port")));
    errors.extend(super::choice(handler, path, "scheme", &["HTTP", "HTTPS"]));
    for header in list(handler, "/httpHeaders") {
        let name = text(header, "/name");
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain {
            let detail = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', \
                          regex used for validation is '[-A-Za-z0-9]+')";
            errors.push(FieldError::invalid(&path.child("httpHeaders"), name, detail));
        }
    }
    errors
}
