//! Bytes to objects and back: what clients may send, and the shapes and formats they may ask for.
//!
//! Handlers answer with values ([`json`], [`error`]); what they become on the wire is decided once, at the very end, by
//! [`Wishes::fulfil`]. Only whole objects in plain JSON may be written by handlers themselves, from stored bytes.
//!
//! Start at [`Accept::of`] for shapes, [`Wishes`] for formats and [`body::read`] for requests.

mod accept;
pub mod body;
pub mod fields;
mod format;
pub mod table;
mod yaml;

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WARNING};
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

pub use accept::{Accept, DiscoveryForm, Format, View, choose};
pub use format::{Wishes, event, takes_gzip, watch_type};

use crate::status::ApiError;

/// What an answer says, before it has a format. Travels as an extension of the response.
#[derive(Debug, Clone)]
pub struct Payload(Arc<Value>);

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self(Arc::new(value))
    }
}

impl From<&Value> for Payload {
    fn from(value: &Value) -> Self {
        Self::from(value.clone())
    }
}

/// An object, in whatever format the client prefers.
pub fn json(code: StatusCode, value: impl Into<Payload>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response.extensions_mut().insert(value.into());
    response
}

/// A document under a content type of its own, always in JSON.
pub fn json_as(code: StatusCode, value: &Value, content_type: &'static str) -> Response<Body> {
    // A `Value` has string keys only, which is all that could make this fail.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes_as(code, bytes, content_type)
}

pub fn bytes_as(code: StatusCode, bytes: impl Into<Body>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub fn error(error: &ApiError) -> Response<Body> {
    let mut response = json(error.code, error.to_value());
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    warn(response, &error.warnings)
}

/// Adds `Warning` headers, which kubectl prints to its user.
pub fn warn(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}
