//! Go's own template functions: comparison, `index`, `len`, `slice`, `print*`, escaping.

use super::{Cx, Function, Returned, f, int, string, text, v, yes};
use crate::error::Failure;
use crate::gofmt;
use crate::value::Param::{Any, Raw, Str};
use crate::value::{List, Made, Value};

pub const TABLE: &[Function] = &[
    // The evaluator short-circuits these two; only their arity is used.
    v("and", &[Raw], Raw, |_, args| Ok(args.last().cloned().unwrap_or_default())),
    v("or", &[Raw], Raw, |_, args| Ok(args.last().cloned().unwrap_or_default())),
    f("not", &[Raw], |_, args| yes(!args[0].truth())),
    v("eq", &[Raw], Raw, |_, args| equals(args).map(Value::Bool)),
    f("ne", &[Raw, Raw], |_, args| equals(args).map(|equal| Value::Bool(!equal))),
    f("lt", &[Raw, Raw], |_, args| less(args).map(Value::Bool)),
    f("le", &[Raw, Raw], |_, args| less_or_equal(args).map(Value::Bool)),
    f("gt", &[Raw, Raw], |_, args| less_or_equal(args).map(|le| Value::Bool(!le))),
    f("ge", &[Raw, Raw], |_, args| less(args).map(|lt| Value::Bool(!lt))),
    v("index", &[Raw], Raw, index),
    v("slice", &[Raw], Raw, slice),
    f("len", &[Raw], len),
    // The evaluator refuses it, since it knows the expression; this is for `f | call`.
    v("call", &[Raw], Raw, |_, args| Err(format!("non-function of type {}", args[0].type_name()).into())),
    v("print", &[], Any, |_, args| string(gofmt::sprint(args))),
    v("printf", &[Str], Any, |_, args| {
        string(gofmt::sprintf(args[0].as_bytes().unwrap_or_default(), &args[1..]))
    }),
    v("println", &[], Any, |_, args| {
        let parts: Vec<_> = args.iter().map(gofmt::print).collect();
        let mut out = parts.join(&b' ');
        out.push(b'\n');
        string(out)
    }),
    v("html", &[], Any, |_, args| string(html(&text(&Value::str(gofmt::sprint(args)))))),
    v("js", &[], Any, |_, args| string(js(&text(&Value::str(gofmt::sprint(args)))))),
    v("urlquery", &[], Any, |_, args| string(super::urls::query_escape(&gofmt::sprint(args)))),
];

#[derive(PartialEq)]
enum Basic {
    Other,
    Bool,
    Int,
    Float,
    Str,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(_) | Value::Int64(_) | Value::Duration(_) => Basic::Int,
        Value::Float(_) => Basic::Float,
        Value::Str(_) => Basic::Str,
        _ => Basic::Other,
    }
}

fn equals(args: &[Value]) -> Result<bool, Failure> {
    let (first, others) = args.split_first().ok_or("missing argument for comparison")?;
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    if basic(a) != basic(b) {
        return if a.is_nil() || b.is_nil() { Ok(false) } else { Err(incompatible(a, b)) };
    }
    match (a, b) {
        (Value::Bool(x), Value::Bool(y)) => Ok(x == y),
        (Value::Float(x), Value::Float(y)) => Ok(x == y),
        (Value::Str(x), Value::Str(y)) => Ok(x == y),
        _ if basic(a) == Basic::Int => Ok(int(a) == int(b)),
        _ if a.is_nil() || b.is_nil() => Ok(a.is_nil() == b.is_nil()),
        _ if a.kind() != b.kind() => {
            Err(format!("non-comparable types {a:?}: {}, {}: {b:?}", a.type_name(), b.type_name()).into())
        }
        (Value::Time(x), Value::Time(y)) => Ok(x == y),
        _ => {
            let shown = gofmt::sprintf(b"%s", std::slice::from_ref(b));
            Err(format!("non-comparable type {}: {}", String::from_utf8_lossy(&shown), b.type_name()).into())
        }
    }
}

fn incompatible(a: &Value, b: &Value) -> Failure {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()).into()
}

fn less(args: &[Value]) -> Result<bool, Failure> {
    let (a, b) = (&args[0], &args[1]);
    if basic(a) == Basic::Other || basic(b) == Basic::Other {
        return Err("invalid type for comparison".into());
    }
    if basic(a) != basic(b) {
        return Err(incompatible(a, b));
    }
    match (a, b) {
        (Value::Float(x), Value::Float(y)) => Ok(x < y),
        (Value::Str(x), Value::Str(y)) => Ok(x < y),
        _ if basic(a) == Basic::Int => Ok(int(a) < int(b)),
        _ => Err("invalid type for comparison".into()),
    }
}

fn less_or_equal(args: &[Value]) -> Result<bool, Failure> {
    Ok(less(args)? || equal(&args[0], &args[1])?)
}

fn position(index: &Value, len: usize) -> Result<usize, Failure> {
    let n = match index {
        Value::Int(n) | Value::Int64(n) => *n,
        value if value.is_nil() => return Err("cannot index slice/array with nil".into()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    };
    usize::try_from(n).ok().filter(|n| *n <= len).ok_or_else(|| format!("index out of range: {n}").into())
}

fn index(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let mut item = args[0].plain();
    if item.is_nil() {
        return Err("index of untyped nil".into());
    }
    for index in &args[1..] {
        item = match item.plain() {
            Value::Absent | Value::Nil => return Err("index of nil pointer".into()),
            Value::List(list) => at(&list.items, position(index, list.items.len())?)?,
            Value::Str(bytes) | Value::Bytes(bytes) => {
                let position = position(index, bytes.len())?;
                let byte = bytes.get(position).ok_or("reflect: string index out of range")?;
                Value::Int(i64::from(*byte))
            }
            Value::Map(map) => match index {
                Value::Str(key) => map.get_or_zero(&String::from_utf8_lossy(key)),
                value if value.is_nil() => return Err("value is nil; should be of type string".into()),
                other => {
                    return Err(format!("value has type {}; should be string", other.type_name()).into());
                }
            },
            other => return Err(format!("can't index item of type {}", other.type_name()).into()),
        };
    }
    Ok(item)
}

fn at(items: &[Value], position: usize) -> Returned {
    items.get(position).cloned().ok_or_else(|| "reflect: slice index out of range".into())
}

fn slice(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let (item, indexes) = (args[0].plain(), &args[1..]);
    if item.is_nil() {
        return Err("slice of untyped nil".into());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let len = match &item {
        Value::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Str(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let start = indexes.first().map_or(Ok(0), |i| position(i, len))?;
    let end = indexes.get(1).map_or(Ok(len), |i| position(i, len))?;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}").into());
    }
    Ok(match item {
        Value::Str(bytes) => Value::str(&bytes[start..end]),
        Value::Bytes(bytes) => Value::Bytes(bytes[start..end].into()),
        Value::List(list) => Value::List(std::rc::Rc::new(List {
            elem: list.elem,
            made: Made::Yes,
            items: list.items[start..end].to_vec(),
        })),
        other => other,
    })
}

fn len(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let len = match args[0].plain() {
        Value::Str(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.len(),
        Value::Absent => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        Value::Nil => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.type_name()).into()),
    };
    Ok(Value::Int(len as i64))
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}
