//! A registry small enough to read: blobs, manifests, tags, and a login by token where one is wanted. Over HTTP, or
//! over TLS where that is what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::tls::{Authority, Clients};

/// What the login of a guarded registry is: `me` with `secret`.
const BASIC: &str = "Basic bWU6c2VjcmV0";
const TOKEN: &str = "Bearer a-token";

#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Bytes>,
    manifests: BTreeMap<String, Bytes>,
    tags: BTreeMap<String, BTreeSet<String>>,
}

/// A server on loopback; gone with the test's process.
pub struct Server {
    pub host: String,
    content: Arc<Mutex<Content>>,
}

#[derive(Clone)]
struct Shared {
    /// Of the realm where tokens are given out.
    base: String,
    guarded: bool,
    content: Arc<Mutex<Content>>,
}

/// Serves `router` on a free port, from a thread of its own.
pub fn serve(make: impl FnOnce(String) -> Router) -> String {
    serve_on(make, |listener| listener)
}

/// The same, behind what `wrap` makes of the port.
pub fn serve_on<L, A>(
    make: impl FnOnce(String) -> Router,
    wrap: impl FnOnce(tokio::net::TcpListener) -> L + Send + 'static,
) -> String
where
    L: axum::serve::Listener<Addr = A>,
    A: std::fmt::Debug,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let router = make(host.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(wrap(listener), router).await.unwrap();
        });
    });
    host
}

impl Server {
    pub fn open() -> Server {
        Server::start(false)
    }

    /// Wants a login.
    pub fn guarded() -> Server {
        Server::start(true)
    }

    fn start(guarded: bool) -> Server {
        let content = Arc::<Mutex<Content>>::default();
        let host = serve(|host| router(format!("http://{host}"), guarded, content.clone()));
        Server { host, content }
    }

    /// Wants a login, and a certificate of the world's authority.
    pub fn secure(authority: &Authority) -> Server {
        let content = Arc::<Mutex<Content>>::default();
        let make = |host: String| router(format!("https://{host}"), true, content.clone());
        Server { host: authority.serve(Clients::WithCertificate, make), content }
    }

    /// Replaces every blob by other bytes, as a broken or hostile registry would.
    pub fn corrupt(&self) {
        self.content.lock().unwrap().blobs.values_mut().for_each(|blob| *blob = Bytes::from_static(b"other"));
    }
}

fn router(base: String, guarded: bool, content: Arc<Mutex<Content>>) -> Router {
    Router::new().fallback(answer).with_state(Shared { base, guarded, content })
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path == "/token" {
        return token(&parts.headers);
    }
    if shared.guarded && parts.headers.get(header::AUTHORIZATION).is_none_or(|found| found != TOKEN) {
        let challenge =
            format!(r#"Bearer realm="{}/token",service="test",scope="repository:x:pull,push""#, shared.base);
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let mut content = shared.content.lock().unwrap();
    let Some(rest) = path.strip_prefix("/v2/") else { return StatusCode::NOT_FOUND.into_response() };
    if rest.is_empty() {
        return StatusCode::OK.into_response();
    }
    if let Some((name, _)) = rest.split_once("/blobs/uploads/") {
        return upload(&mut content, name, &parts.method, parts.uri.query().unwrap_or_default(), body);
    }
    if let Some((_, digest)) = rest.split_once("/blobs/") {
        return content
            .blobs
            .get(digest)
            .map_or(StatusCode::NOT_FOUND.into_response(), |blob| blob.clone().into_response());
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        let tags = content.tags.get(name).cloned().unwrap_or_default();
        return axum::Json(serde_json::json!({"name": name, "tags": tags})).into_response();
    }
    match rest.split_once("/manifests/") {
        Some((name, key)) => manifest(&mut content, name, key, &parts.method, body),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn token(headers: &HeaderMap) -> Response {
    match headers.get(header::AUTHORIZATION).is_some_and(|found| found == BASIC) {
        true => axum::Json(serde_json::json!({"token": "a-token"})).into_response(),
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn digest(data: &[u8]) -> String {
    let hash = Sha256::digest(data);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn upload(content: &mut Content, name: &str, method: &Method, query: &str, body: Bytes) -> Response {
    if method == Method::POST {
        return (StatusCode::ACCEPTED, [(header::LOCATION, format!("/v2/{name}/blobs/uploads/1?state=x"))])
            .into_response();
    }
    let wanted = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("digest="))
        .unwrap_or_default()
        .replace("%3A", ":");
    if digest(&body) != wanted {
        return StatusCode::BAD_REQUEST.into_response();
    }
    content.blobs.insert(wanted, body);
    StatusCode::CREATED.into_response()
}

fn manifest(content: &mut Content, name: &str, key: &str, method: &Method, body: Bytes) -> Response {
    if method == Method::PUT {
        let digest = digest(&body);
        for key in [key, &digest] {
            content.manifests.insert(format!("{name}@{key}"), body.clone());
        }
        if !key.starts_with("sha256:") {
            content.tags.entry(name.to_owned()).or_default().insert(key.to_owned());
        }
        return (StatusCode::CREATED, [("docker-content-digest", digest)]).into_response();
    }
    match content.manifests.get(&format!("{name}@{key}")) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(found) => {
            let headers = [
                (header::CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json".to_owned()),
                (header::HeaderName::from_static("docker-content-digest"), digest(found)),
            ];
            (headers, found.clone()).into_response()
        }
    }
}
