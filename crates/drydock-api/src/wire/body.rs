//! Request bodies: read within a bound, decoded by their content type.

use axum::body::Body;
use bytes::Bytes;
use drydock_kinds::schema::{duplicate_fields, json_type};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use crate::status::ApiError;
use crate::wire::yaml;

/// A decoded body.
#[derive(Debug, Default)]
pub struct Decoded {
    pub value: Value,
    /// Fields that were given more than once, each as `duplicate field "spec.foo"`.
    pub duplicates: Vec<String>,
}

/// Reads the whole body, at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large(limit)),
        Err(error) => Err(ApiError::bad_request(format!("cannot read the body: {error}"))),
    }
}

/// The media type without parameters; JSON when the client names none.
pub fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    text.split(';').next().unwrap_or("").trim()
}

/// Decodes an object of any supported format.
pub fn decode(bytes: &[u8], media_type: &str) -> Result<Decoded, ApiError> {
    decode_as(bytes, media_type, None)
}

/// The same where the path says which API version and kind are expected. Custom kinds have no protobuf form.
pub fn decode_as(
    bytes: &[u8],
    media_type: &str,
    expected: Option<(&str, &str)>,
) -> Result<Decoded, ApiError> {
    let is_custom =
        expected.is_some_and(|(api_version, kind)| !drydock_protobuf::has_kind(api_version, kind));
    match media_type {
        "application/json" | "" => decode_json(bytes),
        "application/yaml" | "application/x-yaml" | "text/yaml" => decode_yaml(bytes),
        drydock_protobuf::MEDIA_TYPE if !is_custom => decode_protobuf(bytes, expected),
        _ => Err(unknown_format(is_custom)),
    }
}

/// 415, from which clients that tried CBOR fall back to JSON.
fn unknown_format(is_custom: bool) -> ApiError {
    let protobuf = if is_custom { "" } else { ", application/vnd.kubernetes.protobuf" };
    ApiError::unsupported_media_type(format!(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json, application/yaml{protobuf}"
    ))
}

fn decode_protobuf(bytes: &[u8], expected: Option<(&str, &str)>) -> Result<Decoded, ApiError> {
    let value = drydock_protobuf::decode(bytes, expected);
    let value = value.map_err(|error| ApiError::bad_request(format!("cannot decode protobuf: {error}")))?;
    Ok(Decoded { value, duplicates: Vec::new() })
}

/// Why JSON cannot be read, in the words of Go's parser, which clients and people know.
pub fn go_words(error: &serde_json::Error, bytes: &[u8]) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let Some(byte) = error.column().checked_sub(1).and_then(|column| line.get(column)) else {
        return error.to_string();
    };
    let text = error.to_string();
    let place = match () {
        _ if text.starts_with("trailing characters") => "after top-level value",
        _ if text.starts_with("key must be a string") || text.starts_with("trailing comma") => {
            "looking for beginning of object key string"
        }
        _ => "looking for beginning of value",
    };
    format!("invalid character {} {place}", go_char(*byte))
}

/// A byte as Go quotes it.
fn go_char(byte: u8) -> String {
    match char::from(byte) {
        '\'' => r"'\''".to_owned(),
        plain if plain.is_ascii_graphic() || plain == ' ' => format!("'{plain}'"),
        odd => format!("'\\u{:04x}'", u32::from(odd)),
    }
}

/// A body that is no JSON object, where an object of `kind` was expected.
pub fn check_json(bytes: &[u8], kind: &str) -> Result<(), ApiError> {
    let shape = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    let why = match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_)) => return Ok(()),
        Ok(other) => format!("json: cannot unmarshal {} into Go value of type {shape}", json_type(&other)),
        Err(error) => go_words(&error, bytes),
    };
    Err(ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({})",
        summary(bytes)
    )))
}

/// The beginning of a body, readable when it looks like an object.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = &bytes[..bytes.len().min(SHOWN)];
    let text = match bytes.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(head).into_owned(),
        Some(_) => head.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if bytes.len() > SHOWN { text + " ..." } else { text }
}

pub fn decode_json(bytes: &[u8]) -> Result<Decoded, ApiError> {
    let value = serde_json::from_slice(bytes);
    let value = value.map_err(|error| ApiError::bad_request(format!("cannot decode JSON: {error}")))?;
    Ok(Decoded { value, duplicates: duplicate_fields(bytes) })
}

/// YAML and with it JSON, as server-side apply sends either under one content type.
pub fn decode_yaml(bytes: &[u8]) -> Result<Decoded, ApiError> {
    // Flow mappings look like JSON and are none: what JSON cannot read, YAML may.
    if bytes.trim_ascii_start().starts_with(b"{")
        && let Ok(decoded) = decode_json(bytes)
    {
        return Ok(decoded);
    }
    let refused = |why: String| ApiError::bad_request(format!("cannot decode YAML: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
    let value = yaml::read(text).map_err(refused)?;
    Ok(Decoded { value, duplicates: Vec::new() })
}
