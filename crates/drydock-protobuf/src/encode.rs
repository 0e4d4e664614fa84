//! JSON values to protobuf, byte for byte as a Go server writes them.
//!
//! Fields in the order of their numbers, maps in the order of their keys, plain zeros written and unset pointers not.
//! Fields that the published type does not have are left out, as a typed server would.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::PREFIX;
use crate::scalar::{parse_time, whole_micros};
use crate::table::{Field, Kind, Many, Message, table};
use crate::wire::{put_bytes, put_double, put_integer, put_nested};

/// Why an object has no protobuf form. The caller answers in JSON, or says that it cannot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{kind:?} in version {api_version:?} has no protobuf form")]
    UnknownKind { api_version: String, kind: String },
    #[error("`{field}` does not fit its published type")]
    Type { field: String },
}

/// An object in its envelope.
pub fn encode(object: &Value) -> Result<Vec<u8>, EncodeError> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let unknown = || EncodeError::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let message = table().kind(api_version, kind).ok_or_else(unknown)?;
    let fields = object.as_object().ok_or_else(unknown)?;
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(PREFIX);
    put_nested(&mut out, 1, |out| {
        put_bytes(out, 1, api_version.as_bytes());
        put_bytes(out, 2, kind.as_bytes());
        Ok::<_, EncodeError>(())
    })?;
    put_nested(&mut out, 2, |out| put_message(out, message, fields))?;
    // The encoding and type of the content, both unsaid.
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    Ok(out)
}

/// One event of a watch, without an envelope of its own; its object has one.
pub fn encode_event(kind: &str, object: &Value) -> Result<Vec<u8>, EncodeError> {
    let object = encode(object)?;
    let mut out = Vec::with_capacity(object.len() + 32);
    put_bytes(&mut out, 1, kind.as_bytes());
    put_nested(&mut out, 2, |out| {
        put_bytes(out, 1, &object);
        Ok::<_, EncodeError>(())
    })?;
    Ok(out)
}

fn put_message(out: &mut Vec<u8>, message: &Message, object: &Map<String, Value>) -> Result<(), EncodeError> {
    for field in &message.fields {
        put_field(out, field, object).map_err(|Mistyped| EncodeError::Type {
            field: format!("{}.{}", message.short_name(), field.json),
        })??;
    }
    Ok(())
}

/// A value of another type than its field; the caller knows the field's name.
struct Mistyped;

/// An error of this very field outside, one of a field below inside.
type Put = Result<Result<(), EncodeError>, Mistyped>;

fn put_field(out: &mut Vec<u8>, field: &Field, object: &Map<String, Value>) -> Put {
    if let (true, Kind::Message(inner)) = (field.inline, field.kind) {
        let message = table().message(inner);
        if field.pointer && !message.fields.iter().any(|field| object.contains_key(field.json)) {
            return Ok(Ok(()));
        }
        return Ok(put_nested(out, field.number, |out| put_message(out, message, object)));
    }
    let value = object.get(field.json).filter(|value| !value.is_null());
    match (field.many, value) {
        (Many::One, None) if field.pointer || matches!(field.kind, Kind::Bytes | Kind::Strings) => Ok(Ok(())),
        (Many::One, value) => put_value(out, field.number, field.kind, value),
        (_, None) => Ok(Ok(())),
        (Many::List, Some(Value::Array(items))) => put_all(out, field.number, field.kind, items),
        (Many::Map, Some(Value::Object(entries))) => put_map(out, field, entries),
        _ => Err(Mistyped),
    }
}

fn put_all(out: &mut Vec<u8>, number: u32, kind: Kind, items: &[Value]) -> Put {
    for item in items {
        match put_value(out, number, kind, Some(item).filter(|item| !item.is_null()))? {
            Ok(()) => {}
            error => return Ok(error),
        }
    }
    Ok(Ok(()))
}

fn put_map(out: &mut Vec<u8>, field: &Field, entries: &Map<String, Value>) -> Put {
    for (key, value) in entries {
        let mut below = Ok(());
        put_nested(out, field.number, |out| {
            put_bytes(out, 1, key.as_bytes());
            let value = Some(value).filter(|value| !value.is_null());
            if value.is_some() || !matches!(field.kind, Kind::Bytes | Kind::Strings) {
                below = put_value(out, 2, field.kind, value)?;
            }
            Ok::<_, Mistyped>(())
        })?;
        if below.is_err() {
            return Ok(below);
        }
    }
    Ok(Ok(()))
}

