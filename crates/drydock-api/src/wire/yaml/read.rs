//! YAML to values, with the words and numbers of version 1.1 as Kubernetes takes them.
//!
//! Bounded in depth; aliases are bounded by the loader. A key that is no text becomes the text of its value.

use saphyr::{ScalarStyle, Yaml, YamlLoader};
use saphyr_parser::{Parser, Tag};
use serde_json::{Map, Number, Value};

/// Deepest nesting; JSON is bounded to the same by its parser.
const MAX_DEPTH: usize = 128;

const TRUE: &[&str] = &["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: &[&str] = &["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];
const NULL: &[&str] = &["", "~", "null", "Null", "NULL"];

/// The one document of a text; the error says why there is none.
pub fn read(text: &str) -> Result<Value, String> {
    let mut loader = YamlLoader::<Yaml<'_>>::default();
    loader.early_parse(false);
    Parser::new_from_str(text).load(&mut loader, true).map_err(|error| error.to_string())?;
    if let Some(error) = loader.error() {
        return Err(error.to_string());
    }
    match loader.into_documents().as_slice() {
        [document] => value(document, MAX_DEPTH).map_err(str::to_owned),
        _ => Err("expected one document".to_owned()),
    }
}

fn value(yaml: &Yaml<'_>, depth: usize) -> Result<Value, &'static str> {
    let depth = depth.checked_sub(1).ok_or("nested too deeply")?;
    Ok(match yaml {
        Yaml::Sequence(items) => {
            Value::Array(items.iter().map(|item| value(item, depth)).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(pairs) => {
            let pair = |(name, item)| Ok::<_, &str>((key(name)?, value(item, depth)?));
            Value::Object(pairs.iter().map(pair).collect::<Result<Map<_, _>, _>>()?)
        }
        Yaml::Tagged(_, inner) => value(inner, depth)?,
        Yaml::Representation(text, style, tag) => scalar(text, *style, tag.as_deref())?,
        Yaml::Value(_) | Yaml::Alias(_) | Yaml::BadValue => {
            return Err("a value that has no meaning in JSON");
        }
    })
}

fn key(name: &Yaml<'_>) -> Result<String, &'static str> {
    match value(name, 1)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err("a key that is no text"),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, &'static str> {
    let is_text = tag.is_some_and(|tag| tag.suffix == "str");
    if style != ScalarStyle::Plain || is_text {
        return Ok(Value::from(text));
    }
    if NULL.contains(&text) {
        return Ok(Value::Null);
    }
    if TRUE.contains(&text) || FALSE.contains(&text) {
        return Ok(Value::Bool(TRUE.contains(&text)));
    }
    if matches!(text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str(), ".inf" | ".nan") {
        return Err("a number that JSON cannot hold");
    }
    Ok(number(text).map_or_else(|| Value::from(text), Value::Number))
}

/// A number in any of the ways in which Go and YAML write them; `None` for text.
fn number(text: &str) -> Option<Number> {
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || text.starts_with('_') {
        return None;
    }
    let sign = if plain.starts_with('-') { "-" } else { "" };
    let lower = digits.to_ascii_lowercase();
    let (radix, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] if lower.bytes().all(|byte| byte.is_ascii_digit()) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{rest}"), radix) {
        return Some(value.into());
    }
    if let (Ok(value), "") = (u64::from_str_radix(rest, radix), sign) {
        return Some(value.into());
    }
    // Only what is written with digits, a point and an exponent; `1h` and `1.2.3` are text.
    let is_decimal = lower.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    let parsed = is_decimal.then(|| format!("{sign}{lower}").parse::<f64>().ok()).flatten();
    Number::from_f64(parsed.filter(|value| value.is_finite())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Value) {
        assert_eq!(read(&format!("v: {text}")).unwrap()["v"], expect, "{text}");
    }

    #[test]
    fn words_of_version_1_1_are_booleans() {
        for text in ["y", "Yes", "on", "true"] {
            check(text, json!(true));
        }
        for text in ["n", "NO", "off", "False"] {
            check(text, json!(false));
        }
        for text in ["'y'", "\"on\"", "!!str no"] {
            assert!(read(&format!("v: {text}")).unwrap()["v"].is_string(), "{text}");
        }
        assert_eq!(read("n: 1").unwrap(), json!({ "false": 1 }));
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        check("0x1F", json!(31));
        check("0b11", json!(3));
        check("0o17", json!(15));
        check("0644", json!(420));
        check("1_000", json!(1000));
        check("-5", json!(-5));
        check("18446744073709551615", json!(18_446_744_073_709_551_615u64));
        check("1e3", json!(1000.0));
        check(".5", json!(0.5));
        check("08", json!(8.0));
    }

    #[test]
    fn what_looks_like_a_number_and_is_none_stays_text() {
        for text in ["1h", "1.2.3", "100m", "1-2", "0x", "_1", "2020-01-01T00:00:00Z", "1Gi", "a_1", "e3"] {
            check(text, json!(text));
        }
    }

    #[test]
    fn nothing_is_null_and_infinity_is_refused() {
        check("", Value::Null);
        check("~", Value::Null);
        assert!(read("v: .inf").is_err());
    }

    #[test]
    fn several_documents_duplicate_keys_and_depth_are_refused() {
        assert!(read("a: 1\n---\nb: 2").is_err());
        assert!(read("a: 1\na: 2").is_err());
        assert!(read(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).is_err());
    }
}
