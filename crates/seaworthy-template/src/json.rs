//! JSON as Go's `encoding/json` writes and reads it.
//!
//! Writing follows Go byte for byte (escaped `<`, `>` and `&`, float format, sorted keys).

use base64::Engine as _;

use crate::gofmt;
use crate::value::{MAX_VALUE_DEPTH, Made, Value};

/// The most text one value may become.
const MAX_BYTES: usize = 64 << 20;

/// How to write.
#[derive(Clone, Copy)]
pub struct Style {
    pub escape_html: bool,
    pub indent: Option<&'static str>,
}

impl Style {
    pub const PLAIN: Style = Style { escape_html: true, indent: None };
    pub const RAW: Style = Style { escape_html: false, indent: None };
    pub const PRETTY: Style = Style { escape_html: true, indent: Some("  ") };
}

/// `json.Marshal` and its variants; the error is Go's sentence.
pub fn write(value: &Value, style: Style) -> Result<String, String> {
    let mut out = String::new();
    Writer { style, out: &mut out }.value(value, 0)?;
    Ok(out)
}

pub use crate::json_read::{Fault, read, read_partly};

/// The value as a JSON document; `None` when it nests too deeply or holds NaN.
pub fn to_json(value: &Value) -> Result<serde_json::Value, String> {
    serde_json::from_str(&write(value, Style::RAW)?).map_err(|error| error.to_string())
}

struct Writer<'a> {
    style: Style,
    out: &'a mut String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_VALUE_DEPTH || self.out.len() > MAX_BYTES {
            return Err("json: unsupported value: encountered a cycle or too much data".into());
        }
        match value {
            Value::Absent | Value::Nil => self.out.push_str("null"),
            Value::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) | Value::Int64(n) | Value::Duration(n) => self.out.push_str(&n.to_string()),
            Value::Float(f) => {
                let text = gofmt::float_json(*f)
                    .ok_or_else(|| format!("json: unsupported value: {}", gofmt::float_g(*f)))?;
                self.out.push_str(&text);
            }
            Value::Str(text) => string(text, self.style.escape_html, self.out),
            Value::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                string(text.as_bytes(), self.style.escape_html, self.out);
            }
            Value::List(list) if list.made == Made::Nil => self.out.push_str("null"),
            Value::List(list) => self.items(&list.items, depth)?,
            Value::Map(map) => self.entries(&map.snapshot(), depth)?,
            Value::Time(time) => string(crate::funcs::dates::json(time).as_bytes(), false, self.out),
            Value::Object(object) => match object.ordered() {
                Some(fields) => self.entries(&fields, depth)?,
                None => self.value(&object.plain(), depth + 1)?,
            },
        }
        Ok(())
    }

    fn items(&mut self, items: &[Value], depth: usize) -> Result<(), String> {
        self.out.push('[');
        for (i, item) in items.iter().enumerate() {
            self.separate(i, depth + 1);
            self.value(item, depth + 1)?;
        }
        self.close(items.is_empty(), depth, ']');
        Ok(())
    }

    fn entries(&mut self, entries: &[(std::rc::Rc<str>, Value)], depth: usize) -> Result<(), String> {
        self.out.push('{');
        for (i, (key, value)) in entries.iter().enumerate() {
            self.separate(i, depth + 1);
            string(key.as_bytes(), self.style.escape_html, self.out);
            self.out.push_str(if self.style.indent.is_some() { ": " } else { ":" });
            self.value(value, depth + 1)?;
        }
        self.close(entries.is_empty(), depth, '}');
        Ok(())
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out.push_str(indent));
        }
    }
}

fn string(bytes: &[u8], escape_html: bool, out: &mut String) {
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '<' | '>' | '&' if escape_html => out.push_str(&format!("\\u{:04x}", c as u32)),
                '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        if !chunk.invalid().is_empty() {
            chunk.invalid().iter().for_each(|_| out.push_str("\\ufffd"));
        }
    }
    out.push('"');
}
