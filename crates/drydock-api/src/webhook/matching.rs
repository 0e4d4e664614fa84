//! Whether a webhook is asked about a request, and what it is told.

use serde_json::{Value, json};

use super::{Webhook, or_null};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
}

/// What a request is about to do.
pub(super) struct Asked<'a> {
    pub operation: Operation,
    pub new: Option<&'a Value>,
    pub old: Option<&'a Value>,
    pub dry_run: bool,
}

impl Operation {
    pub fn of(old: Option<&Value>) -> Self {
        if old.is_some() { Self::Update } else { Self::Create }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Delete => "DeleteOptions",
        }
    }
}

pub(super) fn applies(cx: &Cx, webhook: &Webhook, asked: &Asked<'_>) -> Result<bool, ApiError> {
    let rules = webhook.entry["rules"].as_array().into_iter().flatten();
    if !rules.into_iter().any(|rule| rule_matches(cx, rule, asked.operation)) {
        return Ok(false);
    }
    let selected = |object: &Value| {
        drydock_kinds::selector_matches(&webhook.entry["objectSelector"], &object["metadata"]["labels"])
    };
    if !asked.new.into_iter().chain(asked.old).any(selected) {
        return Ok(false);
    }
    let labels = namespace_labels(cx, asked)?;
    Ok(labels
        .is_none_or(|labels| drydock_kinds::selector_matches(&webhook.entry["namespaceSelector"], &labels)))
}

/// The labels of the namespace of the request; `None` for what belongs to the whole cluster.
fn namespace_labels(cx: &Cx, asked: &Asked<'_>) -> Result<Option<Value>, ApiError> {
    if cx.kind.is("", "namespaces") {
        let object = asked.new.or(asked.old);
        return Ok(object.map(|object| object["metadata"]["labels"].clone()));
    }
    let Some(namespace) = &cx.path.namespace else { return Ok(None) };
    let entry = cx.server.store.get(&format!("core/namespaces//{namespace}"));
    let labels =
        entry.map(|entry| Ok(stored::decode(&entry)?.value["metadata"]["labels"].clone())).transpose()?;
    Ok(Some(labels.unwrap_or(Value::Null)))
}

fn rule_matches(cx: &Cx, rule: &Value, operation: Operation) -> bool {
    let listed = |key: &str, wanted: &str| {
        let names = rule[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.into_iter().any(|name| name == "*" || name == wanted)
    };
    let scope = match rule["scope"].as_str() {
        Some("Cluster") => !cx.kind.is_namespaced(),
        Some("Namespaced") => cx.kind.is_namespaced(),
        _ => true,
    };
    scope
        && listed("operations", operation.name())
        && listed("apiGroups", cx.kind.group())
        && listed("apiVersions", cx.kind.version())
        && resources(rule).any(|pattern| resource_matches(pattern, cx.kind.plural(), &cx.path.subresource))
}

fn resources(rule: &Value) -> impl Iterator<Item = &str> {
    rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `pods`, `pods/status`, `pods/*`, `*/scale`, `*` (no subresources) and `*/*`.
fn resource_matches(pattern: &str, plural: &str, subresource: &str) -> bool {
    let (resource, below) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == plural) && (below == "*" || below == subresource)
}

/// The `AdmissionReview` that a webhook is sent.
pub(super) fn review(cx: &Cx, asked: &Asked<'_>) -> Value {
    let kind = json!({ "group": cx.kind.group(), "version": cx.kind.version(), "kind": cx.kind.kind() });
    let resource =
        json!({ "group": cx.kind.group(), "version": cx.kind.version(), "resource": cx.kind.plural() });
    let named = asked.new.or(asked.old).map(meta::name).unwrap_or_default();
    let mut user = json!({ "username": cx.user.name, "groups": cx.user.groups });
    if !cx.user.uid.is_empty() {
        user["uid"] = cx.user.uid.as_str().into();
    }
    if !cx.user.extra.is_empty() {
        user["extra"] = json!(cx.user.extra);
    }
    let mut request = json!({
        "uid": uuid::Uuid::new_v4().to_string(),
        "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "name": named, "operation": asked.operation.name(), "userInfo": user,
        "object": or_null(asked.new), "oldObject": or_null(asked.old), "dryRun": asked.dry_run,
        "options": { "kind": asked.operation.options(), "apiVersion": "meta.k8s.io/v1" },
    });
    if let Some(namespace) = &cx.path.namespace {
        request["namespace"] = namespace.as_str().into();
    }
    if !cx.path.subresource.is_empty() {
        request["subResource"] = cx.path.subresource.as_str().into();
        request["requestSubResource"] = cx.path.subresource.as_str().into();
    }
    json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, resource: &str, expect: bool) {
        let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        assert_eq!(resource_matches(pattern, plural, subresource), expect, "{pattern} on {resource}");
    }

    #[test]
    fn subresources_are_asked_for_by_name_or_star() {
        check("pods", "pods", true);
        check("pods", "pods/status", false);
        check("pods/status", "pods/status", true);
        check("pods/*", "pods/status", true);
        check("*", "pods", true);
        check("*", "pods/status", false);
        check("*/*", "pods/status", true);
        check("*/scale", "deployments/scale", true);
        check("*/scale", "deployments", false);
    }
}
