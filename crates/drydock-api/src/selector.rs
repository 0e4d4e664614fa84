//! Label and field selectors: which objects of a list or watch a client wants.
//!
//! Start at [`Filter::of`]. The grammar is the one of `kubectl -l` and `--field-selector`.

use serde_json::Value;

use crate::meta;
use crate::request::Query;
use crate::served::ServedKind;
use crate::status::ApiError;

/// Both selectors of one request.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    /// `>` (true) or `<` of whole numbers.
    Compare(String, bool, i64),
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
                return Err(ApiError::bad_request(format!("field label not supported: {}", term.field)));
            }
        }
        Ok(Self { labels, fields })
    }

    /// A filter by labels alone, for selectors inside objects.
    pub fn labels(selector: &str) -> Result<Self, ApiError> {
        Ok(Self { labels: parse_labels(selector)?, fields: Vec::new() })
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

impl LabelTerm {
    fn matches(&self, object: &Value) -> bool {
        let found = |key: &str| meta::labels(object).find(|(name, _)| *name == key).map(|(_, value)| value);
        match self {
            Self::In(key, values) => {
                found(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Self::NotIn(key, values) => {
                !found(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Self::Exists(key) => found(key).is_some(),
            Self::Absent(key) => found(key).is_none(),
            Self::Compare(key, greater, bound) => {
                let number = found(key).and_then(|value| value.parse::<i64>().ok());
                number.is_some_and(|number| if *greater { number > *bound } else { number < *bound })
            }
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<LabelTerm>, ApiError> {
    let refused =
        |term: &str| ApiError::bad_request(format!("unable to parse requirement: {term:?} of {text:?}"));
    let terms = split_outside_parentheses(text);
    terms.into_iter().map(|term| parse_label(term).ok_or_else(|| refused(term))).collect()
}

fn parse_label(term: &str) -> Option<LabelTerm> {
    let term = term.trim();
    if let Some(key) = term.strip_prefix('!') {
        return Some(LabelTerm::Absent(key_of(key)?));
    }
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = term.split_once(operator) {
            let values = vec![value_of(value)?];
            let key = key_of(key)?;
            return Some(if equal { LabelTerm::In(key, values) } else { LabelTerm::NotIn(key, values) });
        }
    }
    for (operator, greater) in [('>', true), ('<', false)] {
        if let Some((key, bound)) = term.split_once(operator) {
            return Some(LabelTerm::Compare(key_of(key)?, greater, bound.trim().parse().ok()?));
        }
    }
    let Some((head, list)) = term.split_once('(') else { return Some(LabelTerm::Exists(key_of(term)?)) };
    let values = list.trim().strip_suffix(')')?.split(',').map(value_of).collect::<Option<_>>()?;
    let mut words = head.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(key), Some("in"), None) => Some(LabelTerm::In(key_of(key)?, values)),
        (Some(key), Some("notin"), None) => Some(LabelTerm::NotIn(key_of(key)?, values)),
        _ => None,
    }
}

fn key_of(text: &str) -> Option<String> {
    let text = text.trim();
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!text.is_empty() && text.chars().all(fine)).then(|| text.to_owned())
}

fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().all(fine).then(|| text.to_owned())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(move |c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, ApiError> {
    let refused =
        |term: &str| ApiError::bad_request(format!("invalid selector: {text:?}; can't understand {term:?}"));
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

    #[test]
    fn nonsense_is_refused() {
        assert!(parse_labels("a in 1,2").is_err());
        assert!(parse_labels("a b").is_err());
        assert!(parse_fields("metadata.name").is_err());
    }
}
