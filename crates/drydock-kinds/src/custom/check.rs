//! Checks a value against a schema, in the words that a cluster uses.
//!
//! Start at [`check`]. With an old value, parts that did not change are accepted as they are: a schema that became
//! stricter must not stop writes that have nothing to do with it.

use serde_json::{Map, Number, Value};

use super::node::{Additional, Bound, DataType, Node, Range};
use super::numbers::{as_f64, is_integer, is_multiple, text_of};
use crate::field::{FieldError, FieldErrorKind};
use crate::schema::ListType;

/// At most this many complaints per object; the rest would help nobody.
const MAX_ERRORS: usize = 100;
/// Positions times schemas that one check looks at: large objects of honest kinds need thousands.
const MAX_STEPS: usize = 2_000_000;

/// All reasons why `value` is not what the schema says; `path` is where it stands, empty for a whole object.
pub(crate) fn check(value: &Value, old: Option<&Value>, node: &Node, path: &str) -> Vec<FieldError> {
    let mut found = Found::default();
    visit(value, old, node, path, &mut found);
    if found.steps > MAX_STEPS {
        let why = "the schema has too many alternatives for an object of this size";
        found.errors = vec![error(FieldErrorKind::Invalid, "<nil>", Some("".into()), why)];
    }
    found.errors
}

/// Complaints, and how many checks passed: among alternatives that all fail, the one that got furthest is reported.
#[derive(Debug, Default)]
struct Found {
    errors: Vec<FieldError>,
    passed: usize,
    steps: usize,
}

impl Found {
    fn add(&mut self, error: FieldError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    fn invalid(&mut self, path: &str, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(error(FieldErrorKind::Invalid, path, Some(value.into()), detail));
    }

    fn merge(&mut self, other: Found) {
        self.passed += other.passed;
        for error in other.errors {
            self.add(error);
        }
    }

    fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }
}

fn error(kind: FieldErrorKind, path: &str, value: Option<Value>, detail: impl Into<String>) -> FieldError {
    FieldError {
        path: path.trim_start_matches('.').to_owned(),
        kind,
        value,
        printed: None,
        detail: detail.into(),
    }
}

fn wrong_type(path: &str, wanted: &str, found: &str) -> FieldError {
    let detail = format!("{path} in body must be of type {wanted}: {found:?}");
    error(FieldErrorKind::TypeInvalid, path, Some(found.into()), detail)
}

fn visit(value: &Value, old: Option<&Value>, node: &Node, path: &str, found: &mut Found) {
    found.steps += 1;
    if found.steps > MAX_STEPS || old == Some(value) {
        return;
    }
    found.passed += 1;
    data_type(value, node, path, found);
    if !value.is_null() {
        combinations(value, old, node, path, found);
        match value {
            Value::String(text) => string(text, node, path, found),
            Value::Number(number) => numeric(number, node, path, found),
            Value::Array(items) => list(items, old, node, path, found),
            _ => {}
        }
    }
    choice(value, node, path, found);
    if let Value::Object(fields) = value {
        object(fields, old, node, path, found);
    }
}

fn data_type(value: &Value, node: &Node, path: &str, found: &mut Found) {
    let wanted = match (node.int_or_string, node.data_type) {
        (true, _) => "integer,string",
        (false, Some(data_type)) => data_type.name(),
        (false, None) => return,
    };
    let format = node.checks.number_format.map(|format| format.name());
    let (name, fits) = match value {
        Value::Null => ("null", node.nullable),
        Value::Bool(_) => ("boolean", node.data_type == Some(DataType::Boolean) && !node.int_or_string),
        Value::String(_) => ("string", node.int_or_string || node.data_type == Some(DataType::String)),
        Value::Array(_) => ("array", node.data_type == Some(DataType::Array)),
        Value::Object(_) => ("object", node.data_type == Some(DataType::Object)),
        Value::Number(number) => {
            let whole = is_integer(number);
            let name = if number.is_f64() { "number" } else { "integer" };
            let integer = node.int_or_string || node.data_type == Some(DataType::Integer);
            (name, (integer && whole) || node.data_type == Some(DataType::Number))
        }
    };
    match (fits, format, value) {
        (true, ..) => found.passed += 1,
        // A number's format names the type that was expected, and what was found has none.
        (false, Some(format), Value::Bool(_) | Value::Object(_)) => found.add(wrong_type(path, format, "")),
        (false, Some(format), Value::Number(_)) => found.add(wrong_type(path, format, "double")),
        _ => found.add(wrong_type(path, wanted, name)),
    }
}

