//! Checks of selectors: label selectors as many kinds hold them, and the node selectors of pods and volumes.

use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::meta;
use crate::read::{list, text};
use crate::rules;

/// A `LabelSelector`; absent is fine.
pub(crate) fn labels(selector: Option<&Value>, path: &Path) -> Vec<FieldError> {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Vec::new() };
    let mut errors = meta::labels(selector, "/matchLabels", &path.child("matchLabels"));
    for (index, expression) in list(selector, "/matchExpressions").iter().enumerate() {
        errors.extend(requirement(expression, &path.child("matchExpressions").index(index)));
    }
    errors
}

fn requirement(expression: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = values(expression, path, &["In", "NotIn"]);
    errors.extend(rules::check(rules::qualified, text(expression, "/key"), &path.child("key")));
    for (index, value) in list(expression, "/values").iter().filter_map(Value::as_str).enumerate() {
        errors.extend(rules::check(rules::label_value, value, &path.child("values").index(index)));
    }
    errors
}

/// Whether values are there exactly when the operator wants them.
fn values(expression: &Value, path: &Path, wanting: &[&str]) -> Vec<FieldError> {
    let given = !list(expression, "/values").is_empty();
    let at = path.child("values");
    match text(expression, "/operator") {
        operator if wanting.contains(&operator) => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            if given { Vec::new() } else { vec![FieldError::required(&at, detail)] }
        }
        "Exists" | "DoesNotExist" => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            if given { vec![FieldError::forbidden(&at, detail)] } else { Vec::new() }
        }
        other => vec![FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")],
    }
}

/// A `NodeSelector`, which has at least one term.
pub(crate) fn nodes(selector: &Value, path: &Path) -> Vec<FieldError> {
    let path = path.child("nodeSelectorTerms");
    let terms = list(selector, "/nodeSelectorTerms");
    if terms.is_empty() {
        return vec![FieldError::required(&path, "must have at least one node selector term")];
    }
    terms.iter().enumerate().flat_map(|(index, term)| node_term(term, &path.index(index))).collect()
}

pub(crate) fn node_term(term: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, expression) in list(term, "/matchExpressions").iter().enumerate() {
        let at = path.child("matchExpressions").index(index);
        match text(expression, "/operator") {
            "Gt" | "Lt" if list(expression, "/values").len() == 1 => {}
            "Gt" | "Lt" => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(FieldError::required(&at.child("values"), detail));
            }
            _ => errors.extend(values(expression, &at, &["In", "NotIn"])),
        }
        errors.extend(rules::check(rules::qualified, text(expression, "/key"), &at.child("key")));
    }
    errors
}
