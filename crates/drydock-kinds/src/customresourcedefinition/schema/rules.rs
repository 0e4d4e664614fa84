//! Validation rules (`x-kubernetes-validations`): well-formed, compiled, and fit for the schema they stand in.

use serde_json::Value;

use super::fields;
use crate::custom::cel::Rule;
use crate::custom::jsonpath::JsonPath;
use crate::field::{FieldError, Path};
use crate::read::{list, text};

/// `scattered` is the list inside which an item cannot be found again after an update.
pub(super) fn validate(schema: &Value, path: &Path, scattered: Option<&Path>, errors: &mut Vec<FieldError>) {
    for (index, rule) in list(schema, "/x-kubernetes-validations").iter().enumerate() {
        one_rule(schema, rule, &path.child("x-kubernetes-validations").index(index), scattered, errors);
    }
    for (name, field) in fields(schema) {
        validate(field, &path.child("properties").key(name), scattered, errors);
    }
    if schema["additionalProperties"].is_object() {
        validate(&schema["additionalProperties"], &path.child("additionalProperties"), scattered, errors);
    }
    if schema["items"].is_object() {
        let by_key = text(schema, "/x-kubernetes-list-type") == "map";
        let scattered = if by_key { scattered } else { scattered.or(Some(path)) };
        validate(&schema["items"], &path.child("items"), scattered, errors);
    }
}

fn one_rule(
    schema: &Value,
    rule: &Value,
    path: &Path,
    scattered: Option<&Path>,
    errors: &mut Vec<FieldError>,
) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let (source, message) = (text(rule, "/rule"), text(rule, "/message"));
    let blank = |key: &str| rule[key].as_str().is_some_and(|text| !text.is_empty() && text.trim().is_empty());
    let broken = |text: &str| text.trim().contains(['\n', '\r']);
    if source.trim().is_empty() {
        errors.push(FieldError::required(&path.child("rule"), "rule is not specified"));
        return;
    }
    if blank("message") {
        errors.push(FieldError::invalid(&path.child("message"), message, "must be non-empty if specified"));
    } else if broken(message) {
        errors.push(FieldError::invalid(&path.child("message"), message, "must not contain line breaks"));
    } else if broken(source) && message.is_empty() {
        let why = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(&path.child("message"), why));
    }
    if blank("messageExpression") {
        let why = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(&path.child("messageExpression"), why));
    }
    if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
        errors.push(FieldError::not_supported(&path.child("reason"), reason, &REASONS));
    }
    let field_path = text(rule, "/fieldPath");
    if !field_path.is_empty() && !leads_somewhere(schema, field_path) {
        errors.push(FieldError::invalid(&path.child("fieldPath"), field_path, "must be a valid path"));
    }
    match Rule::compile(rule) {
        Err(error) => {
            let why = format!("compilation failed: {error}");
            errors.push(FieldError::invalid(&path.child("rule"), rule.clone(), why));
        }
        Ok(compiled) if compiled.misfit(schema).is_some() => {
            let why = compiled.misfit(schema).unwrap_or_default();
            errors.push(FieldError::invalid(&path.child("rule"), rule.clone(), why));
        }
        Ok(compiled) => match (compiled.uses_old_self, scattered) {
            (true, Some(within)) => {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
                );
                errors.push(FieldError::invalid(&path.child("rule"), source, why));
            }
            (false, _) if rule.get("optionalOldSelf").is_some() => {
                let why = "may not be set if oldSelf is not used in rule";
                errors.push(FieldError::invalid(
                    &path.child("optionalOldSelf"),
                    rule["optionalOldSelf"].clone(),
                    why,
                ));
            }
            _ => {}
        },
    }
}

fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let Some(parsed) = JsonPath::parse(path).filter(|_| path.starts_with('.') || path.starts_with('['))
    else {
        return false;
    };
    let step = |schema: &'_ Value, name: &str| -> Option<Value> {
        let named = schema["properties"].get(name);
        named.or_else(|| schema.get("additionalProperties").filter(|extra| extra.is_object())).cloned()
    };
    let names = parsed.fields().unwrap_or_default();
    !names.is_empty() && names.iter().try_fold(schema.clone(), |schema, name| step(&schema, name)).is_some()
}
