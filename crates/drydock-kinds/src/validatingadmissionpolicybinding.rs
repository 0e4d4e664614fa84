//! ValidatingAdmissionPolicyBinding: where a policy counts, with which parameters, and what happens to what breaks it.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use serde_json::{Value, json};

use crate::admissionpolicy;
use crate::field::{FieldError, Path};
use crate::read::{text, texts};
use crate::{Column, Generation, KindSpec, names, selector};

pub const KIND: KindSpec = KindSpec::cluster::<ValidatingAdmissionPolicyBinding>()
    .categories(&["api-extensions"])
    .generation(Generation::Spec)
    .default_with(|object| admissionpolicy::default_match(object, "/spec/matchResources"))
    .validate_with(|new, _| validate(&new["spec"]))
    .columns(&[
        Column::at("PolicyName", "/spec/policyName"),
        Column::compute("ParamRef", |object, _| {
            let reference = &object["spec"]["paramRef"];
            match (text(reference, "/namespace"), text(reference, "/name")) {
                (_, "") => "<unset>".into(),
                ("", name) => format!("*/{name}").into(),
                (namespace, name) => format!("{namespace}/{name}").into(),
            }
        }),
        Column::age(),
    ]);

const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

fn validate(spec: &Value) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let policy = text(spec, "/policyName");
    match names::subdomain(policy) {
        _ if policy.is_empty() => errors.push(FieldError::required(&path.child("policyName"), "")),
        Some(why) => errors.push(FieldError::invalid(&path.child("policyName"), policy, why)),
        None => {}
    }
    if spec["paramRef"].is_object() {
        errors.extend(parameters(&spec["paramRef"], &path.child("paramRef")));
    }
    if spec["matchResources"].is_object() {
        errors.extend(admissionpolicy::check_match(&spec["matchResources"], &path.child("matchResources")));
    }
    errors.extend(actions(spec, &path.child("validationActions")));
    errors
}

fn parameters(reference: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (named, selected) = (!text(reference, "/name").is_empty(), reference["selector"].is_object());
    errors.extend(selector::labels(reference.get("selector"), &path.child("selector")));
    match (named, selected) {
        (true, true) => errors.extend(["name", "selector"].map(|field| {
            FieldError::forbidden(&path.child(field), "name and selector are mutually exclusive")
        })),
        (false, false) => {
            errors.push(FieldError::required(path, "one of name or selector must be specified"));
        }
        _ => {}
    }
    let at = path.child("parameterNotFoundAction");
    match text(reference, "/parameterNotFoundAction") {
        "" => errors.push(FieldError::required(&at, "")),
        "Deny" | "Allow" => {}
        other => errors.push(FieldError::not_supported(&at, other, &["Deny", "Allow"])),
    }
    errors
}

fn actions(spec: &Value, path: &Path) -> Vec<FieldError> {
    let given: Vec<&str> = texts(spec, "/validationActions").collect();
    let mut errors = Vec::new();
    for (index, action) in given.iter().enumerate() {
        if !ACTIONS.contains(action) {
            errors.push(FieldError::not_supported(&path.index(index), *action, ACTIONS));
        }
        if given[..index].contains(action) {
            errors.push(FieldError::duplicate(&path.index(index), *action));
        }
    }
    if given.contains(&"Deny") && given.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        errors.push(FieldError::invalid(path, json!(given), why));
    }
    if given.is_empty() {
        errors.push(FieldError::required(path, "at least one validation action is required"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: Value, expect: &[&str]) {
        let errors: Vec<String> = validate(&spec).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expect);
    }

    #[test]
    fn a_binding_names_its_policy_and_what_happens() {
        check(json!({ "policyName": "p", "validationActions": ["Deny", "Audit"] }), &[]);
        check(
            json!({ "validationActions": [], "paramRef": {} }),
            &[
                "spec.policyName: Required value",
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Required value",
                "spec.validationActions: Required value: at least one validation action is required",
            ],
        );
        check(
            json!({ "policyName": "p", "validationActions": ["Deny", "Warn"] }),
            &[
                "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn \
               (repeating the same validation failure information in the API response and headers serves no purpose)",
            ],
        );
    }
}
