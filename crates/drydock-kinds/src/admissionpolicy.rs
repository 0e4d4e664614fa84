//! What admission policies, their bindings and webhooks share: which requests are meant, and sound expressions.

use serde_json::{Value, json};

use crate::edit::{each, fill, fill_at};
use crate::expression::Expression;
use crate::field::{FieldError, Path};
use crate::read::{list, text, texts};
use crate::{rules, selector};

/// What every expression of admission may use.
pub(crate) const NAMES: &[&str] = &["object", "oldObject", "request", "namespaceObject"];
const AUTHORIZER: &str = "authorizer";
const MAX_CONDITIONS: usize = 64;
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// Completes the `MatchResources` at `pointer`, when it is there.
pub(crate) fn default_match(object: &mut Value, pointer: &str) {
    if !object.pointer(pointer).is_some_and(Value::is_object) {
        return;
    }
    fill_at(
        object,
        pointer,
        json!({ "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {} }),
    );
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in each(object, &format!("{pointer}/{rules}")) {
            fill(rule, "scope", "*");
        }
    }
}

/// Checks a `MatchResources`.
pub(crate) fn check_match(wanted: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    choice(wanted, path, "matchPolicy", &["Equivalent", "Exact"], &mut errors);
    for field in ["namespaceSelector", "objectSelector"] {
        errors.extend(selector::labels(wanted.get(field), &path.child(field)));
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, one) in list(wanted, &format!("/{field}")).iter().enumerate() {
            errors.extend(rule(one, &path.child(field).index(index)));
        }
    }
    errors
}

fn rule(rule: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for (index, name) in texts(rule, "/resourceNames").enumerate() {
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("resourceNames").index(index), name));
        }
        seen.push(name);
    }
    for (field, what) in [
        ("operations", "other operations"),
        ("apiGroups", "other API groups"),
        ("apiVersions", "other API versions"),
    ] {
        let given: Vec<&str> = texts(rule, &format!("/{field}")).collect();
        let at = path.child(field);
        if given.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if given.len() > 1 && given.contains(&"*") {
            let why = format!("if '*' is present, must not specify {what}");
            errors.push(FieldError::invalid(&at, json!(given), why));
        }
    }
    for (index, operation) in texts(rule, "/operations").enumerate() {
        if !OPERATIONS.contains(&operation) {
            let at = path.child("operations").index(index);
            errors.push(FieldError::not_supported(&at, operation, OPERATIONS));
        }
    }
    if list(rule, "/resources").is_empty() {
        errors.push(FieldError::required(&path.child("resources"), ""));
    }
    choice(rule, path, "scope", &["*", "Cluster", "Namespaced"], &mut errors);
    errors
}

/// A field that has one of a few values, when it is there.
pub(crate) fn choice(object: &Value, path: &Path, field: &str, known: &[&str], errors: &mut Vec<FieldError>) {
    match text(object, &format!("/{field}")) {
        "" => {}
        given if known.contains(&given) => {}
        other => errors.push(FieldError::not_supported(&path.child(field), other, known)),
    }
}

/// Checks the match conditions of a policy or webhook.
pub(crate) fn conditions(owner: &Value, path: &Path, has_params: bool) -> Vec<FieldError> {
    let all = list(owner, "/matchConditions");
    let mut errors = Vec::new();
    if all.len() > MAX_CONDITIONS {
        errors.push(FieldError::too_many(path, all.len(), MAX_CONDITIONS));
    }
    let mut seen = Vec::new();
    for (index, condition) in all.iter().enumerate() {
        let (path, name) = (path.index(index), text(condition, "/name"));
        errors.extend(expression(condition, &path, "expression", "", &names(has_params, false)));
        match name {
            "" => errors.push(FieldError::required(&path.child("name"), "")),
            name if seen.contains(&name) => errors.push(FieldError::duplicate(&path.child("name"), name)),
            name => errors.extend(rules::check(rules::qualified, name, &path.child("name"))),
        }
        seen.push(name);
    }
    errors
}

/// The names that an expression may use.
pub(crate) fn names(has_params: bool, has_variables: bool) -> Vec<&'static str> {
    let params = has_params.then_some("params");
    let variables = has_variables.then_some("variables");
    NAMES.iter().copied().chain(params).chain(variables).collect()
}

/// Checks an expression that has to be there; `missing` is what is said when it is not.
pub(crate) fn expression(
    owner: &Value,
    path: &Path,
    field: &str,
    missing: &str,
    names: &[&str],
) -> Option<FieldError> {
    let source = text(owner, &format!("/{field}"));
    let path = path.child(field);
    if source.trim().is_empty() {
        return Some(FieldError::required(&path, missing));
    }
    let why = Expression::compile(source, names).err()?;
    match source.contains(AUTHORIZER) {
        true => Some(FieldError::forbidden(&path, "drydock does not offer `authorizer` in expressions yet")),
        false => Some(FieldError::invalid(&path, source, why)),
    }
}
