//! Messages that stand for one value of JSON: times, durations, quantities, ports.

use serde_json::Value;

use super::DecodeError;
use crate::scalar::{is_zero_time, micro_time_text, time_text};
use crate::table::{Field, Message};
use crate::wire::{Payload, Reader};

/// Where a value stands, for errors.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub message: &'a Message,
    pub field: &'a Field,
}

impl At<'_> {
    pub fn name(self) -> String {
        format!("{}.{}", self.message.short_name(), self.field.json)
    }

    pub fn bytes<'b>(self, payload: Payload<'b>) -> Result<&'b [u8], DecodeError> {
        match payload {
            Payload::Bytes(bytes) => Ok(bytes),
            _ => Err(DecodeError::WireType { field: self.name() }),
        }
    }

    pub fn text(self, bytes: &[u8]) -> Result<&str, DecodeError> {
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Text { field: self.name() })
    }

    pub fn integer(self, payload: Payload<'_>) -> Result<i64, DecodeError> {
        match payload {
            Payload::Varint(value) => Ok(value as i64),
            _ => Err(DecodeError::WireType { field: self.name() }),
        }
    }
}

/// The bytes of field 1, which is all that some messages have.
pub(super) fn single<'b>(at: At<'_>, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, DecodeError> {
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        if number == 1 {
            found = Some(at.bytes(payload)?);
        }
    }
    Ok(found)
}

fn seconds_and_nanos(at: At<'_>, bytes: &[u8]) -> Result<Option<(i64, i32)>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match number {
            1 => seconds = at.integer(payload)?,
            2 => nanos = at.integer(payload)? as i32,
            _ => {}
        }
    }
    Ok((!is_zero_time(seconds, nanos)).then_some((seconds, nanos)))
}

pub(super) fn time(at: At<'_>, bytes: &[u8]) -> Result<Value, DecodeError> {
    let Some((seconds, _)) = seconds_and_nanos(at, bytes)? else { return Ok(Value::Null) };
    time_text(seconds).map(Value::from).ok_or_else(|| DecodeError::Time { field: at.name() })
}

pub(super) fn micro_time(at: At<'_>, bytes: &[u8]) -> Result<Value, DecodeError> {
    let Some((seconds, nanos)) = seconds_and_nanos(at, bytes)? else { return Ok(Value::Null) };
    micro_time_text(seconds, nanos).map(Value::from).ok_or_else(|| DecodeError::Time { field: at.name() })
}

pub(super) fn duration(at: At<'_>, bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut nanos = 0;
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        if number == 1 {
            nanos = at.integer(payload)?;
        }
    }
    Ok(Value::from(go_duration::display(nanos)))
}

pub(super) fn quantity(at: At<'_>, bytes: &[u8]) -> Result<Value, DecodeError> {
    let text = at.text(single(at, bytes)?.unwrap_or_default())?;
    Ok(Value::from(if text.is_empty() { "0" } else { text }))
}

pub(super) fn int_or_string(at: At<'_>, bytes: &[u8]) -> Result<Value, DecodeError> {
    let (mut is_text, mut number_value, mut text) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match number {
            1 => is_text = at.integer(payload)? != 0,
            2 => number_value = at.integer(payload)? as i32,
            3 => text = at.text(at.bytes(payload)?)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::from(text) } else { Value::from(number_value) })
}
