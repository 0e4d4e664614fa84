//! Bytes to objects and back: what clients may send, and the shapes they may ask for.
//!
//! Start at [`Accept::of`] for answers and [`body::read`] for requests.

pub mod body;
pub mod fields;
pub mod table;

use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WARNING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::status::ApiError;

/// The form in which a client wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    Json,
    /// Rows and columns, in this version of `meta.k8s.io`.
    Table(&'static str),
    /// Metadata only, in this version of `meta.k8s.io`.
    Metadata(&'static str),
}

/// The forms of discovery documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryForm {
    Legacy,
    Aggregated(&'static str),
}

impl Accept {
    /// The first form in the header that we can give. Several `Accept` headers count as one.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let ranges = ranges(headers);
        if ranges.is_empty() {
            return Ok(Self::Json);
        }
        let offered =
            "application/json, application/json;as=Table, application/json;as=PartialObjectMetadata";
        ranges.iter().find_map(Self::from_range).ok_or_else(|| {
            ApiError::not_acceptable(format!("only the following media types are accepted: {offered}"))
        })
    }

    fn from_range(range: &MediaRange) -> Option<Self> {
        if !matches!(range.media.as_str(), "application/json" | "application/*" | "*/*") {
            return None;
        }
        let version = match range.parameter("v") {
            Some("v1") | None => "v1",
            Some("v1beta1") => "v1beta1",
            Some(_) => return None,
        };
        match range.parameter("as") {
            None => Some(Self::Json),
            Some("Table") => Some(Self::Table(version)),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata(version)),
            Some(_) => None,
        }
    }
}

impl DiscoveryForm {
    /// Aggregated only in a version the header names: a client that asked for another one would misread it.
    pub fn of(headers: &HeaderMap) -> Self {
        for range in ranges(headers) {
            if range.parameter("g") == Some("apidiscovery.k8s.io") {
                match range.parameter("v") {
                    Some("v2") => return Self::Aggregated("v2"),
                    Some("v2beta1") => return Self::Aggregated("v2beta1"),
                    _ => {}
                }
            } else if matches!(range.media.as_str(), "application/json" | "application/*" | "*/*") {
                return Self::Legacy;
            }
        }
        Self::Legacy
    }
}

struct MediaRange {
    media: String,
    parameters: Vec<(String, String)>,
}

impl MediaRange {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).filter(|range| !range.trim().is_empty()).map(parse_range).collect()
}

fn parse_range(text: &str) -> MediaRange {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or("").to_ascii_lowercase();
    let parameters = parts.filter_map(|part| part.split_once('='));
    MediaRange { media, parameters: parameters.map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
}

pub fn json(code: StatusCode, value: &Value) -> Response<Body> {
    json_as(code, value, "application/json")
}

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
    let mut response = json(error.code, &error.to_value());
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        headers
    }

    #[track_caller]
    fn check(accept: &str, expect: Option<Accept>) {
        assert_eq!(Accept::of(&headers(accept)).ok(), expect);
    }

    #[test]
    fn the_first_form_we_can_give_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        check(kubectl, Some(Accept::Table("v1")));
        check("application/vnd.kubernetes.protobuf, application/json", Some(Accept::Json));
        check(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Some(Accept::Metadata("v1")),
        );
        check("application/json;as=Table;v=v7, */*", Some(Accept::Json));
    }

    #[test]
    fn a_client_that_takes_no_form_of_ours_is_told() {
        check("application/vnd.kubernetes.protobuf", None);
        check("text/html", None);
    }

    #[test]
    fn aggregated_discovery_is_given_only_in_a_version_the_client_named() {
        let old =
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(DiscoveryForm::of(&headers(old)), DiscoveryForm::Aggregated("v2beta1"));
        let new = format!("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{old}");
        assert_eq!(DiscoveryForm::of(&headers(&new)), DiscoveryForm::Aggregated("v2"));
        assert_eq!(DiscoveryForm::of(&headers("application/json, */*")), DiscoveryForm::Legacy);
    }
}
