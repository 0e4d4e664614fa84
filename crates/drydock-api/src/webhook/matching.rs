//! Whether a webhook or policy is asked about a request, as which kind, and what it is told.

use drydock_kinds::expression::{CONDITION_BUDGET, Expression, Outcome, Scope};
use serde_json::{Value, json};

use super::or_null;
use crate::meta;
use crate::served::ServedKind;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// What a request is about to do.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
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
            Self::Connect => "CONNECT",
        }
    }

    /// The kind of the request's options; a connection has none.
    fn options(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("CreateOptions"),
            Self::Update => Some("UpdateOptions"),
            Self::Delete => Some("DeleteOptions"),
            Self::Connect => None,
        }
    }
}

/// Where in a webhook, policy or binding stands what it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub rules: &'static str,
    pub excluded: &'static str,
}

pub(crate) const OF_WEBHOOK: Fields = Fields { rules: "rules", excluded: "" };
pub(crate) const OF_POLICY: Fields = Fields { rules: "resourceRules", excluded: "excludeResourceRules" };

/// The kind as which a request concerns `whom`, if it does: its own, or with `matchPolicy: Equivalent` another one that
/// shows the same objects.
pub(crate) fn concerned(
    cx: &Cx,
    whom: &Value,
    fields: Fields,
    asked: &Asked<'_>,
) -> Result<Option<ServedKind>, ApiError> {
    let matches = |kind: &ServedKind, field: &str| {
        let mut rules = whom[field].as_array().into_iter().flatten();
        rules.any(|rule| rule_matches(cx, kind, rule, asked))
    };
    if !fields.excluded.is_empty() && matches(&cx.kind, fields.excluded) {
        return Ok(None);
    }
    let found = match matches(&cx.kind, fields.rules) {
        true => Some(cx.kind.clone()),
        false if whom["matchPolicy"] == "Exact" => None,
        false => equivalents(cx).into_iter().find(|kind| matches(kind, fields.rules)),
    };
    let Some(kind) = found else { return Ok(None) };
    let selected = |object: &Value| {
        drydock_kinds::selector_matches(&whom["objectSelector"], &object["metadata"]["labels"])
    };
    if !asked.new.into_iter().chain(asked.old).any(selected) {
        return Ok(None);
    }
    let labels = namespace_labels(cx, asked)?;
    let inside =
        labels.is_none_or(|labels| drydock_kinds::selector_matches(&whom["namespaceSelector"], &labels));
    Ok(inside.then_some(kind))
}

/// Other versions and groups of the same objects.
fn equivalents(cx: &Cx) -> Vec<ServedKind> {
    let stored = cx.kind.stored_name();
    let same = |kind: &ServedKind| {
        let other = kind.group() != cx.kind.group() || kind.version() != cx.kind.version();
        other && kind.stored_name() == stored
    };
    cx.server.kinds().into_iter().filter(same).collect()
}

/// An object of the request's kind as another kind shows it.
pub(crate) fn converted(from: &ServedKind, to: &ServedKind, mut object: Value) -> Value {
    if from.group() == to.group() && from.version() == to.version() {
        return object;
    }
    from.to_storage(&mut object);
    to.present(object)
}

/// The labels of the namespace of the request; `None` for what belongs to the whole cluster.
fn namespace_labels(cx: &Cx, asked: &Asked<'_>) -> Result<Option<Value>, ApiError> {
    if cx.kind.is("", "namespaces") {
        let object = asked.new.or(asked.old);
        return Ok(object.map(|object| object["metadata"]["labels"].clone()));
    }
    if cx.path.namespace.is_none() {
        return Ok(None);
    }
    Ok(Some(namespace(cx)?.map_or(Value::Null, |namespace| namespace["metadata"]["labels"].clone())))
}

/// The namespace that a request is made in.
pub(crate) fn namespace(cx: &Cx) -> Result<Option<Value>, ApiError> {
    let Some(name) = cx.path.namespace.as_ref().filter(|_| cx.kind.is_namespaced()) else { return Ok(None) };
    let entry = cx.server.store.get(&format!("core/namespaces//{name}"));
    Ok(entry.as_ref().map(stored::decode).transpose()?.map(|object| object.value))
}

