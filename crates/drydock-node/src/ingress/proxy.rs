//! One HTTP request through the ingress: route, forward, answer.
//!
//! Bodies stream in both directions and are never held. A request goes to another endpoint only while
//! nothing of it has been sent. Upgrades (WebSocket) become a plain byte pipe.
//!
//! Start at [`Proxy::handle`].

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;

use super::pages;
use super::routes::{Backend, Found, Table};
use super::upstream::{Failure, Pool};

pub type Body = Either<Incoming, Full<Bytes>>;

/// Endpoints tried before the answer is 502.
const TRIES_MAX: usize = 3;

/// Meant for one connection only, so never passed on. RFC 9110 section 7.6.1.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

pub struct Proxy {
    pub table: Arc<RwLock<Arc<Table>>>,
    pub pool: Pool,
    /// Where the next round-robin turn begins.
    pub turn: AtomicUsize,
}

impl Proxy {
    pub async fn handle(&self, mut request: Request<Incoming>, client: SocketAddr) -> Response<Body> {
        let html = pages::wants_html(request.headers());
        let page = |status, text: String| pages::page(status, &text, html).map(Either::Right);
        let Some(host) = host_of(&request) else {
            return page(StatusCode::BAD_REQUEST, "the request names no host".into());
        };
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        let backend = match table.find(&host, request.uri().path()) {
            Found::Backend(backend) => backend,
            Found::UnknownHost(hosts) => {
                return page(StatusCode::NOT_FOUND, pages::unknown_host(&host, &hosts));
            }
            Found::UnknownPath => {
                let path = request.uri().path();
                return page(
                    StatusCode::NOT_FOUND,
                    format!("no Ingress rule of host `{host}` has the path `{path}`"),
                );
            }
        };
        if backend.endpoints.is_empty() {
            return page(StatusCode::SERVICE_UNAVAILABLE, backend.problem.clone());
        }
        let upgrade = upgrade_of(request.headers());
        let from_client = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
        let request = outgoing(request, &host, client.ip(), upgrade.as_ref());
        match self.send(&backend, request).await {
            Ok(mut response) => {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some(from_client) = from_client
                {
                    let from_pod = hyper::upgrade::on(&mut response);
                    // Ends when either side does.
                    tokio::spawn(pipe(from_client, from_pod));
                    return response.map(Either::Left);
                }
                strip(response.headers_mut());
                *response.version_mut() = Version::HTTP_11;
                response.map(Either::Left)
            }
            Err(Failure::NotSent(_, why)) => page(
                StatusCode::BAD_GATEWAY,
                format!("no endpoint of service `{}` accepts connections: {why}", backend.service),
            ),
            Err(Failure::Broken(why)) => page(
                StatusCode::BAD_GATEWAY,
                format!("service `{}` ended the connection before it answered: {why}", backend.service),
            ),
            Err(Failure::Silent) => page(
                StatusCode::GATEWAY_TIMEOUT,
                format!("service `{}` took the request and did not answer within 60 s", backend.service),
            ),
        }
    }

    async fn send(
        &self,
        backend: &Backend,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Failure> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = backend.endpoints.len();
        let mut reason = String::new();
        for offset in 0..count.min(TRIES_MAX) {
            let addr = backend.endpoints[(start + offset) % count];
            match self.pool.send(addr, request).await {
                Err(Failure::NotSent(back, why)) => {
                    tracing::debug!(%addr, service = %backend.service, why, "endpoint unreachable, trying the next");
                    (request, reason) = (*back, why);
                }
                other => return other,
            }
        }
        Err(Failure::NotSent(Box::new(request), reason))
    }
}

async fn pipe(client: hyper::upgrade::OnUpgrade, pod: hyper::upgrade::OnUpgrade) {
    if let (Ok(client), Ok(pod)) = tokio::join!(client, pod) {
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(pod)).await;
    }
}

fn host_of(request: &Request<Incoming>) -> Option<String> {
    let from_uri = request.uri().authority().map(|a| a.as_str().to_owned());
    from_uri
        .or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.to_owned()))
        .filter(|h| !h.is_empty())
}

/// The protocol asked for by `Connection: upgrade`.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let asked = asked.flat_map(|v| v.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
}

/// The request as the pod gets it: same target, host kept, `X-Forwarded-*` ours (the browser's are not trusted).
fn outgoing<B>(
    mut request: Request<B>,
    host: &str,
    client: IpAddr,
    upgrade: Option<&HeaderValue>,
) -> Request<B> {
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    if let Ok(uri) = target.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip(headers);
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port).to_owned();
    let ours = [
        ("host", host),
        ("x-forwarded-host", host),
        ("x-forwarded-for", &client.to_string()),
        ("x-real-ip", &client.to_string()),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-scheme", "http"),
        ("x-forwarded-port", &port),
    ];
    for (name, value) in ours {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.remove("forwarded");
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    }
    request
}

/// Removes what was meant for this connection only, including what `Connection` lists.
fn strip(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri("http://todo.localhost:8080/api?q=1");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn the_pod_sees_path_query_and_the_original_host() {
        let out = outgoing(request(&[]), "todo.localhost:8080", [127, 0, 0, 1].into(), None);
        assert_eq!(out.uri(), "/api?q=1");
        assert_eq!(out.headers()["host"], "todo.localhost:8080");
        assert_eq!(out.headers()["x-forwarded-port"], "8080");
    }

    #[test]
    fn forwarding_headers_of_the_client_are_not_believed() {
        let sent = request(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=x"),
        ]);
        let out = outgoing(sent, "h", [127, 0, 0, 1].into(), None);
        assert_eq!(out.headers()["x-forwarded-for"], "127.0.0.1");
        assert_eq!(out.headers()["x-forwarded-proto"], "http");
        assert!(!out.headers().contains_key("forwarded"));
    }

    #[test]
    fn headers_for_one_connection_stop_here() {
        let sent = request(&[
            ("connection", "keep-alive, x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "5"),
            ("x-other", "2"),
        ]);
        let out = outgoing(sent, "h", [127, 0, 0, 1].into(), None);
        for gone in ["connection", "x-secret", "keep-alive"] {
            assert!(!out.headers().contains_key(gone), "{gone}");
        }
        assert_eq!(out.headers()["x-other"], "2");
    }

    #[test]
    fn an_upgrade_is_passed_on_only_when_the_connection_asks_for_it() {
        let asked = request(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade_of(asked.headers()).unwrap(), "websocket");
        assert_eq!(upgrade_of(request(&[("upgrade", "h2c")]).headers()), None);
        let upgrade = upgrade_of(asked.headers());
        let out = outgoing(asked, "h", [127, 0, 0, 1].into(), upgrade.as_ref());
        assert_eq!(out.headers()["connection"], "upgrade");
    }
}
