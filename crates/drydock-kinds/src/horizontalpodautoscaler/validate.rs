//! Checks of autoscalers: the target, the metrics and how fast they may act.

use kubernetes_quantity::Quantity;
use serde_json::Value;

use super::SOURCES;
use crate::field::{FieldError, Path};
use crate::pod::template::choice;
use crate::read::{list, number, text};
use crate::rules::{self, check_required};

const MAX_WINDOW_S: i64 = 3600;
const MAX_PERIOD_S: i64 = 1800;

pub(super) fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let (least, most) = (number(new, "/spec/minReplicas"), number(new, "/spec/maxReplicas"));
    if least < 1 {
        let detail = "must be greater than or equal to 1";
        errors.push(FieldError::invalid(&path.child("minReplicas"), least, detail));
    }
    if most < 1 {
        errors.push(FieldError::required(&path.child("maxReplicas"), "must be set and greater than 0"));
    }
    if most < least {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(&path.child("maxReplicas"), most, detail));
    }
    errors.extend(reference(&new["spec"]["scaleTargetRef"], &path.child("scaleTargetRef"), true));
    for (index, metric) in list(new, "/spec/metrics").iter().enumerate() {
        errors.extend(validate_metric(metric, &path.child("metrics").index(index)));
    }
    let wakes = |metric: &Value| matches!(text(metric, "/type"), "Object" | "External");
    if least == 0 && !list(new, "/spec/metrics").iter().any(wakes) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(&path.child("metrics"), detail));
    }
    for side in ["scaleUp", "scaleDown"] {
        if let Some(rules) = new["spec"]["behavior"].get(side) {
            errors.extend(scaling_rules(rules, &path.child("behavior").child(side)));
        }
    }
    errors
}

fn reference(target: &Value, path: &Path, scaled: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["kind", "name"] {
        errors.extend(check_required(rules::path_segment, target, field, path));
    }
    let version = text(target, "/apiVersion");
    let at = path.child("apiVersion");
    if version.matches('/').count() > 1 {
        errors.push(FieldError::invalid(&at, version, format!("unexpected GroupVersion string: {version}")));
    } else if scaled && version.is_empty() {
        errors.push(FieldError::invalid(&at, version, "apiVersion must specify API group"));
    }
    errors
}

fn validate_metric(metric: &Value, path: &Path) -> Vec<FieldError> {
    let kinds = SOURCES.map(|(kind, _)| kind);
    let kind = text(metric, "/type");
    let mut errors = Vec::new();
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric source type"));
    }
    let Some((_, field)) = SOURCES.iter().find(|(name, _)| *name == kind) else {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &kinds));
        return errors;
    };
    let detail = "must populate the given metric source only";
    let others = SOURCES.iter().filter(|(_, other)| other != field && metric.get(*other).is_some());
    errors.extend(others.map(|(_, other)| FieldError::forbidden(&path.child(other), detail)));
    let at = path.child(field);
    match metric.get(*field) {
        None => {
            errors.push(FieldError::required(&at, "must populate information for the given metric source"));
        }
        Some(source) => errors.extend(validate_source(field, source, &at)),
    }
    errors
}

fn validate_source(kind: &str, source: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (target, at) = (&source["target"], path.child("target"));
    let missing = |field: &str| target.get(field).is_none();
    match kind {
        "resource" | "containerResource" => {
            if kind == "containerResource" && text(source, "/container").is_empty() {
                errors.push(FieldError::required(&path.child("container"), "must specify a container"));
            }
            if text(source, "/name").is_empty() {
                errors.push(FieldError::required(&path.child("name"), "must specify a resource name"));
            }
            errors.extend(validate_target(target, &at));
            if missing("averageUtilization") && missing("averageValue") {
                let detail = "must set either a target raw value or a target utilization";
                errors.push(FieldError::required(&at.child("averageUtilization"), detail));
            }
            if !missing("averageUtilization") && !missing("averageValue") {
                let detail = "may not set both a target raw value and a target utilization";
                errors.push(FieldError::forbidden(&at.child("averageValue"), detail));
            }
        }
        "pods" => {
            errors.extend(identifier(source, path));
            errors.extend(validate_target(target, &at));
            if missing("averageValue") {
                let detail = "must specify a positive target averageValue";
                errors.push(FieldError::required(&at.child("averageValue"), detail));
            }
        }
        "object" => {
            errors.extend(reference(&source["describedObject"], &path.child("describedObject"), false));
            errors.extend(identifier(source, path));
            errors.extend(validate_target(target, &at));
            if missing("value") && missing("averageValue") {
                let detail = "must set either a target value or averageValue";
                errors.push(FieldError::required(&at.child("averageValue"), detail));
            }
        }
        _ => {
            errors.extend(identifier(source, path));
            errors.extend(validate_target(target, &at));
            if missing("value") && missing("averageValue") {
                let detail = "must set either a target value for metric or a per-pod target";
                errors.push(FieldError::required(&at.child("averageValue"), detail));
            }
            if !missing("value") && !missing("averageValue") {
                let detail = "may not set both a target value for metric and a per-pod target";
                errors.push(FieldError::forbidden(&at.child("value"), detail));
            }
        }
    }
    errors
}

fn identifier(source: &Value, path: &Path) -> Vec<FieldError> {
    let at = path.child("metric.name");
    match text(source, "/metric/name") {
        "" => vec![FieldError::required(&at, "must specify a metric name")],
        name => rules::check(rules::path_segment, name, &at),
    }
}

fn validate_target(target: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = text(target, "/type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(&path.child("type"), kind, detail));
    }
    for field in ["value", "averageValue"] {
        let amount = target.get(field).and_then(Value::as_str).and_then(Quantity::parse);
        if amount.is_some_and(|amount| amount <= Quantity::ZERO) {
            errors.push(FieldError::invalid(&path.child(field), target[field].clone(), "must be positive"));
        }
    }
    if let Some(percent) =
        target.get("averageUtilization").and_then(Value::as_i64).filter(|percent| *percent < 1)
    {
        errors.push(FieldError::invalid(
            &path.child("averageUtilization"),
            percent,
            "must be greater than 0",
        ));
    }
    errors
}

fn scaling_rules(rules: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(window) = rules.get("stabilizationWindowSeconds").and_then(Value::as_i64) {
        let at = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.push(FieldError::invalid(&at, window, "must be greater than or equal to zero"));
        }
        if window > MAX_WINDOW_S {
            let detail = format!("must be less than or equal to {MAX_WINDOW_S}");
            errors.push(FieldError::invalid(&at, window, detail));
        }
    }
    errors.extend(choice(rules, path, "selectPolicy", &["Disabled", "Max", "Min"]));
    let policies = list(rules, "/policies");
    if policies.is_empty() {
        errors.push(FieldError::required(&path.child("policies"), "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = path.child("policies").index(index);
        errors.extend(choice(policy, &at, "type", &["Percent", "Pods"]));
        for field in ["value", "periodSeconds"] {
            let amount = number(policy, &format!("/{field}"));
            if amount <= 0 {
                errors.push(FieldError::invalid(&at.child(field), amount, "must be greater than zero"));
            }
            if field == "periodSeconds" && amount > MAX_PERIOD_S {
                let detail = format!("must be less than or equal to {MAX_PERIOD_S}");
                errors.push(FieldError::invalid(&at.child(field), amount, detail));
            }
        }
    }
    errors
}
