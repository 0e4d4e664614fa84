//! ValidatingAdmissionPolicy: rules, as expressions, that objects have to keep where a binding says so.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::{Value, json};

use crate::admissionpolicy::{self, choice, expression, names};
use crate::custom::cel::RESERVED;
use crate::edit::fill_at;
use crate::field::{FieldError, Path};
use crate::read::{list, text};
use crate::{Column, ColumnType, Generation, KindSpec, rules};

pub const KIND: KindSpec = KindSpec::cluster::<ValidatingAdmissionPolicy>()
    .categories(&["api-extensions"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .validate_with(|new, _| validate(new))
    .columns(&[
        Column::compute("Validations", |object, _| Value::from(list(object, "/spec/validations").len()))
            .typed(ColumnType::Integer),
        Column::compute("ParamKind", |object, _| {
            let kind = &object["spec"]["paramKind"];
            match kind.is_object() {
                true => format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")).into(),
                false => "<unset>".into(),
            }
        }),
        Column::age(),
    ]);

const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MAX_ANNOTATIONS: usize = 20;
const MAX_ANNOTATION_EXPRESSION: usize = 5 * 1024;

fn default(object: &mut Value) {
    if object.get("spec").is_some_and(Value::is_object) {
        fill_at(object, "/spec", json!({ "failurePolicy": "Fail" }));
    }
    admissionpolicy::default_match(object, "/spec/matchConstraints");
}

fn validate(new: &Value) -> Vec<FieldError> {
    let (spec, path) = (&new["spec"], Path::root("spec"));
    let has_params = spec["paramKind"].is_object();
    let mut errors = Vec::new();
    choice(spec, &path, "failurePolicy", &["Fail", "Ignore"], &mut errors);
    if has_params {
        errors.extend(param_kind(&spec["paramKind"], &path.child("paramKind")));
    }
    let matching = path.child("matchConstraints");
    match spec["matchConstraints"].is_object() {
        false => errors.push(FieldError::required(&matching, "")),
        true => {
            errors.extend(admissionpolicy::check_match(&spec["matchConstraints"], &matching));
            if list(spec, "/matchConstraints/resourceRules").is_empty() {
                errors.push(FieldError::required(&matching.child("resourceRules"), ""));
            }
        }
    }
    errors.extend(admissionpolicy::conditions(spec, &path.child("matchConditions"), has_params));
    for (index, variable) in list(spec, "/variables").iter().enumerate() {
        errors.extend(self::variable(variable, &path.child("variables").index(index), has_params));
    }
    if list(spec, "/validations").is_empty() && list(spec, "/auditAnnotations").is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(&path.child("validations"), why));
        errors.push(FieldError::required(&path.child("auditAnnotations"), why));
    }
    for (index, validation) in list(spec, "/validations").iter().enumerate() {
        errors.extend(self::validation(validation, &path.child("validations").index(index), has_params));
    }
    errors.extend(annotations(new, &path.child("auditAnnotations"), has_params));
    errors
}

fn param_kind(kind: &Value, path: &Path) -> Vec<FieldError> {
    let missing =
        ["apiVersion", "kind"].into_iter().filter(|field| text(kind, &format!("/{field}")).is_empty());
    missing.map(|field| FieldError::required(&path.child(field), "")).collect()
}

fn variable(variable: &Value, path: &Path, has_params: bool) -> Vec<FieldError> {
    let name = text(variable, "/name");
    let is_name = name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && name.chars().all(|one| one == '_' || one.is_ascii_alphanumeric())
        && !RESERVED.contains(&name);
    let wrong = match name.trim() {
        "" => Some(FieldError::required(&path.child("name"), "name is not specified")),
        _ if !is_name => {
            Some(FieldError::invalid(&path.child("name"), name, "must be a valid CEL identifier"))
        }
        _ => None,
    };
    let names = names(has_params, true);
    wrong
        .into_iter()
        .chain(expression(variable, path, "expression", "expression is not specified", &names))
        .collect()
}

