//! Label and field selectors: which objects of a list or watch a client wants.
//!
//! Start at [`Filter::of`]. The grammar is the one of `kubectl -l` and `--field-selector`.

mod labels;

use serde_json::Value;

use crate::request::Query;
use crate::selector::labels::LabelTerm;
use crate::served::ServedKind;
use crate::status::ApiError;

/// Both selectors of one request.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    field: String,
    value: String,
    equal: bool,
}

impl Filter {
    pub fn of(query: &Query, kind: &ServedKind) -> Result<Self, ApiError> {
        let labels = query.get("labelSelector").map(parse_labels).transpose()?.unwrap_or_default();
        let fields = query.get("fieldSelector").map(parse_fields).transpose()?.unwrap_or_default();
        for term in &fields {
            if kind.selectable_value(&Value::Null, &term.field).is_none() {
                return Err(ApiError::bad_request(unsupported_field(kind, &term.field)));
            }
        }
        Ok(Self { labels, fields })
    }

    /// The same, for the object of this name only.
    pub fn and_name(mut self, name: &str) -> Self {
        let (field, value) = ("metadata.name".to_owned(), name.to_owned());
        self.fields.push(FieldTerm { field, value, equal: true });
        self
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that can match, when the selector says so.
    pub fn only_name(&self) -> Option<&str> {
        self.only("metadata.name")
    }

    pub fn only_namespace(&self) -> Option<&str> {
        self.only("metadata.namespace")
    }

    fn only(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    pub fn matches(&self, kind: &ServedKind, object: &Value) -> bool {
        self.labels.iter().all(|term| term.matches(object))
            && self.fields.iter().all(|term| {
                let found = kind.selectable_value(object, &term.field).unwrap_or_default();
                (found == term.value) == term.equal
            })
    }
}

/// Kinds with fields of their own say it in other words than those that have only the two of everybody.
fn unsupported_field(kind: &ServedKind, field: &str) -> String {
    match (kind.is("batch", "jobs"), kind.has_own_selectable_fields()) {
        (true, _) => format!("field label {field:?} not supported for Job"),
        (_, true) => format!("field label not supported: {field}"),
        _ => {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<LabelTerm>, ApiError> {
    labels::parse(text).map_err(ApiError::bad_request)
}

fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, ApiError> {
    let refused =
        |term: &str| ApiError::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"));
    let mut terms = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let parts = [("!=", false), ("==", true), ("=", true)].into_iter();
        let parsed = parts.filter_map(|(operator, equal)| Some((term.split_once(operator)?, equal))).next();
        let ((field, value), equal) = parsed.ok_or_else(|| refused(term))?;
        terms.push(FieldTerm { field: field.trim().to_owned(), value: value.trim().to_owned(), equal });
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: Value, expect: bool) {
        let terms = parse_labels(selector).unwrap();
        let object = json!({ "metadata": { "labels": labels } });
        assert_eq!(terms.iter().all(|term| term.matches(&object)), expect, "{selector} on {labels}");
    }

    #[test]
    fn equality_needs_the_label() {
        check("a=1,b==2", json!({ "a": "1", "b": "2" }), true);
        check("a=1", json!({}), false);
        check("a!=1", json!({}), true);
    }

    #[test]
    fn sets_exclude_and_include() {
        check("a in (1, 2), b notin (x)", json!({ "a": "2" }), true);
        check("a in (1,2)", json!({ "a": "3" }), false);
        check("a notin (1,2)", json!({ "a": "1" }), false);
    }

    #[test]
    fn presence_and_absence_are_told_apart() {
        check("a,!b", json!({ "a": "" }), true);
        check("!a", json!({ "a": "" }), false);
        check("example.com/a", json!({ "example.com/a": "x" }), true);
    }

    #[test]
    fn numbers_compare() {
        check("a>3", json!({ "a": "4" }), true);
        check("a<3", json!({ "a": "4" }), false);
    }

    #[track_caller]
    fn refused(selector: &str, expect: &str) {
        assert_eq!(parse_labels(selector).expect_err("a refusal").message, expect);
    }

    #[test]
    fn empty_values_are_values() {
        check("a=", json!({ "a": "" }), true);
        check("a in (,x)", json!({ "a": "" }), true);
        check("a in ()", json!({ "a": "" }), true);
        check("a notin ()", json!({ "a": "b" }), true);
    }

    #[test]
    fn operators_can_be_keys_and_values() {
        check("in in (notin)", json!({ "in": "notin" }), true);
        check("notin=in", json!({ "notin": "in" }), true);
    }

    #[test]
    fn nonsense_is_refused_in_known_words() {
        refused("==", "found '==', expected: !, identifier, or 'end of string'");
        refused("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        refused("a in 1,2", "unable to parse requirement: found '1' expected: '('");
        refused("a=1,", "found '', expected: identifier after ','");
        refused("a=1 b", "found 'b', expected: ',' or 'end of string'");
        refused("a in (1", "unable to parse requirement: found '', expected: ',' or ')'");
        assert!(
            parse_labels("a/b/c=1").is_err() && parse_labels("a=-").is_err() && parse_labels("a>x").is_err()
        );
        let error = parse_fields("metadata.name").expect_err("a refusal");
        assert_eq!(error.message, "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
    }
}