/// One value, or the zero of its kind.
fn put_value(out: &mut Vec<u8>, number: u32, kind: Kind, value: Option<&Value>) -> Put {
    match kind {
        Kind::String => put_bytes(out, number, text(value)?.as_bytes()),
        Kind::Bytes => put_bytes(out, number, &STANDARD.decode(text(value)?).map_err(|_| Mistyped)?),
        Kind::Bool => put_integer(out, number, i64::from(boolean(value)?)),
        Kind::Int32 => put_integer(out, number, i64::from(integer32(value)?)),
        Kind::Int64 => put_integer(out, number, integer(value)?),
        Kind::Double => {
            let value = value.map_or(Some(0.0), Value::as_f64).ok_or(Mistyped)?;
            put_double(out, number, value);
        }
        Kind::Time => put_time(out, number, value, |_| 0)?,
        Kind::MicroTime => put_time(out, number, value, whole_micros)?,
        Kind::Duration => {
            let nanos = match value {
                None => 0,
                value => go_duration::parse(text(value)?).ok_or(Mistyped)?,
            };
            put_nested(out, number, |out| {
                put_integer(out, 1, nanos);
                Ok::<_, Mistyped>(())
            })?;
        }
        Kind::Quantity => {
            let quantity = match value {
                None => "0".to_owned(),
                Some(Value::Number(number)) => number.to_string(),
                value => text(value)?.to_owned(),
            };
            put_nested(out, number, |out| {
                put_bytes(out, 1, quantity.as_bytes());
                Ok::<_, Mistyped>(())
            })?;
        }
        Kind::IntOrString => put_int_or_string(out, number, value)?,
        Kind::Raw => put_raw(out, number, value)?,
        Kind::Strings => put_nested(out, number, |out| put_strings(out, 1, value))?,
        Kind::Message(inner) => return put_object(out, number, inner, value),
        Kind::OrArray(inner) => return put_or_array(out, number, inner, value),
        Kind::OrBool(inner) => return put_or_bool(out, number, inner, value),
        Kind::OrStrings(inner) => return put_or_strings(out, number, inner, value),
    }
    Ok(Ok(()))
}

fn text(value: Option<&Value>) -> Result<&str, Mistyped> {
    value.map_or(Some(""), Value::as_str).ok_or(Mistyped)
}

fn boolean(value: Option<&Value>) -> Result<bool, Mistyped> {
    value.map_or(Some(false), Value::as_bool).ok_or(Mistyped)
}

fn integer(value: Option<&Value>) -> Result<i64, Mistyped> {
    value.map_or(Some(0), Value::as_i64).ok_or(Mistyped)
}

fn integer32(value: Option<&Value>) -> Result<i32, Mistyped> {
    i32::try_from(integer(value)?).map_err(|_| Mistyped)
}

/// An unset time is an empty message.
fn put_time(
    out: &mut Vec<u8>,
    number: u32,
    value: Option<&Value>,
    fraction: impl Fn(i32) -> i32,
) -> Result<(), Mistyped> {
    let time = match value {
        None => None,
        value => Some(parse_time(text(value)?).ok_or(Mistyped)?),
    };
    put_nested(out, number, |out| {
        if let Some((seconds, nanos)) = time {
            put_integer(out, 1, seconds);
            put_integer(out, 2, i64::from(fraction(nanos)));
        }
        Ok(())
    })
}

fn put_int_or_string(out: &mut Vec<u8>, number: u32, value: Option<&Value>) -> Result<(), Mistyped> {
    let (kind, integer, text) = match value {
        Some(Value::String(text)) => (1, 0, text.as_str()),
        value => (0, integer32(value)?, ""),
    };
    put_nested(out, number, |out| {
        put_integer(out, 1, kind);
        put_integer(out, 2, i64::from(integer));
        put_bytes(out, 3, text.as_bytes());
        Ok(())
    })
}

fn put_raw(out: &mut Vec<u8>, number: u32, value: Option<&Value>) -> Result<(), Mistyped> {
    put_nested(out, number, |out| {
        if let Some(value) = value {
            put_bytes(out, 1, value.to_string().as_bytes());
        }
        Ok(())
    })
}

fn put_strings(out: &mut Vec<u8>, number: u32, value: Option<&Value>) -> Result<(), Mistyped> {
    let items = match value {
        None => return Ok(()),
        Some(value) => value.as_array().ok_or(Mistyped)?,
    };
    for item in items {
        put_bytes(out, number, item.as_str().ok_or(Mistyped)?.as_bytes());
    }
    Ok(())
}

fn put_object(out: &mut Vec<u8>, number: u32, inner: usize, value: Option<&Value>) -> Put {
    let nothing = Map::new();
    let object = value.map_or(Some(&nothing), Value::as_object).ok_or(Mistyped)?;
    Ok(put_nested(out, number, |out| put_message(out, table().message(inner), object)))
}

fn put_or_array(out: &mut Vec<u8>, number: u32, inner: usize, value: Option<&Value>) -> Put {
    let mut below = Ok(());
    put_nested(out, number, |out| {
        below = match value {
            None => Ok(()),
            Some(Value::Array(items)) => put_all(out, 2, Kind::Message(inner), items)?,
            value => put_object(out, 1, inner, value)?,
        };
        Ok::<_, Mistyped>(())
    })?;
    Ok(below)
}

fn put_or_bool(out: &mut Vec<u8>, number: u32, inner: usize, value: Option<&Value>) -> Put {
    let mut below = Ok(());
    put_nested(out, number, |out| {
        let is_object = matches!(value, Some(Value::Object(_)));
        put_integer(out, 1, i64::from(is_object || boolean(value)?));
        if is_object {
            below = put_object(out, 2, inner, value)?;
        }
        Ok::<_, Mistyped>(())
    })?;
    Ok(below)
}

fn put_or_strings(out: &mut Vec<u8>, number: u32, inner: usize, value: Option<&Value>) -> Put {
    let mut below = Ok(());
    put_nested(out, number, |out| {
        match value {
            Some(Value::Object(_)) => below = put_object(out, 1, inner, value)?,
            value => put_strings(out, 2, value)?,
        }
        Ok::<_, Mistyped>(())
    })?;
    Ok(below)
}
