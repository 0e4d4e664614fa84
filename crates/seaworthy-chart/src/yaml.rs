//! Writes YAML that people like to read: plain where that is safe, quoted where it is not.

use serde_json::Value;

/// `text` as one scalar.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// `text` in double quotes, as JSON writes it, which YAML reads the same way.
pub fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// `text` as a quoted scalar inside a template, where `{{` would begin an action.
pub fn in_template(text: &str) -> String {
    scalar(text).replace("{{", "{{ \"{{\" }}")
}

fn is_plain(text: &str) -> bool {
    if is_quantity(text) {
        return true;
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '+');
    let first = |c: char| c.is_ascii_alphabetic() || c == '/';
    text.starts_with(first)
        && text.chars().all(safe)
        && !text.ends_with(':')
        && !text.contains(": ")
        && !is_other_type(text)
}

/// `500m`, `512Mi`: begins with a digit and is still nothing but text to every reader.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    matches!(unit, "m" | "Ki" | "Mi" | "Gi" | "Ti")
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
}

/// Keys that people look for first; the rest follows by name, and timing comes last.
const FIRST: &[&str] =
    &["name", "enabled", "minReplicas", "maxReplicas", "httpGet", "tcpSocket", "exec", "requests", "size"];
const LAST: &[&str] = &["periodSeconds", "timeoutSeconds", "failureThreshold"];

fn rank(key: &str) -> usize {
    let first = FIRST.iter().position(|known| *known == key);
    let last = LAST.iter().position(|known| *known == key).map(|at| FIRST.len() + 1 + at);
    first.or(last).unwrap_or(FIRST.len())
}

/// Words that YAML 1.1 readers take for something else than text.
fn is_other_type(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(lower.as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan")
}

/// `value` as a block, each line indented by `indent` spaces; begins with a line feed when it is not on one line.
pub fn after_key(value: &Value, indent: usize) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => format!("\n{}", block(value, indent)),
        Value::Array(items) if !items.is_empty() => format!("\n{}", block(value, indent)),
        _ => format!(" {}", inline(value)),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Lines without a final line feed.
fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            let line = |(key, value): (&String, &Value)| {
                format!("{pad}{}:{}", scalar(key), after_key(value, indent + 2))
            };
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| (rank(key), *key));
            entries.into_iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Value::Array(items) => {
            let line = |item: &Value| match item {
                Value::Object(map) if !map.is_empty() => {
                    let inner = block(item, indent + 2);
                    format!("{pad}- {}", inner.trim_start())
                }
                _ => format!("{pad}- {}", inline(item)),
            };
            items.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        other => format!("{pad}{}", inline(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_harmless_text_stays_plain() {
        for (text, expect) in [
            ("redis", "redis"),
            ("http://backend:8000", "http://backend:8000"),
            ("7-alpine", "\"7-alpine\""),
            ("yes", "\"yes\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("8000", "\"8000\""),
            ("1e3", "\"1e3\""),
            ("500m", "500m"),
            ("512Mi", "512Mi"),
            ("m", "m"),
            ("#x", "\"#x\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(scalar(text), expect);
        }
    }

    #[test]
    fn template_actions_in_text_are_written_as_text() {
        assert_eq!(in_template("/a{{b}}"), "\"/a{{ \"{{\" }}b}}\"");
    }

    #[test]
    fn nested_values_become_blocks() {
        let value =
            json!({"exec": {"command": ["sh", "-c", "x y"]}, "list": [{"a": 1, "b": {}}], "none": []});
        let expect = "\n  exec:\n    command:\n      - sh\n      - \"-c\"\n      - \"x y\"\n  list:\n    - a: 1\n      b: {}\n  none: []";
        assert_eq!(after_key(&value, 2), expect);
    }
}
