//! The two shapes of one metric: where each field of the older form lives in the newer one.

use serde_json::{Map, Value, json};

use crate::read::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Newer,
    Older,
}

/// Fields of the older form and JSON pointers into the newer one.
type Moves = &'static [(&'static str, &'static str)];

const METRIC: [(&str, &str); 2] = [("metricName", "/metric/name"), ("selector", "/metric/selector")];

const SPECS: &[(&str, Moves)] = &[
    (
        "object",
        &[
            METRIC[0],
            METRIC[1],
            ("target", "/describedObject"),
            ("targetValue", "/target/value"),
            ("averageValue", "/target/averageValue"),
        ],
    ),
    ("pods", &[METRIC[0], METRIC[1], ("targetAverageValue", "/target/averageValue")]),
    (
        "resource",
        &[
            ("name", "/name"),
            ("targetAverageUtilization", "/target/averageUtilization"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "/name"),
            ("container", "/container"),
            ("targetAverageUtilization", "/target/averageUtilization"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
    (
        "external",
        &[
            METRIC[0],
            ("metricSelector", "/metric/selector"),
            ("targetValue", "/target/value"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
];

const STATUSES: &[(&str, Moves)] = &[
    (
        "object",
        &[
            METRIC[0],
            METRIC[1],
            ("target", "/describedObject"),
            ("currentValue", "/current/value"),
            ("averageValue", "/current/averageValue"),
        ],
    ),
    ("pods", &[METRIC[0], METRIC[1], ("currentAverageValue", "/current/averageValue")]),
    (
        "resource",
        &[
            ("name", "/name"),
            ("currentAverageUtilization", "/current/averageUtilization"),
            ("currentAverageValue", "/current/averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "/name"),
            ("container", "/container"),
            ("currentAverageUtilization", "/current/averageUtilization"),
            ("currentAverageValue", "/current/averageValue"),
        ],
    ),
    (
        "external",
        &[
            METRIC[0],
            ("metricSelector", "/metric/selector"),
            ("currentValue", "/current/value"),
            ("currentAverageValue", "/current/averageValue"),
        ],
    ),
];

/// A metric of `spec.metrics`.
pub(super) fn spec(metric: &Value, direction: Direction) -> Value {
    let mut metric = moved(metric, SPECS, direction);
    if direction == Direction::Newer {
        for (source, _) in SPECS {
            if let Some(target) = metric.get_mut(*source).and_then(|source| source.get_mut("target")) {
                let known = target_type(source, target);
                target["type"] = known.into();
            }
        }
    }
    metric
}

/// A metric of `status.currentMetrics`.
pub(super) fn status(metric: &Value, direction: Direction) -> Value {
    moved(metric, STATUSES, direction)
}

fn target_type(source: &str, target: &Value) -> &'static str {
    let has = |field: &str| target.get(field).is_some();
    match source {
        _ if has("averageUtilization") => "Utilization",
        "object" if !has("averageValue") => "Value",
        "external" if has("value") => "Value",
        _ => "AverageValue",
    }
}

fn moved(metric: &Value, table: &[(&str, Moves)], direction: Direction) -> Value {
    let mut out = json!({ "type": text(metric, "/type") });
    for (source, moves) in table {
        let Some(from) = metric.get(*source) else { continue };
        let mut to = json!({});
        for (older, newer) in *moves {
            let older = format!("/{older}");
            let (read, write) = match direction {
                Direction::Newer => (older.as_str(), *newer),
                Direction::Older => (*newer, older.as_str()),
            };
            if let Some(value) = from.pointer(read) {
                set(&mut to, write, value.clone());
            }
        }
        out[*source] = to;
    }
    out
}

/// Sets the value at a JSON pointer of plain field names, making objects on the way.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for field in pointer.split('/').skip(1) {
        place = &mut place[field];
    }
    *place = value;
}

/// The scaling rules with field names in upper case, as the older form's annotation carries them, or back.
pub(super) fn recased(value: &Value, direction: Direction) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                fields
                    .map(|(key, value)| (first_letter(key, direction), recased(value, direction)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.iter().map(|item| recased(item, direction)).collect(),
        other => other.clone(),
    }
}

fn first_letter(key: &str, direction: Direction) -> String {
    let mut letters = key.chars();
    let first = letters.next().map(|first| match direction {
        Direction::Newer => first.to_ascii_lowercase(),
        Direction::Older => first.to_ascii_uppercase(),
    });
    first.into_iter().chain(letters).collect()
}
