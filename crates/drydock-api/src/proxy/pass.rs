//! Passes a request on to a port of a pod, and its answer back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use drydock_streams::Duplex;
use futures::StreamExt as _;
use http::header::HOST;
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::headers::{self, Links};
use super::html;
use super::target::Target;
use crate::pki;
use crate::server::{Cx, Permit};
use crate::status::ApiError;

/// For the connection alone; an answer may take as long as it wants.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Bodies travel as they come, in both directions.
pub(super) async fn request(
    cx: &Cx,
    target: &Target,
    permit: Permit,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let mut sender = connect(cx, target).await?;
    let links = links(cx, target, &request);
    let passed = passed(cx, target, request, false)?;
    let response = sender.send_request(passed).await.map_err(|error| unreachable(&error))?;
    let (mut parts, body) = response.into_parts();
    headers::returned(&mut parts.headers, &links);
    let is_redirect = parts.headers.contains_key(http::header::LOCATION);
    let body = match html::Rewriter::of(&mut parts.headers, links).filter(|_| !is_redirect) {
        Some(rewriter) => html::rewritten(Body::new(body), rewriter),
        None => Body::new(body),
    };
    // Keeps the connection, and the place among the streams in flight, as long as the answer lasts.
    let held = (sender, permit);
    let stream = body.into_data_stream().take_until(cx.server.shutdown.clone().cancelled_owned());
    let stream = stream.inspect(move |_| {
        let _ = &held;
    });
    Ok(Response::from_parts(parts, Body::from_stream(stream)))
}

/// A connection of another protocol, granted by whoever listens.
pub(super) async fn upgrade(
    cx: &Cx,
    target: &Target,
    permit: Permit,
    mut request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let client = request.extensions_mut().remove::<OnUpgrade>();
    let mut sender = connect(cx, target).await?;
    let passed = passed(cx, target, request, true)?;
    let mut response = sender.send_request(passed).await.map_err(|error| unreachable(&error))?;
    let code = response.status();
    if code.is_client_error() || code.is_server_error() {
        let (parts, body) = response.into_parts();
        return Ok(Response::from_parts(parts, Body::new(body.map_err(axum::Error::new))));
    }
    if code != StatusCode::SWITCHING_PROTOCOLS {
        return Err(ApiError::failed(format!("invalid upgrade response: status code {}", code.as_u16())));
    }
    let client = client.ok_or_else(|| ApiError::bad_request("this connection cannot be upgraded"))?;
    let backend = hyper::upgrade::on(&mut response);
    let shutdown = cx.server.shutdown.clone();
    tokio::spawn(async move {
        let joined = async {
            let (client, backend) = tokio::try_join!(client, backend)?;
            let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut backend).await {
                tracing::debug!(%error, "a proxied connection broke");
            }
            Ok::<_, hyper::Error>(())
        };
        if let Some(Err(error)) = shutdown.run_until_cancelled(joined).await {
            tracing::debug!(%error, "a proxied connection was not upgraded");
        }
        drop((sender, permit));
    });
    let (parts, _) = response.into_parts();
    Ok(Response::from_parts(parts, Body::empty()))
}

async fn connect(cx: &Cx, target: &Target) -> Result<SendRequest<Body>, ApiError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, dial(cx, target)).await {
        Ok(sender) => sender,
        Err(_) => Err(unreachable(&"dial timed out")),
    }
}

async fn dial(cx: &Cx, target: &Target) -> Result<SendRequest<Body>, ApiError> {
    let endpoint = &target.endpoint;
    let stream = cx.server.node.port_forward(endpoint.pod.clone(), endpoint.port).await;
    let mut stream = stream.map_err(|error| unreachable(&error))?;
    if target.tls {
        let config = pki::tls_of_anybody().map_err(|error| unreachable(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        let address = endpoint.ip.parse::<std::net::IpAddr>().map_err(|error| unreachable(&error))?;
        let tls = connector.connect(ServerName::from(address), stream).await;
        stream = Box::new(tls.map_err(|error| unreachable(&error))?) as Box<dyn Duplex>;
    }
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a proxied port broke");
        }
    });
    Ok(sender)
}

/// The request as whoever listens gets it.
fn passed(
    cx: &Cx,
    target: &Target,
    request: Request<Body>,
    upgrades: bool,
) -> Result<Request<Body>, ApiError> {
    let mut headers = headers::forwarded(&request, upgrades);
    if !headers.contains_key(HOST)
        && let Ok(host) = host(target).parse()
    {
        headers.insert(HOST, host);
    }
    let path = if cx.path.proxied.is_empty() { "/" } else { &cx.path.proxied };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let uri: Result<Uri, _> = format!("{path}{query}").parse();
    let uri = uri.map_err(|error| ApiError::bad_request(format!("cannot pass on `{path}`: {error}")))?;
    let (parts, body) = request.into_parts();
    let mut passed = Request::new(body);
    *passed.method_mut() = parts.method;
    *passed.uri_mut() = uri;
    *passed.version_mut() = Version::HTTP_11;
    *passed.headers_mut() = headers;
    Ok(passed)
}

fn host(target: &Target) -> String {
    format!("{}:{}", target.endpoint.ip, target.endpoint.port)
}

fn links(cx: &Cx, target: &Target, request: &Request<Body>) -> Links {
    let asked = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let asked = asked.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let own = [Some(host(target)), asked.map(str::to_owned)].into_iter().flatten().collect();
    Links::new(request.uri().path(), &cx.path.proxied, own)
}

fn unreachable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::unavailable(format!("error trying to reach service: {error}"))
}
