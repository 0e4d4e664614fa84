//! The JSONPath of printer columns, scale paths and selectable fields: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Start at [`JsonPath::parse`]. Paths are bounded in length, results in number.

use serde_json::Value;

const MAX_LENGTH: usize = 4096;
const MAX_RESULTS: usize = 1000;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    /// Every value below, itself included.
    Descend,
    Filter(Vec<Step>, Option<(Comparison, Value)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

impl JsonPath {
    /// Parses `.a.b`, without the braces that templates put around it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('$').unwrap_or(text);
        (text.len() <= MAX_LENGTH).then(|| parse_steps(text)).flatten().map(|steps| Self { steps })
    }

    /// The values at this path, at most a thousand.
    pub(crate) fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        walk(&self.steps, root)
    }

    /// The path as plain field names, when it is no more than that.
    pub(crate) fn fields(&self) -> Option<Vec<&str>> {
        let name = |step: &Step| matches!(step, Step::Field(_));
        self.steps.iter().all(name).then(|| {
            let names = self.steps.iter().filter_map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                _ => None,
            });
            names.collect()
        })
    }
}

fn walk<'v>(steps: &[Step], root: &'v Value) -> Vec<&'v Value> {
    let mut current = vec![root];
    for step in steps {
        let mut next = Vec::new();
        for value in current {
            advance(step, value, &mut next);
            next.truncate(MAX_RESULTS);
        }
        current = next;
    }
    current
}

fn advance<'v>(step: &Step, value: &'v Value, out: &mut Vec<&'v Value>) {
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) => out.extend(fields.get(name)),
        (Step::Index(index), Value::Array(items)) => {
            out.extend(place(*index, items.len()).and_then(|index| items.get(index)));
        }
        (Step::Slice(from, to), Value::Array(items)) => {
            let from = from.map_or(Some(0), |from| place(from, items.len())).unwrap_or(items.len());
            let to = to.and_then(|to| place(to, items.len())).unwrap_or(items.len());
            out.extend(items.get(from..to.max(from)).into_iter().flatten());
        }
        (Step::All, Value::Array(items)) => out.extend(items),
        (Step::All, Value::Object(fields)) => out.extend(fields.values()),
        (Step::Descend, value) => descend(value, out),
        (Step::Filter(path, wanted), Value::Array(items)) => {
            let fits = |item: &&Value| match (walk(path, item).first(), wanted) {
                (found, None) => found.is_some(),
                (Some(found), Some((comparison, wanted))) => comparison.holds(found, wanted),
                (None, Some(_)) => false,
            };
            out.extend(items.iter().filter(fits));
        }
        _ => {}
    }
}

fn descend<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    if out.len() >= MAX_RESULTS {
        return;
    }
    out.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| descend(field, out)),
        _ => {}
    }
}

/// An index from the front, or with a sign from the end.
fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length + index } else { index }).ok()
}

impl Comparison {
    fn holds(self, found: &Value, wanted: &Value) -> bool {
        let order = match (found, wanted) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (a, b) => return (self == Self::Equal && a == b) || (self == Self::Different && a != b),
        };
        order.is_some_and(|order| match self {
            Self::Equal => order.is_eq(),
            Self::Different => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::Greater => order.is_gt(),
            Self::AtMost => order.is_le(),
            Self::AtLeast => order.is_ge(),
        })
    }
}

fn parse_steps(mut text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !text.is_empty() {
        if let Some(rest) = text.strip_prefix("..") {
            steps.push(Step::Descend);
            text = rest;
            if !text.starts_with('[') {
                text = field(text, &mut steps)?;
            }
        } else if let Some(rest) = text.strip_prefix('.') {
            text = match rest {
                "" if steps.is_empty() => "",
                rest if rest.starts_with('[') => rest,
                rest => field(rest, &mut steps)?,
            };
        } else if let Some(rest) = text.strip_prefix('[') {
            let end = closing(rest)?;
            steps.push(bracket(rest[..end].trim())?);
            text = &rest[end + 1..];
        } else {
            text = field(text, &mut steps)?;
        }
    }
    Some(steps)
}

/// A field name up to the next dot or bracket; a backslash takes the next character as it is.
fn field<'t>(text: &'t str, steps: &mut Vec<Step>) -> Option<&'t str> {
    let mut name = String::new();
    let mut escaped = false;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                name.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' => {
                end = at;
                break;
            }
            c if c.is_whitespace() || matches!(c, '{' | '}' | ']' | '(' | ')') => return None,
            c => name.push(c),
        }
    }
    match name.as_str() {
        "" => return None,
        "*" => steps.push(Step::All),
        _ => steps.push(Step::Field(name)),
    }
    Some(&text[end..])
}

/// Where the bracket closes, quotes and inner brackets respected.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(name) = quoted(inner) {
        return Some(Step::Field(name));
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter(condition.trim());
    }
    if let Some((from, to)) = inner.split_once(':') {
        let number = |text: &str| match text.trim() {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        };
        return Some(Step::Slice(number(from)?, number(to)?));
    }
    inner.parse().ok().map(Step::Index)
}

fn quoted(text: &str) -> Option<String> {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).map(|name| name.replace("\\'", "'").replace("\\\"", "\""))
}

fn filter(condition: &str) -> Option<Step> {
    const SIGNS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::Different),
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let split = SIGNS.iter().find_map(|(sign, comparison)| Some((condition.split_once(sign)?, *comparison)));
    let path = |text: &str| parse_steps(text.trim().strip_prefix('@')?);
    match split {
        None => Some(Step::Filter(path(condition)?, None)),
        Some(((left, right), comparison)) => {
            Some(Step::Filter(path(left)?, Some((comparison, literal(right.trim())?))))
        }
    }
}

fn literal(text: &str) -> Option<Value> {
    quoted(text).map(Value::from).or_else(|| serde_json::from_str(text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Value) {
        let object = json!({
            "metadata": { "annotations": { "example.com/a": "note" } },
            "spec": { "ports": [{ "n": 1 }, { "n": 2 }] },
            "status": { "conditions": [{ "type": "Other", "status": "False" }, { "type": "Ready", "status": "True" }] },
        });
        let path = JsonPath::parse(path).expect("a path");
        assert_eq!(json!(path.find(&object)), expect, "{path:?}");
    }

    #[test]
    fn fields_indexes_and_wildcards_are_followed() {
        check(".spec.ports[0].n", json!([1]));
        check(".spec.ports[-1].n", json!([2]));
        check(".spec.ports[*].n", json!([1, 2]));
        check(".spec.ports[0:1].n", json!([1]));
        check("..n", json!([1, 2]));
        check(".missing.deep", json!([]));
    }

    #[test]
    fn filters_pick_items() {
        check(r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"]));
        check(".status.conditions[?(@.type=='Ready')].status", json!(["True"]));
        check(".status.conditions[?(@.type != 'Ready')].type", json!(["Other"]));
        check(".spec.ports[?(@.n>1)].n", json!([2]));
    }

    #[test]
    fn names_with_dots_are_escaped_or_quoted() {
        check(r".metadata.annotations.example\.com/a", json!(["note"]));
        check(".metadata.annotations['example.com/a']", json!(["note"]));
    }

    #[test]
    fn broken_paths_are_none() {
        for path in [".a[", ".a[?(b)]", ".a..", ".a{", &".a".repeat(5000)] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }
}