fn validation(validation: &Value, path: &Path, has_params: bool) -> Vec<FieldError> {
    let names = names(has_params, true);
    let mut errors: Vec<FieldError> =
        expression(validation, path, "expression", "expression is not specified", &names)
            .into_iter()
            .collect();
    let computed = text(validation, "/messageExpression");
    if !computed.is_empty() && computed.trim().is_empty() {
        let why = "must be non-empty if specified";
        errors.push(FieldError::invalid(&path.child("messageExpression"), computed, why));
    } else if !computed.is_empty() {
        errors.extend(expression(validation, path, "messageExpression", "", &names));
    }
    let message = text(validation, "/message");
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(&path.child("message"), message, "must be non-empty if specified"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(FieldError::invalid(&path.child("message"), message, "must not contain line breaks"));
    }
    choice(validation, path, "reason", REASONS, &mut errors);
    errors
}

fn annotations(policy: &Value, path: &Path, has_params: bool) -> Vec<FieldError> {
    let all = list(policy, "/spec/auditAnnotations");
    let name = text(policy, "/metadata/name");
    let mut errors = Vec::new();
    if all.len() > MAX_ANNOTATIONS {
        errors.push(FieldError::too_many(path, all.len(), MAX_ANNOTATIONS));
    }
    let mut seen = Vec::new();
    for (index, annotation) in all.iter().enumerate() {
        let (path, key) = (path.index(index), text(annotation, "/key"));
        errors.extend(rules::check(rules::qualified, &format!("{name}/{key}"), &path.child("key")));
        if text(annotation, "/valueExpression").len() > MAX_ANNOTATION_EXPRESSION {
            let why = format!("must not exceed {MAX_ANNOTATION_EXPRESSION} bytes in length");
            errors.push(FieldError::required(&path.child("valueExpression"), why));
        } else {
            let missing = "valueExpression is not specified";
            errors.extend(expression(
                annotation,
                &path,
                "valueExpression",
                missing,
                &names(has_params, true),
            ));
        }
        if seen.contains(&key) {
            errors.push(FieldError::duplicate(&path.child("key"), key));
        }
        seen.push(key);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: Value, expect: &[&str]) {
        let mut policy = json!({ "metadata": { "name": "p.example.com" }, "spec": {
            "matchConstraints": { "resourceRules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["deployments"] }] },
            "validations": [{ "expression": "object.spec.replicas <= 5" }] } });
        for (field, value) in change.as_object().unwrap() {
            policy["spec"][field] = value.clone();
        }
        default(&mut policy);
        let errors: Vec<String> = validate(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expect);
    }

    #[test]
    fn a_sound_policy_is_taken() {
        check(json!({}), &[]);
        check(
            json!({ "variables": [{ "name": "n", "expression": "object.spec.replicas" }],
                "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
                "validations": [{ "expression": "variables.n <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most" }],
                "matchConditions": [{ "name": "not-ours", "expression": "!request.userInfo.username.startsWith('system:')" }] }),
            &[],
        );
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        check(
            json!({ "validations": [{ "expression": "params.x" }] }),
            &[
                "spec.validations[0].expression: Invalid value: \"params.x\": compilation failed: ERROR: <input>:1:1: \
               undeclared reference to 'params' (in container '')\n | params.x\n | ^",
            ],
        );
        check(
            json!({ "validations": [{ "expression": "authorizer.path('/x').check('get').allowed()" }] }),
            &[
                "spec.validations[0].expression: Forbidden: drydock does not offer `authorizer` in expressions yet",
            ],
        );
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        check(
            json!({ "validations": [], "matchConstraints": null, "failurePolicy": "Maybe" }),
            &[
                "spec.failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\"",
                "spec.matchConstraints: Required value",
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
            ],
        );
        check(
            json!({ "variables": [{ "name": "if", "expression": "true" }],
                "validations": [{ "expression": "true", "reason": "Because", "message": "a\nb" }] }),
            &[
                "spec.variables[0].name: Invalid value: \"if\": must be a valid CEL identifier",
                "spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks",
                "spec.validations[0].reason: Unsupported value: \"Because\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
            ],
        );
    }
}
