//! Everything that is no object: which kinds there are, the version, and health.
//!
//! Derived from the catalog, the definitions of custom kinds, the reviews and the subresources. The aggregated form is
//! given in the version a client names, the legacy form otherwise. Compared entry by entry with a real API server.
//!
//! Start at [`answer`]; `entries` lists what is served, `documents` writes it down, `health` answers probes.

mod documents;
mod entries;
mod health;

use axum::body::Body;
use drydock_kinds::schema::openapi::home;
use http::header::{CACHE_CONTROL, ETAG, HOST, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use ring::digest;
use serde_json::{Value, json};

use crate::server::Server;
use crate::status::ApiError;
use crate::wire::{self, DiscoveryForm};

const AGGREGATED_V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

pub(crate) fn answer(
    server: &Server,
    path: &str,
    request: &Request<Body>,
) -> Result<Response<Body>, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let found =
        |value: Option<Value>| Ok(value.map_or_else(no_page, |value| wire::json(StatusCode::OK, value)));
    // A version that a built-in group does not have is missed as an object is.
    let listed = |value: Option<Value>| match value {
        Some(value) => Ok(wire::json(StatusCode::OK, value)),
        None => Err(ApiError::no_such_path()),
    };
    match words.as_slice() {
        [check @ ("healthz" | "livez" | "readyz"), rest @ ..] => {
            let answer = health::answer(check, &rest.join("/"), request.uri());
            Ok(answer.unwrap_or_else(no_page))
        }
        ["metrics"] => {
            let text = server.counts.text();
            Ok(wire::bytes_as(StatusCode::OK, text, "text/plain; version=0.0.4; charset=utf-8"))
        }
        ["version"] => found(Some(version())),
        ["api"] => roots(server, request.headers(), true),
        ["apis"] => roots(server, request.headers(), false),
        ["api", version] => listed(documents::resources(&entries::all(server), "", version)),
        ["apis", group] => found(documents::group(&entries::all(server), group)),
        ["apis", group, version] => {
            let document = documents::resources(&entries::all(server), group, version);
            let is_builtin = drydock_kinds::catalog().iter().any(|spec| spec.group == *group);
            if is_builtin { listed(document) } else { found(document) }
        }
        [] => found(Some(json!({ "paths": root_paths(server) }))),
        _ => Ok(no_page()),
    }
}

/// What is no path of the API at all is no `Status` either.
pub(crate) fn no_page() -> Response<Body> {
    let mut response =
        wire::bytes_as(StatusCode::NOT_FOUND, "404 page not found\n", "text/plain; charset=utf-8");
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
    })
}

fn roots(server: &Server, headers: &HeaderMap, core: bool) -> Result<Response<Body>, ApiError> {
    let entries = entries::all(server);
    let mut response = match DiscoveryForm::of(headers) {
        DiscoveryForm::Aggregated(version) => {
            let document = documents::aggregated(&entries, version, core);
            aggregated(headers, &document, if version == "v2" { AGGREGATED_V2 } else { AGGREGATED_V2BETA1 })?
        }
        DiscoveryForm::Legacy if core => {
            let address = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            wire::json(StatusCode::OK, documents::core_versions(address))
        }
        DiscoveryForm::Legacy => wire::json(StatusCode::OK, documents::groups(&entries)),
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// Clients ask for this with every command: one that knows the tag need not read it again.
fn aggregated(
    headers: &HeaderMap,
    document: &Value,
    content_type: &'static str,
) -> Result<Response<Body>, ApiError> {
    let text = document.to_string();
    let sum = digest::digest(&digest::SHA512, text.as_bytes());
    let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let tag = format!("\"{hex}\"");
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match is_known {
        true => wire::bytes_as(StatusCode::NOT_MODIFIED, Body::empty(), content_type),
        false => wire::bytes_as(StatusCode::OK, text, content_type),
    };
    let tag = HeaderValue::from_str(&tag).map_err(|error| ApiError::internal(error.to_string()))?;
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(response)
}

fn root_paths(server: &Server) -> Vec<String> {
    let groups = entries::groups(&entries::all(server));
    let served = groups.iter().flat_map(|(group, versions)| {
        let own = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        let versions = versions.iter().map(move |version| format!("/{}", home(group, version)));
        std::iter::once(own).chain(versions)
    });
    let fixed = [
        "/.well-known/openid-configuration",
        "/openid/v1/jwks",
        "/apis",
        "/apis/",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/version",
    ];
    let mut paths: Vec<String> = fixed.into_iter().map(str::to_owned).chain(served).collect();
    for check in ["healthz", "livez", "readyz"] {
        paths.push(format!("/{check}"));
        paths.extend(health::names(check).map(|name| format!("/{check}/{name}")));
    }
    paths.sort();
    paths
}
