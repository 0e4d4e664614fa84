//! Pod templates inside other kinds: their defaults, checks, and the selector that must match them.

use serde_json::Value;

pub(crate) use super::validate::{choice, port_number, port_or_name};
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

/// Checks the template at `spec.template` and that `spec.selector` selects it.
pub(crate) fn validate_with_selector(object: &Value, restart: &[&str]) -> Vec<FieldError> {
    let path = Path::root("spec");
    let template = &object["spec"]["template"];
    let mut errors = validate_selector(&object["spec"]["selector"], &path.child("selector"));
    let labels = template.pointer("/metadata/labels").unwrap_or(&Value::Null);
    if errors.is_empty() && !matches(&object["spec"]["selector"], labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("template.metadata.labels"), labels.clone(), detail));
    }
    errors.extend(validate(template, &path.child("template"), restart));
    errors
}

/// Checks a template; `restart` lists the restart policies that the kind allows.
pub(crate) fn validate(template: &Value, path: &Path, restart: &[&str]) -> Vec<FieldError> {
    let mut errors = meta::labels(template, "/metadata/labels", &path.child("labels"));
    let spec = path.child("spec");
    errors.extend(pod::pod_spec(&template["spec"], &spec));
    let policy = text(template, "/spec/restartPolicy");
    if !restart.contains(&policy) && errors.is_empty() {
        errors.push(FieldError::not_supported(&spec.child("restartPolicy"), policy, restart));
    }
    errors
}

/// A workload's selector: present, not empty, with sound labels.
pub(crate) fn validate_selector(selector: &Value, path: &Path) -> Vec<FieldError> {
    if selector.is_null() {
        return vec![FieldError::required(path, "")];
    }
    let mut errors = meta::labels(selector, "/matchLabels", &path.child("matchLabels"));
    let expressions = list(selector, "/matchExpressions");
    for (index, expression) in expressions.iter().enumerate() {
        let at = path.child("matchExpressions").index(index);
        let has_values = !list(expression, "/values").is_empty();
        match (text(expression, "/operator"), has_values) {
            ("In" | "NotIn", false) => errors.push(FieldError::required(
                &at.child("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            ("Exists" | "DoesNotExist", true) => errors.push(FieldError::forbidden(
                &at.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (other, _) => {
                errors.push(FieldError::invalid(
                    &at.child("operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
    }
    if entries(selector, "/matchLabels").next().is_none() && expressions.is_empty() {
        let detail = "an empty selector is invalid, it would select every pod";
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