fn combinations(value: &Value, old: Option<&Value>, node: &Node, path: &str, found: &mut Found) {
    let checks = &node.checks;
    let tried = |alternatives: &[Node], found: &mut Found| -> Vec<Found> {
        let outcome = |alternative: &Node| {
            let mut inner = Found { steps: found.steps, ..Found::default() };
            visit(value, old, alternative, path, &mut inner);
            found.steps = inner.steps;
            inner
        };
        alternatives.iter().map(outcome).collect()
    };
    let complain = |found: &mut Found, detail: String| {
        // Such a complaint is about no single field.
        found.add(FieldError {
            path: "<nil>".to_owned(),
            kind: FieldErrorKind::Invalid,
            value: Some("".into()),
            printed: None,
            detail: format!("{path:?} {detail}"),
        });
    };
    if !checks.any_of.is_empty() {
        let outcomes = tried(&checks.any_of, found);
        if !outcomes.iter().any(Found::is_fine) {
            complain(found, "must validate at least one schema (anyOf)".to_owned());
            found.merge(furthest(outcomes));
        }
    }
    if !checks.one_of.is_empty() {
        let outcomes = tried(&checks.one_of, found);
        match outcomes.iter().filter(|outcome| outcome.is_fine()).count() {
            1 => {}
            0 => {
                complain(found, "must validate one and only one schema (oneOf). Found none valid".to_owned());
                found.merge(furthest(outcomes));
            }
            many => complain(
                found,
                format!("must validate one and only one schema (oneOf). Found {many} valid alternatives"),
            ),
        }
    }
    if !checks.all_of.is_empty() {
        let outcomes = tried(&checks.all_of, found);
        let fine = outcomes.iter().filter(|outcome| outcome.is_fine()).count();
        let all = outcomes.len();
        outcomes.into_iter().for_each(|outcome| found.merge(outcome));
        if fine < all {
            let none = if fine == 0 { ". None validated" } else { "" };
            complain(found, format!("must validate all the schemas (allOf){none}"));
        }
    }
    if let Some(not) = &checks.not
        && tried(std::slice::from_ref(not), found).iter().all(Found::is_fine)
    {
        complain(found, "must not validate the schema (not)".to_owned());
    }
}

fn furthest(outcomes: Vec<Found>) -> Found {
    let mut best = Found::default();
    for (index, outcome) in outcomes.into_iter().enumerate() {
        if index == 0 || outcome.passed > best.passed {
            best = outcome;
        }
    }
    best
}

fn string(text: &str, node: &Node, path: &str, found: &mut Found) {
    let checks = &node.checks;
    let length = || i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let Range { min, max } = checks.length;
    if let Some(max) = max.filter(|max| length() > *max) {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        found.add(error(FieldErrorKind::TooLong, path, None, format!("may not be more than {max} {bytes}")));
    } else if let Some(min) = min.filter(|min| length() < *min) {
        found.invalid(path, text, format!("{path} in body should be at least {min} chars long"));
    } else if let Some(pattern) = checks.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
        found.invalid(path, text, format!("{path} in body should match '{}'", pattern.source));
    } else {
        found.passed += 1;
    }
    match checks.format {
        Some(format) if !format.accepts(text) => {
            let detail = format!("{path} in body must be of type {}: {text:?}", format.name);
            found.add(error(FieldErrorKind::TypeInvalid, path, Some(text.into()), detail));
        }
        _ => found.passed += 1,
    }
}

fn numeric(number: &Number, node: &Node, path: &str, found: &mut Found) {
    let checks = &node.checks;
    let value = || Value::Number(number.clone());
    if checks.number_format.is_some_and(|format| format.name() == "int32")
        && number.as_i64().is_none_or(|number| i32::try_from(number).is_err())
    {
        let detail = format!("Checked value must be of type integer with format int32 in {path}");
        found.add(FieldError {
            path: "<nil>".to_owned(),
            ..error(FieldErrorKind::Invalid, "", Some("".into()), detail)
        });
    }
    if let Some(factor) = checks.multiple_of.as_ref().filter(|factor| !is_multiple(number, factor)) {
        found.invalid(path, value(), format!("{path} in body should be a multiple of {}", text_of(factor)));
    }
    if let Some(Bound { limit, exclusive }) = &checks.maximum {
        let (number, bound) = (as_f64(number), as_f64(limit));
        let (outside, words) = match exclusive {
            true => (number >= bound, "less than"),
            false => (number > bound, "less than or equal to"),
        };
        if outside {
            found.invalid(path, value(), format!("{path} in body should be {words} {}", text_of(limit)));
        }
    }
    if let Some(Bound { limit, exclusive }) = &checks.minimum {
        let (number, bound) = (as_f64(number), as_f64(limit));
        let (outside, words) = match exclusive {
            true => (number <= bound, "greater than"),
            false => (number < bound, "greater than or equal to"),
        };
        if outside {
            found.invalid(path, value(), format!("{path} in body should be {words} {}", text_of(limit)));
        }
    }
    found.passed += 1;
}

