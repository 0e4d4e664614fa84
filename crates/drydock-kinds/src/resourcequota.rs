//! ResourceQuota: how much a namespace may use.

use k8s_openapi::api::core::v1::ResourceQuota;
use kubernetes_quantity::Quantity;
use serde_json::Value;

use crate::edit::{ensure, start_without_status};
use crate::field::{FieldError, Path};
use crate::meta::immutable;
use crate::read::{entries, list, or, text, texts};
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<ResourceQuota>()
    .short_names(&["quota"])
    .with_status()
    .default_with(|object| {
        ensure(object, "/spec");
    })
    .validate_with(validate)
    .prepare_with(start_without_status)
    .columns(&[
        Column::compute("Request", |quota, _| usage(quota, false)),
        Column::compute("Limit", |quota, _| usage(quota, true)),
        Column::age(),
    ]);

fn usage(quota: &Value, limits: bool) -> Value {
    let hard = entries(quota, "/status/hard").filter(|(name, _)| name.starts_with("limits.") == limits);
    let line = |(name, most): (&String, &Value)| {
        let used = quota["status"]["used"][name.as_str()].as_str().unwrap_or_default();
        format!("{name}: {}/{}", or(used, "0"), most.as_str().unwrap_or_default())
    };
    Value::from(hard.map(line).collect::<Vec<_>>().join(", "))
}

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
const STANDARD: [&str; 19] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const WHOLE: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    for (name, amount) in entries(new, "/spec/hard") {
        errors.extend(bound(name, amount, &path.child("hard").key(name)));
    }
    errors.extend(scopes(new, &path.child("scopes")));
    let at = path.child("scopeSelector.matchExpressions");
    for expression in list(new, "/spec/scopeSelector/matchExpressions") {
        errors.extend(scope_expression(expression, &at));
    }
    if old.is_some_and(|old| old["spec"].get("scopes") != new["spec"].get("scopes")) {
        errors.push(immutable(&path.child("scopes"), &new["spec"]["scopes"]));
    }
    errors
}

fn bound(name: &str, amount: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = rules::check(rules::qualified, name, path);
    let standard =
        STANDARD.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    if !name.contains('/') && !standard {
        if errors.is_empty() {
            errors.push(FieldError::invalid(
                path,
                name,
                "must be a standard resource type or fully qualified",
            ));
        }
        errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
    }
    let Some(value) = amount.as_str().and_then(Quantity::parse) else { return errors };
    if value < Quantity::ZERO {
        errors.push(FieldError::invalid(path, amount.clone(), "must be greater than or equal to 0"));
    }
    if (WHOLE.contains(&name) || name.starts_with("count/")) && value.rounded_up() != value {
        errors.push(FieldError::invalid(path, amount.clone(), "must be an integer"));
    }
    errors
}

fn scopes(quota: &Value, path: &Path) -> Vec<FieldError> {
    let all: Vec<&str> = texts(quota, "/spec/scopes").collect();
    let invalid = |detail: &str| FieldError::invalid(path, all.clone(), detail);
    let mut errors = Vec::new();
    for scope in &all {
        if !SCOPES.contains(scope) {
            errors.push(invalid("unsupported scope"));
        }
        let objects = |name: &String| matches!(name.as_str(), "pods" | "count/pods");
        let compute = |name: &String| {
            STANDARD[1..7].contains(&name.as_str())
                || name.starts_with("requests.") && !name.contains("storage")
        };
        for (name, _) in entries(quota, "/spec/hard") {
            let fits = match *scope {
                "BestEffort" => objects(name),
                "VolumeAttributesClass" => {
                    name.contains("storage") || name.ends_with("persistentvolumeclaims")
                }
                _ => objects(name) || compute(name) || name.contains("ephemeral-storage"),
            };
            if !fits && SCOPES.contains(scope) {
                errors.push(invalid("unsupported scope applied to resource"));
            }
        }
    }
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if all.contains(&one) && all.contains(&other) {
            errors.push(invalid("conflicting scopes"));
        }
    }
    errors
}

fn scope_expression(expression: &Value, path: &Path) -> Vec<FieldError> {
    let (scope, operator) = (text(expression, "/scopeName"), text(expression, "/operator"));
    let valued = !list(expression, "/values").is_empty();
    let mut errors = Vec::new();
    if !SCOPES.contains(&scope) {
        errors.push(FieldError::invalid(&path.child("scopeName"), scope, "unsupported scope"));
    }
    let by_name = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
    if !by_name && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
                      ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(FieldError::invalid(&path.child("operator"), operator, detail));
    }
    match operator {
        "In" | "NotIn" if !valued => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(&path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if valued => {
            let detail = "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector";
            errors.push(FieldError::invalid(&path.child("values"), expression["values"].clone(), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator"));
        }
    }
    errors
}
