//! Protobuf to JSON values, as decoding into the Go type and writing that as JSON would.
//!
//! So zeros of plain fields vanish where JSON leaves them out and stay where it does not, while zeros behind pointers
//! always stay. Unknown numbers are skipped, as protobuf wants it; everything else that is wrong is an error.
//!
//! Bounds: nesting as deep as JSON may be, and a number of values, because two bytes can stand for a large structure.

mod values;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::PREFIX;
use crate::table::{Field, Kind, Many, Message, table};
use crate::wire::{Payload, Reader};
use values::{At, duration, int_or_string, micro_time, quantity, single, time};

/// Deepest nesting of objects and lists together; what is deeper could not be read back as JSON.
const MAX_DEPTH: usize = 120;

/// Most values in one object, those that are only implied included.
const MAX_VALUES: usize = 500_000;

/// Why bytes are no object. For a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("provided data does not appear to be a protobuf message, expected prefix {PREFIX:?}")]
    Prefix,
    #[error("empty data")]
    NoData,
    #[error("empty body")]
    NoBody,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: illegal tag {tag}")]
    Tag { tag: u64 },
    #[error("proto: wrong wireType for field {field}")]
    WireType { field: String },
    #[error("proto: field {field} contains invalid UTF-8")]
    Text { field: String },
    #[error("proto: field {field} holds a time that cannot be written")]
    Time { field: String },
    #[error("field {field} holds no JSON: {why}")]
    Json { field: String, why: String },
    #[error("the object is nested too deeply")]
    TooDeep,
    #[error("the object holds more than {MAX_VALUES} values")]
    TooLarge,
    #[error("Object 'Kind' is missing")]
    NoKind,
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
}

/// An object in its envelope. `expected` stands in for an API version and kind that the envelope does not name.
pub fn decode(bytes: &[u8], expected: Option<(&str, &str)>) -> Result<Value, DecodeError> {
    match bytes {
        [] => Err(DecodeError::NoData),
        PREFIX => Err(DecodeError::NoBody),
        _ => Decoder { left: MAX_VALUES }.envelope(bytes, expected, 0),
    }
}

#[derive(Default)]
struct Envelope<'b> {
    api_version: &'b str,
    kind: &'b str,
    raw: &'b [u8],
    is_json: bool,
}

struct Decoder {
    left: usize,
}

