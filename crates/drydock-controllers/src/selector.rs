//! Label selectors. An empty selector matches everything, a missing one nothing: callers decide.
//!
//! Start at [`matches`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

pub fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let empty = Labels::new();
    let labels = labels.unwrap_or(&empty);
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal && selector.match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

/// Whether `labels` carry every pair of a plain map selector, such as a Service's.
pub fn matches_map(selector: &Labels, labels: Option<&Labels>) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|wanted| wanted == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // An operator we do not know selects nothing rather than everything.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(operator: &str, values: &[&str], tier: Option<&str>, expect: bool) {
        let requirement = LabelSelectorRequirement {
            key: "tier".into(),
            operator: operator.into(),
            values: Some(values.iter().map(|v| v.to_string()).collect()),
        };
        let selector = LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None };
        let labels: Labels = tier.map(|tier| ("tier".to_owned(), tier.to_owned())).into_iter().collect();
        assert_eq!(matches(&selector, Some(&labels)), expect);
    }

    #[test]
    fn in_needs_one_of_the_values() {
        check("In", &["web", "api"], Some("api"), true);
        check("In", &["web", "api"], None, false);
    }

    #[test]
    fn not_in_is_met_by_a_missing_label() {
        check("NotIn", &["web"], None, true);
        check("NotIn", &["web"], Some("web"), false);
    }

    #[test]
    fn exists_and_its_opposite_look_only_at_the_key() {
        check("Exists", &[], Some("web"), true);
        check("DoesNotExist", &[], Some("web"), false);
    }
}
