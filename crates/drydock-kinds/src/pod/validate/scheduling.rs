//! Checks of where a pod may run: tolerations, affinity, spreading.

use serde_json::Value;

use super::choice;
use crate::field::{FieldError, Path};
use crate::read::{list, number, text, texts};
use crate::rules::{self, check};
use crate::selector;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(crate) fn tolerations(spec: &Value, path: &Path) -> Vec<FieldError> {
    let all = list(spec, "/tolerations").iter().enumerate();
    all.flat_map(|(index, toleration)| toleration_errors(toleration, &path.index(index))).collect()
}

fn toleration_errors(toleration: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (key, operator) = (text(toleration, "/key"), text(toleration, "/operator"));
    let (value, effect) = (text(toleration, "/value"), text(toleration, "/effect"));
    let at = path.child("operator");
    if !key.is_empty() {
        errors.extend(check(rules::qualified, key, &path.child("key")));
    } else if operator != "Exists" {
        let detail =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(FieldError::invalid(&at, operator, detail));
    }
    if toleration.get("tolerationSeconds").is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(&path.child("effect"), effect, detail));
    }
    match operator {
        "Equal" | "" => errors.extend(check(rules::label_value, value, &at)),
        "Exists" if !value.is_empty() => {
            errors.push(FieldError::invalid(&at, value, "value must be empty when `operator` is 'Exists'"));
        }
        "Exists" => {}
        other => errors.push(FieldError::not_supported(&at, other, &["Equal", "Exists"])),
    }
    if !effect.is_empty() {
        errors.extend(choice(toleration, path, "effect", &EFFECTS));
    }
    errors
}

pub(super) fn affinity(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(node) = spec.pointer("/affinity/nodeAffinity") {
        errors.extend(node_affinity(node, &path.child("nodeAffinity")));
    }
    for side in ["podAffinity", "podAntiAffinity"] {
        if let Some(terms) = spec.pointer(&format!("/affinity/{side}")) {
            errors.extend(pod_affinity(terms, &path.child(side)));
        }
    }
    errors
}

fn node_affinity(node: &Value, path: &Path) -> Vec<FieldError> {
    let required = node.get(REQUIRED).map(|selector| selector::nodes(selector, &path.child(REQUIRED)));
    let mut errors = required.unwrap_or_default();
    for (index, preferred) in list(node, &format!("/{PREFERRED}")).iter().enumerate() {
        let at = path.child(PREFERRED).index(index);
        errors.extend(weight(preferred, &at));
        errors.extend(selector::node_term(&preferred["preference"], &at.child("preference")));
    }
    errors
}

fn weight(preferred: &Value, path: &Path) -> Option<FieldError> {
    let weight = number(preferred, "/weight");
    let detail = "must be in the range 1-100";
    (!(1..=100).contains(&weight)).then(|| FieldError::invalid(&path.child("weight"), weight, detail))
}

fn pod_affinity(terms: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, term) in list(terms, &format!("/{REQUIRED}")).iter().enumerate() {
        errors.extend(pod_term(term, &path.child(REQUIRED).index(index)));
    }
    for (index, preferred) in list(terms, &format!("/{PREFERRED}")).iter().enumerate() {
        let at = path.child(PREFERRED).index(index);
        errors.extend(weight(preferred, &at));
        errors.extend(pod_term(&preferred["podAffinityTerm"], &at.child("podAffinityTerm")));
    }
    errors
}

fn pod_term(term: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = selector::labels(term.get("labelSelector"), &path.child("labelSelector"));
    errors.extend(selector::labels(term.get("namespaceSelector"), &path.child("namespaceSelector")));
    for namespace in texts(term, "/namespaces") {
        errors.extend(check(rules::label, namespace, &path.child("namespace")));
    }
    let key = text(term, "/topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
    }
    errors.extend(check(rules::qualified, key, &path.child("topologyKey")));
    errors
}

pub(super) fn spread(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let constraints = list(spec, "/topologySpreadConstraints");
    for (index, constraint) in constraints.iter().enumerate() {
        let at = path.index(index);
        errors.extend(spread_constraint(constraint, &at));
        let (key, action) = (text(constraint, "/topologyKey"), text(constraint, "/whenUnsatisfiable"));
        let same =
            |other: &Value| text(other, "/topologyKey") == key && text(other, "/whenUnsatisfiable") == action;
        if constraints[index + 1..].iter().any(same) {
            let value = format!("{{{key}, {action}}}");
            errors.push(FieldError::duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), value));
        }
        errors.extend(selector::labels(constraint.get("labelSelector"), &at.child("labelSelector")));
    }
    errors
}

fn spread_constraint(constraint: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (skew, action) = (number(constraint, "/maxSkew"), text(constraint, "/whenUnsatisfiable"));
    if skew <= 0 {
        errors.push(FieldError::invalid(&path.child("maxSkew"), skew, "must be greater than zero"));
    }
    if text(constraint, "/topologyKey").is_empty() {
        errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
    }
    let actions = ["DoNotSchedule", "ScheduleAnyway"];
    if !actions.contains(&action) {
        errors.push(FieldError::not_supported(&path.child("whenUnsatisfiable"), action, &actions));
    }
    if let Some(least) = constraint.get("minDomains").and_then(Value::as_i64) {
        if least <= 0 {
            errors.push(FieldError::invalid(&path.child("minDomains"), least, "must be greater than zero"));
        }
        if action != "DoNotSchedule" {
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(FieldError::invalid(&path.child("minDomains"), least, detail));
        }
    }
    for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        errors.extend(choice(constraint, path, field, &["Honor", "Ignore"]));
    }
    errors
}
