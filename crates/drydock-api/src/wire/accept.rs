//! The `Accept` header: which view of an object a client wants, and in which format.
//!
//! Ranges are tried in the order of their weight; the first that we can give wins, as in a real API server. Tables have no
//! protobuf form, custom kinds none either.

use std::cmp::Reverse;

use http::HeaderMap;
use http::header::ACCEPT;

use crate::request::Query;
use crate::status::ApiError;

const PROTOBUF: &str = drydock_protobuf::MEDIA_TYPE;

/// What a client wants to get. Equal wishes give equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accept {
    pub view: View,
    pub format: Format,
}

/// How much of an object, and in which arrangement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    Whole,
    /// Rows and columns, in this version of `meta.k8s.io`.
    Table(&'static str),
    /// Metadata only, in this version of `meta.k8s.io`.
    Metadata(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    /// JSON for people.
    Pretty,
    Yaml,
    Protobuf,
}

/// The forms of discovery documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryForm {
    Legacy,
    Aggregated(&'static str),
}

impl Accept {
    /// The first wish that we can fulfil; 406 when there is none. Several `Accept` headers count as one.
    pub fn of(headers: &HeaderMap, query: &Query, has_protobuf: bool) -> Result<Self, ApiError> {
        let ranges = ranges(headers);
        let json = if is_pretty(headers, query) { Format::Pretty } else { Format::Json };
        if ranges.is_empty() {
            return Ok(Self { view: View::Whole, format: json });
        }
        ranges.iter().find_map(|range| Self::from_range(range, json, has_protobuf)).ok_or_else(|| {
            // Built-in kinds are answered for by the router of a real API server, custom ones are not.
            let is_unknown = ranges.iter().all(|range| range.format(json).is_none());
            match has_protobuf && is_unknown {
                true => ApiError::not_acceptable_builtin(),
                false => {
                    let protobuf = if has_protobuf { ", application/vnd.kubernetes.protobuf" } else { "" };
                    ApiError::not_acceptable(format!(
                        "only the following media types are accepted: application/json, application/yaml{protobuf}"
                    ))
                }
            }
        })
    }

    fn from_range(range: &MediaRange, json: Format, has_protobuf: bool) -> Option<Self> {
        let format = range.format(json)?;
        let version = match range.parameter("v") {
            Some("v1") | None => "v1",
            Some("v1beta1") => "v1beta1",
            Some(_) => return None,
        };
        let view = match range.parameter("as") {
            None => View::Whole,
            Some("Table") => View::Table(version),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => View::Metadata(version),
            Some(_) => return None,
        };
        let possible = match (format, view) {
            (Format::Protobuf, View::Table(_)) => false,
            (Format::Protobuf, View::Whole) => has_protobuf,
            _ => true,
        };
        possible.then_some(Self { view, format })
    }

    /// Whether the answer is the objects as they are stored.
    pub fn is_plain_json(self) -> bool {
        self.view == View::Whole && self.format == Format::Json
    }
}

impl DiscoveryForm {
    /// Aggregated only in a version the header names: a client that asked for another one would misread it.
    pub fn of(headers: &HeaderMap) -> Self {
        for range in ranges(headers) {
            if range.parameter("g") == Some("apidiscovery.k8s.io") {
                match range.parameter("v") {
                    Some("v2") if range.media == "application/json" => return Self::Aggregated("v2"),
                    Some("v2beta1") if range.media == "application/json" => {
                        return Self::Aggregated("v2beta1");
                    }
                    _ => {}
                }
            } else if range.format(Format::Json).is_some() {
                return Self::Legacy;
            }
        }
        Self::Legacy
    }
}

/// One entry of an `Accept` header.
#[derive(Debug)]
pub(super) struct MediaRange {
    pub media: String,
    parameters: Vec<(String, String)>,
}

impl MediaRange {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn format(&self, json: Format) -> Option<Format> {
        let is_pretty = matches!(self.parameter("pretty"), Some("1" | "true"));
        match self.media.as_str() {
            "application/json" if is_pretty => Some(Format::Pretty),
            "application/json" | "application/*" | "*/*" => Some(json),
            "application/yaml" => Some(Format::Yaml),
            PROTOBUF => Some(Format::Protobuf),
            _ => None,
        }
    }

    /// Thousandths; 1 unless said otherwise.
    fn weight(&self) -> u32 {
        let weight = self.parameter("q").and_then(|text| text.parse::<f32>().ok()).unwrap_or(1.0);
        (weight.clamp(0.0, 1.0) * 1000.0) as u32
    }

    fn is_open(&self) -> bool {
        self.media.ends_with("/*")
    }
}

/// The ranges of all `Accept` headers, the most wanted first; those with weight 0 are not wanted at all.
pub(super) fn ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = texts.flat_map(|text| text.split(',')).filter(|range| !range.trim().is_empty());
    let mut ranges: Vec<MediaRange> = ranges.map(parse_range).filter(|range| range.weight() > 0).collect();
    ranges.sort_by_key(|range| (Reverse(range.weight()), range.is_open()));
    ranges
}

