//! Pod templates inside other kinds: their defaults, checks, and the selector that must match them.

use serde_json::Value;

pub(crate) use super::validate::{choice, one_source, port_number, port_or_name, volume_class};
use super::{defaults, validate as pod};
use crate::field::{FieldError, Path};
use crate::meta;
use crate::read::{entries, list, text, texts};

/// Completes the template at `/spec/template`.
pub(crate) fn default(object: &mut Value) {
    default_at(object, "/spec/template");
}

pub(crate) fn default_at(object: &mut Value, pointer: &str) {
    if let Some(spec) = object.pointer_mut(&format!("{pointer}/spec")) {
        defaults::pod_spec(spec);
    }
}

/// Checks the template at `spec.template` and that `spec.selector` selects it; `word` is the kind in texts about its
/// selector, `kind` in texts about its template.
pub(crate) fn validate_with_selector(object: &Value, word: &str, kind: &str) -> Vec<FieldError> {
    let path = Path::root("spec");
    let template = &object["spec"]["template"];
    let mut errors = validate_selector(&object["spec"]["selector"], &path.child("selector"), word);
    let selector = &object["spec"]["selector"];
    let labels = template.pointer("/metadata/labels").unwrap_or(&Value::Null);
    // A selector that is missing selects nothing; one that is broken cannot be asked.
    if selector.is_null() || (errors.is_empty() && !matches(selector, labels)) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("template.metadata.labels"), labels.clone(), detail));
    }
    errors.extend(validate(template, &path.child("template"), &["Always"]));
    errors.extend(runs_forever(template, &path.child("template.spec"), kind));
    errors
}

/// What makes no sense for pods that are to run until somebody ends them.
fn runs_forever(template: &Value, path: &Path, kind: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if template.pointer("/spec/activeDeadlineSeconds").is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(&path.child("activeDeadlineSeconds"), detail));
    }
    errors
}

/// Checks a template; `restart` lists the restart policies that the kind allows.
pub(crate) fn validate(template: &Value, path: &Path, restart: &[&str]) -> Vec<FieldError> {
    let mut errors = validate_any(template, path);
    let (spec, policy) = (path.child("spec"), text(template, "/spec/restartPolicy"));
    if !restart.contains(&policy) && template.pointer("/spec/restartPolicy").is_some() {
        errors.push(FieldError::not_supported(&spec.child("restartPolicy"), policy, restart));
    }
    errors
}

/// Checks a template of any restart policy.
pub(crate) fn validate_any(template: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = meta::labels(template, "/metadata/labels", &path.child("labels"));
    let spec = path.child("spec");
    errors.extend(pod::pod_spec(&template["spec"], &spec));
    if !list(template, "/spec/ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(&spec.child("ephemeralContainers"), detail));
    }
    errors
}

/// A workload's selector: present, not empty, with sound labels.
fn validate_selector(selector: &Value, path: &Path, word: &str) -> Vec<FieldError> {
    if selector.is_null() {
        return if word == "daemonset" { Vec::new() } else { vec![FieldError::required(path, "")] };
    }
    let mut errors = crate::selector::labels(Some(selector), path);
    if !errors.is_empty() && word != "daemonset" {
        let detail = if word == "statefulset" { "" } else { "invalid label selector" };
        errors.push(FieldError::invalid(path, selector.clone(), detail));
    }
    if entries(selector, "/matchLabels").next().is_none() && list(selector, "/matchExpressions").is_empty() {
        let detail = format!("empty selector is invalid for {word}");
        errors.push(FieldError::invalid(path, selector.clone(), detail));
    }
    errors
}

/// Whether a `LabelSelector` selects these labels.
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let has_all = entries(selector, "/matchLabels").all(|(key, value)| labels.get(key) == Some(value));
    has_all
        && list(selector, "/matchExpressions").iter().all(|expression| {
            let found = labels.get(text(expression, "/key")).and_then(Value::as_str);
            let listed = found.is_some_and(|found| texts(expression, "/values").any(|value| value == found));
            match text(expression, "/operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(selector: Value, labels: Value, expect: bool) {
        assert_eq!(matches(&selector, &labels), expect, "{selector} on {labels}");
    }

    #[test]
    fn every_label_and_expression_must_hold() {
        check(json!({"matchLabels": {"a": "1"}}), json!({"a": "1", "b": "2"}), true);
        check(json!({"matchLabels": {"a": "1", "b": "1"}}), json!({"a": "1", "b": "2"}), false);
        let within = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]});
        check(within.clone(), json!({"a": "2"}), true);
        check(within, json!({}), false);
        let without = json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]});
        check(without.clone(), json!({}), true);
        check(without, json!({"a": "1"}), false);
    }
}
