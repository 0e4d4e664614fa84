//! What Role, ClusterRole and their bindings share: rules, role references and subjects.

use serde_json::{Value, json};

use crate::column::Column;
use crate::edit::{each, fill, fill_at};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::{list, text};
use crate::rules;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The columns of both kinds of bindings.
pub(crate) const BINDING_COLUMNS: &[Column] = &[
    Column::compute("Role", |binding, _| {
        Value::from(format!("{}/{}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name")))
    }),
    Column::age(),
    Column::compute("Users", |binding, _| subjects(binding, "User")).wide(),
    Column::compute("Groups", |binding, _| subjects(binding, "Group")).wide(),
    Column::compute("ServiceAccounts", |binding, _| subjects(binding, "ServiceAccount")).wide(),
];

fn subjects(binding: &Value, kind: &str) -> Value {
    let named = list(binding, "/subjects").iter().filter(|subject| text(subject, "/kind") == kind);
    let name = |subject: &Value| match text(subject, "/namespace") {
        "" => text(subject, "/name").to_owned(),
        namespace => format!("{namespace}/{}", text(subject, "/name")),
    };
    Value::from(named.map(name).collect::<Vec<_>>().join(", "))
}

pub(crate) fn default_binding(object: &mut Value) {
    fill_at(object, "/roleRef", json!({ "apiGroup": GROUP }));
    for subject in each(object, "/subjects") {
        if matches!(text(subject, "/kind"), "User" | "Group") {
            fill(subject, "apiGroup", GROUP);
        }
    }
}

/// A role needs verbs and something they apply to; `cluster` roles may also name URLs.
pub(crate) fn validate_role(new: &Value, cluster: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, rule) in list(new, "/rules").iter().enumerate() {
        let path = Path::root("rules").index(index);
        if list(rule, "/verbs").is_empty() {
            errors.push(FieldError::required(&path.child("verbs"), "verbs must contain at least one value"));
        }
        let urls = !list(rule, "/nonResourceURLs").is_empty();
        if urls && !cluster {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(
                &path.child("nonResourceURLs"),
                rule["nonResourceURLs"].clone(),
                detail,
            ));
        }
        if urls {
            let resources = ["/apiGroups", "/resources", "/resourceNames"];
            if resources.iter().any(|field| !list(rule, field).is_empty()) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(
                    &path.child("nonResourceURLs"),
                    rule["nonResourceURLs"].clone(),
                    detail,
                ));
            }
            continue;
        }
        for (field, detail) in [
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ] {
            if list(rule, &format!("/{field}")).is_empty() {
                errors.push(FieldError::required(&path.child(field), detail));
            }
        }
    }
    errors
}

/// `roles` are the kinds that the binding may refer to.
pub(crate) fn validate_binding(new: &Value, old: Option<&Value>, roles: &[&str]) -> Vec<FieldError> {
    let path = Path::root("roleRef");
    let mut errors = Vec::new();
    let (group, kind, name) =
        (text(new, "/roleRef/apiGroup"), text(new, "/roleRef/kind"), text(new, "/roleRef/name"));
    if group != GROUP {
        errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[GROUP]));
    }
    if !roles.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("kind"), kind, roles));
    }
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else {
        errors.extend(rules::check(rules::path_segment, name, &path.child("name")));
    }
    for (index, subject) in list(new, "/subjects").iter().enumerate() {
        let at = Path::root("subjects").index(index);
        if text(subject, "/name").is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        }
        let name = text(subject, "/name");
        let group = |wanted: &str| {
            let found = text(subject, "/apiGroup");
            (found != wanted).then(|| FieldError::not_supported(&at.child("apiGroup"), found, &[wanted]))
        };
        match text(subject, "/kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    errors.extend(rules::check(rules::subdomain, name, &at.child("name")));
                }
                errors.extend(group(""));
                // In a namespace, an account without one is of the same.
                if text(subject, "/namespace").is_empty() && text(new, "/metadata/namespace").is_empty() {
                    errors.push(FieldError::required(&at.child("namespace"), ""));
                }
            }
            "User" | "Group" => errors.extend(group(GROUP)),
            kind => {
                let kinds = ["ServiceAccount", "User", "Group"];
                errors.push(FieldError::not_supported(&at.child("kind"), kind, &kinds));
            }
        }
    }
    if let Some(mut error) = old.and_then(|old| keeps(new, old, "/roleRef")) {
        error.detail = "cannot change roleRef".to_owned();
        let shown = [("APIGroup", group.into()), ("Kind", kind.into()), ("Name", name.into())];
        let error = error.showing(&shown);
        errors.push(error);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_completed_and_keeps_its_role() {
        let binding = |role: &str| {
            let mut object = json!({
                "roleRef": {"kind": "Role", "name": role},
                "subjects": [{"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "b", "namespace": "c"}],
            });
            default_binding(&mut object);
            object
        };
        let (old, new) = (binding("reader"), binding("writer"));
        assert_eq!(old["subjects"][0]["apiGroup"], GROUP);
        assert_eq!(validate_binding(&old, Some(&old), &["Role"]), []);
        let errors = validate_binding(&new, Some(&old), &["Role"]);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().ends_with("cannot change roleRef"));
    }

    #[test]
    fn a_rule_needs_verbs_groups_and_resources() {
        assert_eq!(validate_role(&json!({"rules": [{}]}), false).len(), 3);
        let urls = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]});
        assert_eq!(validate_role(&urls, true), []);
        assert_eq!(validate_role(&urls, false).len(), 1);
    }
}