impl Decoder {
    fn envelope(
        &mut self,
        bytes: &[u8],
        expected: Option<(&str, &str)>,
        depth: usize,
    ) -> Result<Value, DecodeError> {
        let mut envelope = Envelope::read(bytes.strip_prefix(PREFIX).ok_or(DecodeError::Prefix)?)?;
        if let Some((api_version, kind)) = expected {
            fill(&mut envelope.api_version, api_version);
            fill(&mut envelope.kind, kind);
        }
        if envelope.is_json {
            return json(envelope.raw, "raw", depth);
        }
        let Envelope { api_version, kind, raw, .. } = envelope;
        if kind.is_empty() {
            return Err(DecodeError::NoKind);
        }
        let unknown =
            || DecodeError::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let message = table().kind(api_version, kind).ok_or_else(unknown)?;
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), api_version.into());
        object.insert("kind".to_owned(), kind.into());
        self.message(message, raw, &mut object, depth)?;
        Ok(Value::Object(object))
    }

    /// Decodes into an object that may hold fields already: of a surrounding message, or of an earlier part of this one.
    fn message(
        &mut self,
        message: &Message,
        bytes: &[u8],
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let depth = deeper(depth)?;
        let mut seen = 0u128;
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            let Some((index, field)) = message.field(number) else { continue };
            seen |= 1 << index;
            let at = At { message, field };
            match (field.many, field.kind) {
                (Many::One, Kind::Message(inner)) if field.inline => {
                    self.message(table().message(inner), at.bytes(payload)?, out, depth)?;
                }
                (Many::One, Kind::Message(inner)) => self.nested(at, inner, payload, out, depth)?,
                (Many::One, _) => {
                    let value = self.value(at, field.kind, payload, depth)?;
                    set(out, field, value);
                }
                (Many::List, _) => self.items(at, payload, out, depth)?,
                (Many::Map, _) => self.entry(at, at.bytes(payload)?, out, depth)?,
            }
        }
        for (index, field) in message.fields.iter().enumerate() {
            if seen & 1 << index == 0 {
                self.absent(field, out, depth)?;
            }
        }
        Ok(())
    }

    fn nested(
        &mut self,
        at: At<'_>,
        inner: usize,
        payload: Payload<'_>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        self.spend()?;
        let mut object = match out.remove(at.field.json) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        self.message(table().message(inner), at.bytes(payload)?, &mut object, depth)?;
        out.insert(at.field.json.to_owned(), Value::Object(object));
        Ok(())
    }

    fn items(
        &mut self,
        at: At<'_>,
        payload: Payload<'_>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let depth = deeper(depth)?;
        let mut items = Vec::new();
        match (at.field.kind, payload) {
            // Numbers may come packed into one field.
            (Kind::Int32 | Kind::Int64 | Kind::Bool, Payload::Bytes(bytes)) => {
                let mut reader = Reader::new(bytes);
                while !reader.is_empty() {
                    let payload = Payload::Varint(reader.varint()?);
                    items.push(self.value(at, at.field.kind, payload, depth)?);
                }
            }
            (kind, payload) => items.push(self.value(at, kind, payload, depth)?),
        }
        match out.get_mut(at.field.json) {
            Some(Value::Array(list)) => list.append(&mut items),
            _ => drop(out.insert(at.field.json.to_owned(), Value::Array(items))),
        }
        Ok(())
    }

    fn entry(
        &mut self,
        at: At<'_>,
        bytes: &[u8],
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let depth = deeper(depth)?;
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            match number {
                1 => key = at.text(at.bytes(payload)?)?.to_owned(),
                2 => value = Some(self.value(at, at.field.kind, payload, depth)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.zero(at.field.kind, depth)?,
        };
        match out.get_mut(at.field.json) {
            Some(Value::Object(map)) => drop(map.insert(key, value)),
            _ => {
                let map = Map::from_iter([(key, value)]);
                out.insert(at.field.json.to_owned(), Value::Object(map));
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        at: At<'_>,
        kind: Kind,
        payload: Payload<'_>,
        depth: usize,
    ) -> Result<Value, DecodeError> {
        self.spend()?;
        Ok(match (kind, payload) {
            (Kind::Bool, Payload::Varint(value)) => Value::Bool(value != 0),
            // As Go reads it: the lower half of what was sent.
            (Kind::Int32, Payload::Varint(value)) => Value::from(value as i32),
            (Kind::Int64, Payload::Varint(value)) => Value::from(value as i64),
            (Kind::Double, Payload::Fixed64(bits)) => {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }
            (Kind::String, Payload::Bytes(bytes)) => Value::from(at.text(bytes)?),
            (Kind::Bytes, Payload::Bytes(bytes)) => Value::from(STANDARD.encode(bytes)),
            (Kind::Time, Payload::Bytes(bytes)) => time(at, bytes)?,
            (Kind::MicroTime, Payload::Bytes(bytes)) => micro_time(at, bytes)?,
            (Kind::Duration, Payload::Bytes(bytes)) => duration(at, bytes)?,
            (Kind::Quantity, Payload::Bytes(bytes)) => quantity(at, bytes)?,
            (Kind::IntOrString, Payload::Bytes(bytes)) => int_or_string(at, bytes)?,
            (Kind::Strings, Payload::Bytes(bytes)) => self.strings(at, bytes, 1)?,
            (Kind::Raw, Payload::Bytes(bytes)) => self.raw(at, bytes, depth)?,
            (Kind::Message(inner), Payload::Bytes(bytes)) => {
                let mut object = Map::new();
                self.message(table().message(inner), bytes, &mut object, depth)?;
                Value::Object(object)
            }
            (Kind::OrArray(inner), Payload::Bytes(bytes)) => self.or_array(at, inner, bytes, depth)?,
            (Kind::OrBool(inner), Payload::Bytes(bytes)) => self.or_bool(at, inner, bytes, depth)?,
            (Kind::OrStrings(inner), Payload::Bytes(bytes)) => self.or_strings(at, inner, bytes, depth)?,
            _ => return Err(DecodeError::WireType { field: at.name() }),
        })
    }

    /// What Go writes for a field that was not sent.
    fn absent(
        &mut self,
        field: &Field,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let is_nil = field.can_be_nil();
        if let (Kind::Message(inner), true, false) = (field.kind, field.inline, is_nil) {
            return self.message(table().message(inner), &[], out, depth);
        }
        if field.is_left_out() || out.contains_key(field.json) {
            return Ok(());
        }
        self.spend()?;
        let value = if is_nil { Value::Null } else { self.zero(field.kind, depth)? };
        out.insert(field.json.to_owned(), value);
        Ok(())
    }

    fn zero(&mut self, kind: Kind, depth: usize) -> Result<Value, DecodeError> {
        Ok(match kind {
            Kind::String => Value::from(""),
            Kind::Bool => Value::Bool(false),
            Kind::Int32 | Kind::Int64 | Kind::IntOrString => Value::from(0),
            Kind::Double => Value::from(0.0),
            Kind::Duration => Value::from("0s"),
            Kind::Quantity => Value::from("0"),
            Kind::OrBool(_) => Value::Bool(false),
            Kind::Message(inner) => {
                let mut object = Map::new();
                self.message(table().message(inner), &[], &mut object, depth)?;
                Value::Object(object)
            }
            _ => Value::Null,
        })
    }

    fn strings(&mut self, at: At<'_>, bytes: &[u8], wanted: u32) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            if number == wanted {
                self.spend()?;
                items.push(Value::from(at.text(at.bytes(payload)?)?));
            }
        }
        Ok(Value::Array(items))
    }

    /// JSON, or an object in an envelope of its own.
    fn raw(&mut self, at: At<'_>, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        match single(at, bytes)? {
            None | Some([]) => Ok(Value::Null),
            Some(raw) if raw.starts_with(PREFIX) => self.envelope(raw, None, depth),
            Some(raw) => json(raw, &at.name(), depth),
        }
    }

    fn or_array(
        &mut self,
        at: At<'_>,
        inner: usize,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, DecodeError> {
        let (mut one, mut many) = (Value::Null, Vec::new());
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            match number {
                1 => one = self.value(at, Kind::Message(inner), payload, depth)?,
                2 => many.push(self.value(at, Kind::Message(inner), payload, deeper(depth)?)?),
                _ => {}
            }
        }
        Ok(if many.is_empty() { one } else { Value::Array(many) })
    }

    fn or_bool(
        &mut self,
        at: At<'_>,
        inner: usize,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, DecodeError> {
        let mut result = Value::Bool(false);
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            match number {
                1 if !result.is_object() => result = self.value(at, Kind::Bool, payload, depth)?,
                2 => result = self.value(at, Kind::Message(inner), payload, depth)?,
                _ => {}
            }
        }
        Ok(result)
    }

    fn or_strings(
        &mut self,
        at: At<'_>,
        inner: usize,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, DecodeError> {
        let strings = self.strings(at, bytes, 2)?;
        if strings.as_array().is_some_and(|list| !list.is_empty()) {
            return Ok(strings);
        }
        match single(at, bytes)? {
            Some(schema) => self.value(at, Kind::Message(inner), Payload::Bytes(schema), depth),
            None => Ok(Value::Null),
        }
    }

    fn spend(&mut self) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(1).ok_or(DecodeError::TooLarge)?;
        Ok(())
    }
}

