//! `/openapi/v2` and `/openapi/v3`: what kinds look like, for kubectl's validation, `explain` and `diff`.
//!
//! Documents are made on first request, from the catalog and the definitions of custom kinds, kept packed (they shrink
//! to a twentieth), and made anew when a kind changes. Each has a hash: clients that name it get 304, and the index of
//! version 3 leads to documents under their hash, which may be kept for ever.
//!
//! Start at [`answer`].

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use drydock_kinds::custom;
use drydock_kinds::schema::openapi::{self, Published, Version2};
use drydock_protobuf::gnostic;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, LOCATION, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::request::Query;
use crate::review::REVIEWS;
use crate::server::Server;
use crate::status::ApiError;
use crate::wire;

const JSON: &str = "application/json";
const GNOSTIC: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The older spelling, which is no valid media type and what kubectl sends.
const GNOSTIC_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Documents that were asked for, packed.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    kept: Mutex<HashMap<String, Arc<Packed>>>,
}

#[derive(Debug)]
struct Packed {
    hash: u64,
    bytes: Bytes,
}

/// The answer to a path below `/openapi`; `None` for every other path.
pub(crate) async fn answer(
    server: &Arc<Server>,
    path: &str,
    request: &Parts,
) -> Option<Result<Response<Body>, ApiError>> {
    let path = path.trim_matches('/').strip_prefix("openapi/")?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Some(Err(ApiError::method_not_allowed()));
    }
    Some(match path.split_once('/').unwrap_or((path, "")) {
        ("v2", "") => version_2(server, &request.headers).await,
        ("v3", "") => Ok(wire::json(StatusCode::OK, index(server))),
        ("v3", home) => version_3(server, home, request).await,
        _ => Err(ApiError::no_such_path()),
    })
}

