//! TOML as BurntSushi's encoder writes it, for `toToml`.

use std::rc::Rc;

use crate::gofmt;
use crate::value::{MAX_VALUE_DEPTH, Value};

/// The document for a map; anything else is written like the value of a key.
pub fn write(value: &Value) -> Result<String, String> {
    let Value::Map(map) = value.plain() else { return inline(value, 0) };
    let mut out = String::new();
    table(&map.snapshot(), &mut Vec::new(), &mut out)?;
    Ok(out)
}

type Entries = [(Rc<str>, Value)];

fn table(entries: &Entries, path: &mut Vec<String>, out: &mut String) -> Result<(), String> {
    if path.len() > MAX_VALUE_DEPTH {
        return Err("toml: the value nests too deeply".into());
    }
    let indent = "  ".repeat(path.len());
    let (tables, plain): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, value)| is_table(value));
    for (name, value) in plain.into_iter().filter(|(_, value)| !value.is_nil()) {
        out.push_str(&format!("{indent}{} = {}\n", key(name), inline(value, 0)?));
    }
    for (name, value) in tables {
        path.push(key(name));
        let header = path.join(".");
        let indent = "  ".repeat(path.len() - 1);
        match value.plain() {
            Value::Map(map) => {
                // Only tables at the top stand apart.
                if path.len() == 1 && !out.is_empty() {
                    out.push('\n');
                }
                out.push_str(&format!("{indent}[{header}]\n"));
                table(&map.snapshot(), path, out)?;
            }
            Value::List(list) => {
                for item in &list.items {
                    if !out.is_empty() {
                        out.push('\n');
                    }
                    out.push_str(&format!("{indent}[[{header}]]\n"));
                    if let Value::Map(map) = item.plain() {
                        table(&map.snapshot(), path, out)?;
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
    Ok(())
}

fn is_table(value: &Value) -> bool {
    match value.plain() {
        Value::Map(_) => true,
        Value::List(list) => {
            !list.items.is_empty() && list.items.iter().all(|item| matches!(item.plain(), Value::Map(_)))
        }
        _ => false,
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quote(name) }
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn inline(value: &Value, depth: usize) -> Result<String, String> {
    if depth > MAX_VALUE_DEPTH {
        return Err("toml: the value nests too deeply".into());
    }
    Ok(match value.plain() {
        Value::Str(bytes) => quote(&String::from_utf8_lossy(&bytes)),
        Value::Float(f) => {
            let text = gofmt::float_g(f);
            if text.contains(['.', 'e', 'N', 'I']) { text.to_lowercase() } else { format!("{text}.0") }
        }
        Value::List(list) => {
            let items =
                list.items.iter().map(|item| inline(item, depth + 1)).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entries = map
                .snapshot()
                .iter()
                .map(|(name, value)| Ok(format!("{} = {}", key(name), inline(value, depth + 1)?)))
                .collect::<Result<Vec<_>, String>>()?;
            format!("{{{}}}", entries.join(", "))
        }
        Value::Time(time) => crate::funcs::dates::toml(&time),
        duration @ Value::Duration(_) => quote(&String::from_utf8_lossy(&gofmt::print(&duration))),
        Value::Absent | Value::Nil => return Err("toml: cannot encode array with nil element".into()),
        other => String::from_utf8_lossy(&gofmt::print(&other)).into_owned(),
    })
}