fn rule_matches(cx: &Cx, kind: &ServedKind, rule: &Value, asked: &Asked<'_>) -> bool {
    let listed = |key: &str, wanted: &str| {
        let names = rule[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.into_iter().any(|name| name == "*" || name == wanted)
    };
    let scope = match rule["scope"].as_str() {
        Some("Cluster") => !kind.is_namespaced(),
        Some("Namespaced") => kind.is_namespaced(),
        _ => true,
    };
    let name = asked.new.or(asked.old).map(meta::name).unwrap_or_default();
    let named = rule["resourceNames"]
        .as_array()
        .is_none_or(|names| names.is_empty() || names.iter().any(|one| one == name));
    scope
        && named
        && listed("operations", asked.operation.name())
        && listed("apiGroups", kind.group())
        && listed("apiVersions", kind.version())
        && resources(rule).any(|pattern| resource_matches(pattern, kind.plural(), &cx.path.subresource))
}

fn resources(rule: &Value) -> impl Iterator<Item = &str> {
    rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `pods`, `pods/status`, `pods/*`, `*/scale`, `*` (no subresources) and `*/*`.
fn resource_matches(pattern: &str, plural: &str, subresource: &str) -> bool {
    let (resource, below) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == plural) && (below == "*" || below == subresource)
}

/// Whether all match conditions hold. One that does not hold counts before others that cannot be evaluated.
pub(crate) fn conditions_hold(
    conditions: &Value,
    names: &[&str],
    scope: &mut Scope<'_>,
) -> Result<bool, String> {
    let mut failed: Vec<String> = Vec::new();
    for condition in conditions.as_array().into_iter().flatten() {
        let source = condition["expression"].as_str().unwrap_or("");
        let outcome = Expression::compile(source, names).and_then(|expression| scope.evaluate(&expression));
        match outcome {
            Ok(Outcome::Bool(true)) => {}
            Ok(Outcome::Bool(false)) => return Ok(false),
            Ok(_) => failed.push(format!("expression '{source}' does not evaluate to bool")),
            Err(why) => failed.push(why),
        }
    }
    match failed.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// The match conditions of a webhook about the request of a review.
pub(super) fn webhook_conditions(webhook: &Value, review: &Value) -> Result<bool, String> {
    let conditions = &webhook["matchConditions"];
    if conditions.as_array().is_none_or(Vec::is_empty) {
        return Ok(true);
    }
    let (request, nothing) = (bare(&review["request"]), Value::Null);
    let mut scope = Scope::new(CONDITION_BUDGET);
    scope.set("request", &request);
    scope.set("object", &review["request"]["object"]);
    scope.set("oldObject", &review["request"]["oldObject"]);
    scope.set("namespaceObject", &nothing);
    conditions_hold(conditions, &["request", "object", "oldObject", "namespaceObject"], &mut scope)
}

/// A request without the objects, as expressions see it.
pub(crate) fn bare(request: &Value) -> Value {
    let mut request = request.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.remove("object");
        fields.remove("oldObject");
    }
    request
}

/// The `AdmissionReview` that a webhook is sent, about the objects as `kind` shows them.
pub(crate) fn review(cx: &Cx, kind: &ServedKind, asked: &Asked<'_>) -> Value {
    let shown = |object: Option<&Value>| match asked.operation {
        Operation::Connect => or_null(object),
        _ => object.map_or(Value::Null, |object| converted(&cx.kind, kind, object.clone())),
    };
    let named = match asked.operation {
        Operation::Connect => cx.path.name(),
        _ => asked.new.or(asked.old).map(meta::name).unwrap_or_default(),
    };
    let mut user = json!({ "username": cx.user.name, "groups": cx.user.groups });
    if !cx.user.uid.is_empty() {
        user["uid"] = cx.user.uid.as_str().into();
    }
    if !cx.user.extra.is_empty() {
        user["extra"] = json!(cx.user.extra);
    }
    let mut request = json!({
        "uid": uuid::Uuid::new_v4().to_string(),
        "kind": kind_of(kind, asked), "resource": resource_of(kind),
        "requestKind": kind_of(&cx.kind, asked), "requestResource": resource_of(&cx.kind),
        "name": named, "operation": asked.operation.name(), "userInfo": user,
        "object": shown(asked.new), "oldObject": shown(asked.old), "dryRun": asked.dry_run,
        "options": asked.operation.options().map(|kind| json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" })),
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

fn resource_of(kind: &ServedKind) -> Value {
    json!({ "group": kind.group(), "version": kind.version(), "resource": kind.plural() })
}

/// The kind of what is sent: with a connection, of its options.
fn kind_of(kind: &ServedKind, asked: &Asked<'_>) -> Value {
    let connected = asked.new.filter(|_| asked.operation == Operation::Connect);
    let name = connected.and_then(|options| options["kind"].as_str()).unwrap_or(kind.kind());
    json!({ "group": kind.group(), "version": kind.version(), "kind": name })
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
