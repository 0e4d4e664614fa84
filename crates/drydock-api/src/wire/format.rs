//! Values to bytes, in the format the client likes best: JSON, YAML or protobuf, packed if it is long.
//!
//! An answer is never refused for its format here: what has no protobuf form, and every error to a client that wants
//! something odd, is JSON. Requests for objects were refused before, by [`super::Accept`].

use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use serde_json::{Map, Value, json};

use super::accept::{is_pretty, ranges};
use super::{Format, Payload, yaml};
use crate::request::Query;

/// Shorter bodies are not worth packing.
const GZIP_FROM: usize = 128 << 10;

/// What a request says about the form of its answer.
#[derive(Debug)]
pub struct Wishes {
    headers: HeaderMap,
    is_pretty: bool,
}

impl Wishes {
    pub fn of<B>(request: &Request<B>) -> Self {
        let mut headers = HeaderMap::new();
        for name in [ACCEPT, ACCEPT_ENCODING, USER_AGENT] {
            for value in request.headers().get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let is_pretty = is_pretty(&headers, &Query::of(request.uri()));
        Self { headers, is_pretty }
    }

    /// Gives an answer that is still a value its format.
    pub fn fulfil(&self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        let Some(Payload(value)) = response.extensions_mut().remove::<Payload>() else { return response };
        let (bytes, content_type) = self.encode(&value);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if bytes.len() > GZIP_FROM
            && takes_gzip(&self.headers)
            && let Some(packed) = gzip(&bytes)
        {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
            *response.body_mut() = Body::from(packed);
            return response;
        }
        *response.body_mut() = Body::from(bytes);
        response
    }

    fn encode(&self, value: &Value) -> (Vec<u8>, &'static str) {
        match self.format_for(value) {
            Format::Json => (json_line(value), "application/json"),
            Format::Pretty => (line(format!("{value:#}")), "application/json"),
            Format::Yaml => (yaml::write(value).into_bytes(), "application/yaml"),
            Format::Protobuf => match drydock_protobuf::encode(value) {
                Ok(bytes) => (bytes, drydock_protobuf::MEDIA_TYPE),
                Err(error) => {
                    tracing::warn!("answered in JSON: {error}");
                    (json_line(value), "application/json")
                }
            },
        }
    }

    fn format_for(&self, value: &Value) -> Format {
        let json = if self.is_pretty { Format::Pretty } else { Format::Json };
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let formats = ranges(&self.headers).into_iter().filter_map(|range| {
            let is_wanted_kind = range.parameter("as").is_none_or(|wanted| {
                wanted == kind || (wanted == "PartialObjectMetadata" && kind == "PartialObjectMetadataList")
            });
            range.format(json).filter(|_| is_wanted_kind)
        });
        let mut formats = formats
            .filter(|format| *format != Format::Protobuf || drydock_protobuf::has_kind(api_version, kind));
        formats.next().unwrap_or(json)
    }
}

/// One event of a watch, framed.
pub fn event(format: Format, word: &str, object: Value) -> Bytes {
    if format == Format::Protobuf {
        match drydock_protobuf::encode_event(word, &object) {
            Ok(event) => return drydock_protobuf::frame(&event).into(),
            // A client that reads frames cannot read lines: its stream has to end with an error it understands.
            Err(error) => tracing::warn!("an event could not be sent: {error}"),
        }
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500,
            "reason": "InternalError", "message": "an event has no protobuf form",
        });
        let event = drydock_protobuf::encode_event("ERROR", &status).unwrap_or_default();
        return drydock_protobuf::frame(&event).into();
    }
    let event = Map::from_iter([("type".to_owned(), word.into()), ("object".to_owned(), object)]);
    json_line(&Value::Object(event)).into()
}

/// The content type of a watch in this format; YAML has no form for streams.
pub fn watch_type(format: Format) -> &'static str {
    match format {
        Format::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    }
}

pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
    })
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    // As a real API server: fast rather than small.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn json_line(value: &Value) -> Vec<u8> {
    // A `Value` has string keys only, which is all that could make this fail.
    let mut out = serde_json::to_vec(value).unwrap_or_default();
    out.push(b'\n');
    out
}

fn line(mut text: String) -> Vec<u8> {
    text.push('\n');
    text.into_bytes()
}