fn parse_range(text: &str) -> MediaRange {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or("").to_ascii_lowercase();
    let parameters = parts.filter_map(|part| part.split_once('='));
    let text = |text: &str| text.trim().trim_matches('"').to_owned();
    MediaRange { media, parameters: parameters.map(|(k, v)| (text(k), text(v))).collect() }
}

/// The content type of a document that comes in a few forms only: media types as clients name them and as we answer,
/// the preferred for clients that take anything last.
pub fn choose(headers: &HeaderMap, offered: &[(&str, &'static str)]) -> Result<&'static str, ApiError> {
    let ranges = ranges(headers);
    let anything = offered.last().map(|(_, answered)| *answered);
    let wanted = ranges.iter().find_map(|range| match range.media.as_str() {
        "*/*" | "application/*" => anything,
        media => offered.iter().find(|(asked, _)| *asked == media).map(|(_, answered)| *answered),
    });
    wanted.or_else(|| anything.filter(|_| ranges.is_empty())).ok_or_else(|| {
        let types: Vec<&str> = offered.iter().map(|(asked, _)| *asked).collect();
        ApiError::not_acceptable(format!("only the following media types are accepted: {}", types.join(", ")))
    })
}

/// Asked for, or a program that shows answers to people.
pub(super) fn is_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if query.get("pretty").is_some() {
        return query.is_true("pretty");
    }
    let agent = headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|program| agent.starts_with(program))
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
    fn check(accept: &str, view: View, format: Format) {
        let found = Accept::of(&headers(accept), &Query::default(), true).ok();
        assert_eq!(found, Some(Accept { view, format }));
    }

    #[track_caller]
    fn check_refused(accept: &str, has_protobuf: bool) {
        assert!(Accept::of(&headers(accept), &Query::default(), has_protobuf).is_err());
    }

    #[test]
    fn the_first_form_we_can_give_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        check(kubectl, View::Table("v1"), Format::Json);
        check("application/vnd.kubernetes.protobuf, application/json", View::Whole, Format::Protobuf);
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        check(metadata, View::Metadata("v1"), Format::Json);
        check("application/json;as=Table;v=v7, */*", View::Whole, Format::Json);
        check("application/yaml", View::Whole, Format::Yaml);
    }

    #[test]
    fn weights_order_the_wishes() {
        check("application/json;q=0.5, application/yaml;q=0.8", View::Whole, Format::Yaml);
        check("*/*, application/yaml", View::Whole, Format::Yaml);
        check("application/yaml;q=0, application/json;q=0.1", View::Whole, Format::Json);
        check("text/html;q=0.9, */*;q=0.8", View::Whole, Format::Json);
    }

    #[test]
    fn tables_have_no_protobuf_form() {
        let wish = "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1";
        check(&format!("{wish}, application/json"), View::Whole, Format::Json);
        check_refused(wish, true);
    }

    #[test]
    fn custom_kinds_have_a_protobuf_form_of_their_metadata_only() {
        check_refused("application/vnd.kubernetes.protobuf", false);
        let wish = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        assert!(Accept::of(&headers(wish), &Query::default(), false).is_ok());
    }

    #[test]
    fn a_client_that_takes_no_form_of_ours_is_told() {
        check_refused("text/html", true);
        check_refused("application/cbor", true);
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