async fn version_2(server: &Arc<Server>, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let offered = [(GNOSTIC_ASKED, GNOSTIC), (GNOSTIC, GNOSTIC), (JSON, JSON)];
    let content_type = wire::choose(headers, &offered)?;
    let hash = hashes(server).values().fold(0, |sum: u64, hash| sum.rotate_left(5) ^ hash);
    let key = format!("v2 {content_type}");
    let kept = keep(server, key, hash, move |server| {
        let kinds = published(server)?;
        Ok(match content_type {
            GNOSTIC => gnostic_text(Version2::new(&kinds)),
            _ => json_text(Version2::new(&kinds)),
        })
    });
    let mut response = send(&*kept.await?, headers, content_type);
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

async fn version_3(server: &Arc<Server>, home: &str, request: &Parts) -> Result<Response<Body>, ApiError> {
    let hash = *hashes(server).get(home).ok_or_else(ApiError::no_such_path)?;
    wire::choose(&request.headers, &[(JSON, JSON)])?;
    let query = Query::of(&request.uri);
    let asked = query.get("hash");
    if asked.is_some_and(|asked| asked != hash_text(hash)) {
        return moved(home, hash);
    }
    let wanted = home.to_owned();
    let kept = keep(server, format!("v3 {home}"), hash, move |server| {
        let mut kinds = published(server)?;
        kinds.retain(|kind| kind.home() == wanted);
        let text = openapi::document_text(&kinds).ok_or_else(ApiError::no_such_path)?;
        Ok(text.into_bytes())
    });
    let mut response = send(&*kept.await?, &request.headers, JSON);
    if asked.is_some() {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    Ok(response)
}

/// Where each group version's document is.
fn index(server: &Server) -> Value {
    let path = |(home, hash): (String, u64)| {
        let entry = json!({ "serverRelativeURL": address(&home, hash) });
        (home, entry)
    };
    json!({ "paths": hashes(server).into_iter().map(path).collect::<Map<_, _>>() })
}

fn address(home: &str, hash: u64) -> String {
    format!("/openapi/v3/{home}?hash={}", hash_text(hash))
}

fn hash_text(hash: u64) -> String {
    format!("{hash:016X}")
}

/// The document has changed since the client saw its hash.
fn moved(home: &str, hash: u64) -> Result<Response<Body>, ApiError> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let target = HeaderValue::from_str(&address(home, hash));
    let target = target.map_err(|error| ApiError::internal(error.to_string()))?;
    response.headers_mut().insert(LOCATION, target);
    Ok(response)
}

/// The hash of the document of each group version.
fn hashes(server: &Server) -> BTreeMap<String, u64> {
    let mut by_home: BTreeMap<String, Vec<Published>> = BTreeMap::new();
    for kind in builtin() {
        by_home.entry(kind.home()).or_default().push(kind);
    }
    let mut hashes: BTreeMap<String, u64> =
        by_home.into_iter().map(|(home, kinds)| (home, openapi::hash(kinds.iter()))).collect();
    for ((group, version), sum) in server.custom.fingerprints() {
        *hashes.entry(openapi::home(&group, &version)).or_default() ^= sum;
    }
    hashes
}

fn builtin() -> impl Iterator<Item = Published> {
    let reviews = REVIEWS.iter().map(|review| Published {
        plural: review.plural.to_owned(),
        namespaced: review.namespaced,
        ..Published::builtin(review.group, "v1", review.kind)
    });
    drydock_kinds::catalog().iter().map(Published::from).chain(reviews)
}

fn published(server: &Server) -> Result<Vec<Published>, ApiError> {
    let definitions = server.custom.definitions(&server.store)?;
    let custom = definitions.iter().flat_map(custom::openapi::published);
    Ok(builtin().chain(custom).collect())
}

fn json_text(document: Version2<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let Value::Object(head) = document.head() else { return out };
    out.push(b'{');
    for (key, value) in head {
        out.extend_from_slice(format!("{}:{value},", Value::from(key)).as_bytes());
    }
    let mut separator = "\"paths\":{";
    for (path, item) in document.paths() {
        out.extend_from_slice(format!("{separator}{}:{item}", Value::from(path)).as_bytes());
        separator = ",";
    }
    separator = "},\"definitions\":{";
    for (name, definition) in document.definitions() {
        out.extend_from_slice(format!("{separator}{}:{definition}", Value::from(name)).as_bytes());
        separator = ",";
    }
    out.extend_from_slice(b"}}\n");
    out
}

fn gnostic_text(document: Version2<'_>) -> Vec<u8> {
    let mut out = gnostic::Document::default();
    document.paths().for_each(|(path, item)| out.path(&path, &item));
    document.definitions().for_each(|(name, definition)| out.definition(&name, &definition));
    out.finish(&document.head())
}

/// The kept document if it is still the one with this hash, else a new one, made where it blocks nobody.
async fn keep(
    server: &Arc<Server>,
    key: String,
    hash: u64,
    make: impl FnOnce(&Server) -> Result<Vec<u8>, ApiError> + Send + 'static,
) -> Result<Arc<Packed>, ApiError> {
    let kept = server.documents.lock().get(&key).filter(|packed| packed.hash == hash).cloned();
    if let Some(packed) = kept {
        return Ok(packed);
    }
    let maker = server.clone();
    let made = tokio::task::spawn_blocking(move || {
        let bytes = pack(&make(&maker)?).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok::<_, ApiError>(Arc::new(Packed { hash, bytes }))
    });
    let packed = made.await.map_err(|error| ApiError::internal(error.to_string()))??;
    server.documents.lock().insert(key, packed.clone());
    Ok(packed)
}

impl Documents {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Packed>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pack(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into_boxed_slice().into())
}

fn send(packed: &Packed, headers: &HeaderMap, content_type: &'static str) -> Response<Body> {
    let tag = format!("\"{}\"", hash_text(packed.hash));
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let mut response = if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else if wire::takes_gzip(headers) {
        let mut response = wire::bytes_as(StatusCode::OK, packed.bytes.clone(), content_type);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let mut plain = Vec::new();
        // What was packed here unpacks.
        let _ = GzDecoder::new(&packed.bytes[..]).read_to_end(&mut plain);
        wire::bytes_as(StatusCode::OK, plain, content_type)
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}