fn list(items: &[Value], old: Option<&Value>, node: &Node, path: &str, found: &mut Found) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let Range { min, max } = node.checks.items;
    // Checked first and alone: a list that is far too long is not walked.
    if let Some(max) = max.filter(|max| count > *max) {
        let detail = format!("must have at most {max} item{}", if max == 1 { "" } else { "s" });
        return found.add(error(FieldErrorKind::TooMany, path, Some(count.into()), detail));
    }
    if let Some(item) = &node.items {
        for (index, child) in items.iter().enumerate() {
            let before = old_item(child, old, node);
            visit(child, before, item, &format!("{path}[{index}]"), found);
        }
    }
    if let Some(min) = min.filter(|min| count < *min) {
        found.invalid(path, count, format!("{path} in body should have at least {min} items"));
    }
    found.passed += 1;
}

/// Items of an associative list are recognised by their keys; others are new each time.
pub(crate) fn old_item<'v>(item: &Value, old: Option<&'v Value>, node: &Node) -> Option<&'v Value> {
    let ListType::Map(keys) = &node.list else { return None };
    let same = |other: &&Value| keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(same)
}

fn choice(value: &Value, node: &Node, path: &str, found: &mut Found) {
    let Some(choices) = &node.checks.choices else { return };
    found.steps += choices.len() / 8;
    let same = |choice: &Value| match (choice, value) {
        (Value::Number(a), Value::Number(b)) => as_f64(a) == as_f64(b),
        (a, b) => a == b,
    };
    if choices.iter().any(same) || (value.is_null() && node.nullable) {
        found.passed += 1;
        return;
    }
    let names = choices.iter().map(|choice| match choice {
        Value::String(text) => format!("{text:?}"),
        other => format!("{:?}", other.to_string()),
    });
    let detail = format!("supported values: {}", names.collect::<Vec<_>>().join(", "));
    found.add(error(FieldErrorKind::NotSupported, path, Some(value.clone()), detail));
}

fn object(fields: &Map<String, Value>, old: Option<&Value>, node: &Node, path: &str, found: &mut Found) {
    let count = i64::try_from(fields.len()).unwrap_or(i64::MAX);
    let Range { min, max } = node.checks.properties;
    if let Some(min) = min.filter(|min| count < *min) {
        found.invalid(path, count, format!("{path} in body should have at least {min} properties"));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        let detail = format!("must have at most {max} item{}", if max == 1 { "" } else { "s" });
        return found.add(error(FieldErrorKind::TooMany, path, Some(count.into()), detail));
    }
    for (name, child) in fields {
        let known = match (node.properties.get(name), &node.additional) {
            (Some(field), _) => field,
            (None, Additional::Of(field)) => field,
            _ => continue,
        };
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        visit(child, old.and_then(|old| old.get(name)), known, &at, found);
    }
    for name in node.checks.required.iter().filter(|name| !fields.contains_key(*name)) {
        found.add(error(FieldErrorKind::Required, &format!("{path}.{name}"), None, ""));
    }
    found.passed += 1;
}

/// Items of sets and keys of associative lists may not repeat.
pub(crate) fn check_lists(value: &Value, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Array(items) => {
            repeated(items, node, path, errors);
            if let Some(item) = &node.items {
                for (index, child) in items.iter().enumerate() {
                    check_lists(child, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        Value::Object(fields) => {
            for (name, child) in fields {
                let at = match (node.properties.contains_key(name), path) {
                    (true, "") => name.clone(),
                    (true, path) => format!("{path}.{name}"),
                    (false, path) => format!("{path}[{name}]"),
                };
                if let Some(field) = node.field(name) {
                    check_lists(child, field, &at, errors);
                }
            }
        }
        _ => {}
    }
}

fn repeated(items: &[Value], node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let identity = |item: &Value| match &node.list {
        ListType::Atomic => None,
        ListType::Set => Some(item.clone()),
        ListType::Map(keys) => {
            let fields = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
            Some(Value::Object(fields.collect()))
        }
    };
    if matches!(node.list, ListType::Map(_))
        && let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null())
    {
        let detail = "must be an object for an array of list-type map";
        let at = format!("{path}[{index}]");
        errors.push(error(FieldErrorKind::Invalid, &at, Some(items[index].clone()), detail));
        return;
    }
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let Some(identity) = identity(item) else { return };
        let times = seen.entry(identity.to_string()).or_default();
        *times += 1;
        // The second appearance is reported, later ones add nothing.
        if *times == 2 && errors.len() < MAX_ERRORS {
            errors.push(error(FieldErrorKind::Duplicate, &format!("{path}[{index}]"), Some(identity), ""));
        }
    }
}