impl<'b> Envelope<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let mut envelope = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            let Payload::Bytes(bytes) = payload else { continue };
            match number {
                1 => envelope.type_meta(bytes)?,
                2 => envelope.raw = bytes,
                4 => envelope.is_json = bytes == b"application/json",
                _ => {}
            }
        }
        Ok(envelope)
    }

    fn type_meta(&mut self, bytes: &'b [u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next()? {
            let Payload::Bytes(bytes) = payload else { continue };
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| DecodeError::Text { field: "typeMeta".to_owned() })?;
            match number {
                1 => self.api_version = text,
                2 => self.kind = text,
                _ => {}
            }
        }
        Ok(())
    }
}

fn fill<'b>(text: &mut &'b str, fallback: &'b str) {
    if text.is_empty() {
        *text = fallback;
    }
}

fn set(out: &mut Map<String, Value>, field: &Field, value: Value) {
    let is_plain_zero = match &value {
        Value::String(text) => text.is_empty(),
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0) && field.kind != Kind::IntOrString,
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let is_zero_time = value.is_null() && field.omit_zero;
    if !field.pointer && ((is_plain_zero && field.omit_empty) || is_zero_time) {
        out.remove(field.json);
    } else {
        out.insert(field.json.to_owned(), value);
    }
}

fn deeper(depth: usize) -> Result<usize, DecodeError> {
    if depth >= MAX_DEPTH { Err(DecodeError::TooDeep) } else { Ok(depth + 1) }
}

fn json(raw: &[u8], field: &str, depth: usize) -> Result<Value, DecodeError> {
    let value: Value = serde_json::from_slice(raw)
        .map_err(|error| DecodeError::Json { field: field.to_owned(), why: error.to_string() })?;
    if depth + nesting(&value) > MAX_DEPTH { Err(DecodeError::TooDeep) } else { Ok(value) }
}

/// At most as deep as the parser of JSON goes.
fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}
