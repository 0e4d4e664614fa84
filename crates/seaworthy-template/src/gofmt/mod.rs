//! Text the way Go's `fmt` and `strconv` print it: `%v`, quoting, floats, `Sprintf`.

mod number;
mod printf;
mod quote;

pub use number::{float_g, float_json, float_with};
pub use printf::{sprint, sprintf};
pub use quote::{quote, unquote};

use crate::value::{MAX_VALUE_DEPTH, Value};

/// Go's `%v`.
pub fn print(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    print_into(value, &mut out);
    out
}

/// Appends Go's `%v` of a value.
pub fn print_into(value: &Value, out: &mut Vec<u8>) {
    print_below(value, out, 0);
}

fn print_below(value: &Value, out: &mut Vec<u8>, depth: usize) {
    if depth > MAX_VALUE_DEPTH {
        return out.extend_from_slice(b"...");
    }
    match value {
        Value::Absent | Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(n) | Value::Int64(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Float(f) => out.extend_from_slice(float_g(*f).as_bytes()),
        Value::Str(s) => out.extend_from_slice(s),
        Value::Bytes(bytes) => {
            print_items(bytes.iter().map(|b| Value::Int(i64::from(*b))), out, depth);
        }
        Value::List(list) => print_items(list.items.iter().cloned(), out, depth),
        Value::Map(map) => {
            out.extend_from_slice(b"map[");
            for (i, (key, value)) in map.snapshot().iter().enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(key.as_bytes());
                out.push(b':');
                print_below(value, out, depth + 1);
            }
            out.push(b']');
        }
        Value::Time(time) => out.extend_from_slice(crate::funcs::dates::display(time).as_bytes()),
        Value::Duration(nanos) => out.extend_from_slice(go_duration::display(*nanos).as_bytes()),
        Value::Object(object) => match object.formatted() {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => print_below(&object.plain(), out, depth + 1),
        },
    }
}

fn print_items(items: impl Iterator<Item = Value>, out: &mut Vec<u8>, depth: usize) {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        print_below(&item, out, depth + 1);
    }
    out.push(b']');
}
