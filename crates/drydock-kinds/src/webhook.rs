//! What both kinds of webhook configuration share: defaults, and what may be asked of a webhook.

use serde_json::{Value, json};

use crate::admissionpolicy;
use crate::edit::{each, fill, fill_at};
use crate::field::{FieldError, Path};
use crate::names;
use crate::read::{list, number, text, texts};

pub(crate) fn default(object: &mut Value, mutating: bool) {
    for webhook in each(object, "/webhooks") {
        fill_at(
            webhook,
            "",
            json!({ "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10, "namespaceSelector": {}, "objectSelector": {} }),
        );
        if mutating {
            fill(webhook, "reinvocationPolicy", "Never");
        }
        if let Some(service) = webhook.pointer_mut("/clientConfig/service") {
            fill(service, "port", 443);
        }
        for rule in each(webhook, "/rules") {
            fill(rule, "scope", "*");
        }
    }
}

pub(crate) fn validate(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for (index, webhook) in list(new, "/webhooks").iter().enumerate() {
        let path = Path::root("webhooks").index(index);
        let name = text(webhook, "/name");
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        seen.push(name);
        one(webhook, &path, &mut errors);
    }
    errors
}

fn one(webhook: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let name = text(webhook, "/name");
    match names::subdomain(name) {
        _ if name.is_empty() => errors.push(FieldError::required(&path.child("name"), "")),
        Some(complaint) => errors.push(FieldError::invalid(&path.child("name"), name, complaint)),
        None if name.split('.').count() < 3 => {
            let why = "should be a domain with at least three segments separated by dots";
            errors.push(FieldError::invalid(&path.child("name"), name, why));
        }
        None => {}
    }
    let versions: Vec<&str> = texts(webhook, "/admissionReviewVersions").collect();
    let at = path.child("admissionReviewVersions");
    if versions.is_empty() {
        errors.push(FieldError::required(&at, "must specify one of v1, v1beta1"));
    } else if !versions.contains(&"v1") {
        let why = "drydock speaks v1 only";
        errors.push(FieldError::invalid(&at, json!(versions), why));
    }
    choice(webhook, path, "sideEffects", &["None", "NoneOnDryRun"], true, errors);
    choice(webhook, path, "failurePolicy", &["Fail", "Ignore"], false, errors);
    choice(webhook, path, "matchPolicy", &["Equivalent", "Exact"], false, errors);
    let timeout = number(webhook, "/timeoutSeconds");
    if !(1..=30).contains(&timeout) {
        let why = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(&path.child("timeoutSeconds"), timeout, why));
    }
    errors.extend(admissionpolicy::conditions(webhook, &path.child("matchConditions"), false));
    client(&webhook["clientConfig"], &path.child("clientConfig"), errors);
}

fn choice(
    webhook: &Value,
    path: &Path,
    field: &str,
    known: &[&str],
    required: bool,
    errors: &mut Vec<FieldError>,
) {
    match text(webhook, &format!("/{field}")) {
        "" if required => {
            errors.push(FieldError::required(
                &path.child(field),
                format!("must specify one of {}", known.join(", ")),
            ));
        }
        "" => {}
        given if known.contains(&given) => {}
        other => errors.push(FieldError::not_supported(&path.child(field), other, known)),
    }
}

fn client(config: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let (url, service) = (text(config, "/url"), &config["service"]);
    match (url.is_empty(), service.is_object()) {
        (true, false) | (false, true) => {
            errors.push(FieldError::required(path, "exactly one of url or service is required"));
        }
        (false, false) if !url.starts_with("https://") => {
            let why = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
            errors.push(FieldError::invalid(&path.child("url"), url, why));
        }
        (true, true) => {
            for field in ["name", "namespace"] {
                if text(service, &format!("/{field}")).is_empty() {
                    errors.push(FieldError::required(&path.child("service").child(field), ""));
                }
            }
            let at = path.child("service").child("path");
            let given = text(service, "/path");
            if !given.is_empty() && !given.starts_with('/') {
                errors.push(FieldError::invalid(&at, given, "must start with a '/'"));
            }
        }
        _ => {}
    }
}
