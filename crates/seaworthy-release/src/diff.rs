//! What changes between two forms of an object, line by line, for people. Pure. Values of Secrets are never in it.

use seaworthy_template::yaml;
use serde_json::{Map, Value};

/// Lines around a change.
const CONTEXT: usize = 3;
/// Beyond this many pairs of lines a change is shown as all old lines, then all new ones.
const MAX_PAIRS: usize = 4_000_000;
/// What the API keeps about an object and nobody wrote.
const KEPT_BY_THE_API: [&str; 6] =
    ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Same(String),
    Old(String),
    New(String),
    /// Lines that are equal on both sides and left out.
    Gap,
}

/// The lines that differ and some around them; empty when nothing does. `None` is an object that does not exist.
pub(crate) fn differences(old: Option<&Value>, new: Option<&Value>) -> Vec<Line> {
    let (mut old, mut new) = (old.map(plain), new.map(plain));
    mask(old.as_mut(), new.as_mut());
    let text = |value: &Option<Value>| match value {
        Some(value) => yaml::write_json(value).unwrap_or_default().lines().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    with_context(lines(&text(&old), &text(&new)))
}

/// The object without what the API adds by itself.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !KEPT_BY_THE_API.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| {
                key != "deployment.kubernetes.io/revision"
                    && key != "kubectl.kubernetes.io/last-applied-configuration"
            });
        }
    }
    object
}

/// Replaces what Secrets hold. That a value changes can still be seen.
fn mask(old: Option<&mut Value>, new: Option<&mut Value>) {
    let is_secret =
        |object: &Option<&mut Value>| object.as_ref().is_some_and(|object| object["kind"] == "Secret");
    if !is_secret(&old) && !is_secret(&new) {
        return;
    }
    let (mut old, mut new) = (old, new);
    for field in ["data", "stringData"] {
        let take = |object: &Option<&mut Value>| -> Map<String, Value> {
            object.as_ref().and_then(|object| object[field].as_object().cloned()).unwrap_or_default()
        };
        let (before, after) = (take(&old), take(&new));
        let hide = |object: &mut Option<&mut Value>, other: &Map<String, Value>, word: &str| {
            let Some(values) = object.as_mut().and_then(|object| object.get_mut(field)?.as_object_mut())
            else {
                return;
            };
            for (key, value) in values {
                let is_changed = other.get(key).is_some_and(|other| other != value);
                *value = if is_changed { format!("(hidden, {word})").into() } else { "(hidden)".into() };
            }
        };
        if !before.is_empty() {
            hide(&mut old, &after, "old");
        }
        if !after.is_empty() {
            hide(&mut new, &before, "new");
        }
    }
}

fn lines(old: &[String], new: &[String]) -> Vec<Line> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle = changed(&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let same = |lines: &[String]| lines.iter().cloned().map(Line::Same).collect::<Vec<_>>();
    [same(&old[..head]), middle, same(&old_rest[old_rest.len() - tail..])].concat()
}

/// The longest common subsequence, by a table of its lengths.
fn changed(old: &[String], new: &[String]) -> Vec<Line> {
    let (rows, columns) = (old.len(), new.len());
    if rows.saturating_mul(columns) > MAX_PAIRS {
        let old = old.iter().cloned().map(Line::Old);
        return old.chain(new.iter().cloned().map(Line::New)).collect();
    }
    let width = columns + 1;
    let mut common = vec![0_u32; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            common[row * width + column] = if old[row] == new[column] {
                common[(row + 1) * width + column + 1] + 1
            } else {
                common[(row + 1) * width + column].max(common[row * width + column + 1])
            };
        }
    }
    let (mut row, mut column, mut told) = (0, 0, Vec::new());
    while row < rows || column < columns {
        if row < rows && column < columns && old[row] == new[column] {
            told.push(Line::Same(old[row].clone()));
            (row, column) = (row + 1, column + 1);
        } else if row < rows
            && (column == columns || common[(row + 1) * width + column] >= common[row * width + column + 1])
        {
            told.push(Line::Old(old[row].clone()));
            row += 1;
        } else {
            told.push(Line::New(new[column].clone()));
            column += 1;
        }
    }
    told
}

/// Leaves out what is far from any change.
fn with_context(lines: Vec<Line>) -> Vec<Line> {
    let is_change = |line: &Line| matches!(line, Line::Old(_) | Line::New(_));
    let changes: Vec<usize> = (0..lines.len()).filter(|&at| is_change(&lines[at])).collect();
    let mut shown = Vec::new();
    let mut last = None;
    for (at, line) in lines.into_iter().enumerate() {
        let next = changes.partition_point(|&change| change + CONTEXT < at);
        if changes.get(next).is_none_or(|&change| change > at + CONTEXT) {
            continue;
        }
        if last.is_some_and(|last| last + 1 < at) || (last.is_none() && at > 0) {
            shown.push(Line::Gap);
        }
        last = Some(at);
        shown.push(line);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(old: Value, new: Value, expect: &[&str]) {
        let lines = differences(Some(&old), Some(&new));
        let told: Vec<String> = lines
            .iter()
            .map(|line| match line {
                Line::Same(text) => format!(" {text}"),
                Line::Old(text) => format!("-{text}"),
                Line::New(text) => format!("+{text}"),
                Line::Gap => "...".into(),
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn a_change_is_shown_with_some_lines_around_it() {
        check(
            json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1 }),
            json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 2, "f": 1 }),
            &["...", " b: 1", " c: 1", " d: 1", "-e: 1", "+e: 2", " f: 1"],
        );
    }

    #[test]
    fn equal_objects_have_no_difference() {
        check(json!({ "metadata": { "uid": "1" }, "status": 1 }), json!({ "metadata": { "uid": "2" } }), &[]);
    }

    #[test]
    fn secrets_are_hidden_but_their_changes_are_seen() {
        check(
            json!({ "kind": "Secret", "data": { "same": "eA==", "token": "b2xk" } }),
            json!({ "kind": "Secret", "data": { "same": "eA==", "token": "bmV3" } }),
            &[
                " data:",
                "   same: (hidden)",
                "-  token: (hidden, old)",
                "+  token: (hidden, new)",
                " kind: Secret",
            ],
        );
    }

    #[test]
    fn a_new_object_is_all_new() {
        let lines = differences(None, Some(&json!({ "a": 1 })));
        assert_eq!(lines, [Line::New("a: 1".into())]);
    }
}
