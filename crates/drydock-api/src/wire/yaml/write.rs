//! Values as YAML, for clients that ask for it.
//!
//! Plain text only where every reader of YAML agrees that it is text; everything else is quoted as in JSON.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that some reader takes for something else than text.
const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];

pub fn write(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// A value at the start of a line of its own, or behind a dash.
fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    pad(out, indent);
                }
                text(out, key);
                out.push(':');
                below(out, value, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    pad(out, indent);
                }
                out.push_str("- ");
                block(out, item, indent + 2);
            }
        }
        scalar => {
            inline(out, scalar);
            out.push('\n');
        }
    }
}

/// The value of a key.
fn below(out: &mut String, value: &Value, indent: usize) {
    let inner = match value {
        Value::Object(fields) if !fields.is_empty() => indent + 2,
        // Lists stand below their key without indentation, as kubectl writes them.
        Value::Array(items) if !items.is_empty() => indent,
        scalar => {
            out.push(' ');
            inline(out, scalar);
            out.push('\n');
            return;
        }
    };
    out.push('\n');
    pad(out, inner);
    block(out, value, inner);
}

fn inline(out: &mut String, value: &Value) {
    match value {
        Value::String(content) => text(out, content),
        other => out.push_str(&other.to_string()),
    }
}

fn text(out: &mut String, content: &str) {
    if is_plain(content) {
        out.push_str(content);
    } else {
        // What JSON escapes, YAML's double quotes escape alike.
        let _ = write!(out, "{}", Value::from(content));
    }
}

fn is_plain(content: &str) -> bool {
    let starts_as_text = content.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_simple = content.chars().all(|c| c.is_ascii_alphanumeric() || "._-/@():".contains(c));
    // A colon within a word is part of it; at its end it would make a key of it.
    let is_text = starts_as_text && is_simple && !content.ends_with(':');
    is_text && !WORDS.contains(&content.to_ascii_lowercase().as_str()) || is_uid(content) || content == "."
}

/// Digits and letters in five groups, which no reader takes for a number.
fn is_uid(content: &str) -> bool {
    let groups: Vec<&str> = content.split('-').collect();
    content.len() == 36
        && groups.len() == 5
        && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::body::decode_yaml;

    #[test]
    fn objects_read_as_people_write_them() {
        let object = json!({
            "kind": "Pod", "spec": { "containers": [{ "name": "a", "args": ["-x", "1"], "env": [] }], "size": 1 },
            "status": {},
        });
        let expect = "kind: Pod\nspec:\n  containers:\n  - args:\n    - \"-x\"\n    - \"1\"\n    env: []\n    name: a\n  size: 1\nstatus: {}\n";
        assert_eq!(write(&object), expect);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let object = json!({
            "a": ["yes", "null", "1e3", "0x1", "~", "", " x", "x ", "a: b", "#", "line\nline", "ü", "\u{7}", "=", "<<"],
            "b": [[1, [2.5, -3]], [{ "c": null }, []], { "true": false }], "<<": { "1": "on" },
            "t": "2020-01-01T00:00:00Z", "u": "\u{2028}\u{1F680}", "v": { "w": { "x": [] } },
        });
        assert_eq!(decode_yaml(write(&object).as_bytes()).unwrap().value, object);
    }
}
