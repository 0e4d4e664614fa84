//! Asks one webhook over HTTPS, at a URL or at a Service of the cluster.
//!
//! A Service is reached through one of its ready pods, by the node that runs them. Every wait is bounded by the webhook's
//! own timeout, every answer by [`MAX_ANSWER`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_streams::Duplex;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::endpoint;
use crate::server::Server;
use crate::wire::body;

/// Bytes of an answer at most.
const MAX_ANSWER: usize = 3 << 20;

/// Where a webhook listens.
struct Place {
    /// The name its certificate has to carry.
    host: String,
    port: u16,
    path: String,
    /// Namespace and name, when it is a Service.
    service: Option<(String, String)>,
}

/// The `response` of the webhook, or why there is none.
pub(super) async fn call(server: &Server, webhook: &Value, review: &Value) -> Result<Value, String> {
    let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10).clamp(1, 30);
    let place = Place::of(&webhook["clientConfig"])?;
    let url = format!("Post \"https://{}:{}{}?timeout={seconds}s\"", place.host, place.port, place.path);
    let answer =
        tokio::time::timeout(Duration::from_secs(seconds), send(server, webhook, &place, review, seconds));
    match answer.await {
        Ok(answer) => answer.map_err(|why| format!("{url}: {why}")),
        Err(_) => Err(format!("{url}: context deadline exceeded")),
    }
}

async fn send(
    server: &Server,
    webhook: &Value,
    place: &Place,
    review: &Value,
    seconds: u64,
) -> Result<Value, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let stream = match &place.service {
        None => {
            let stream = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(|e| text(&e))?;
            Box::new(stream) as Box<dyn Duplex>
        }
        Some((namespace, name)) => through_pod(server, namespace, name, place.port).await?,
    };
    let name = ServerName::try_from(place.host.clone()).map_err(|e| text(&e))?;
    let tls =
        connector(&webhook["clientConfig"]["caBundle"])?.connect(name, stream).await.map_err(|e| text(&e))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await;
    let (mut sender, connection) = handshake.map_err(|e| text(&e))?;
    let pump = tokio::spawn(connection);
    let request = Request::post(format!("{}?timeout={seconds}s", place.path))
        .header(HOST, format!("{}:{}", place.host, place.port))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(review.to_string()));
    let response = sender.send_request(request.map_err(|e| text(&e))?).await.map_err(|e| text(&e));
    let answer = match response {
        Ok(response) => {
            let status = response.status();
            let bytes =
                body::read(Body::new(response.into_body()), MAX_ANSWER).await.map_err(|e| e.message)?;
            match status.is_success() {
                true => serde_json::from_slice::<Value>(&bytes).map_err(|e| text(&e)),
                false => Err(format!("unexpected status {status}")),
            }
        }
        Err(why) => Err(why),
    };
    pump.abort();
    Ok(answer?["response"].take())
}

impl Place {
    fn of(config: &Value) -> Result<Self, String> {
        if let Some(url) = config["url"].as_str() {
            let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
            let host = uri.host().ok_or("the URL names no host")?.trim_matches(['[', ']']).to_owned();
            let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
            return Ok(Self { host, port: uri.port_u16().unwrap_or(443), path, service: None });
        }
        let service = &config["service"];
        let text = |key: &str| service[key].as_str().unwrap_or("").to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        let path = service["path"].as_str().filter(|path| !path.is_empty()).unwrap_or("/").to_owned();
        Ok(Self { host: format!("{name}.{namespace}.svc"), port, path, service: Some((namespace, name)) })
    }
}

/// Trusts what the configuration says, and nothing else.
fn connector(bundle: &Value) -> Result<TlsConnector, String> {
    let pem = STANDARD.decode(bundle.as_str().unwrap_or("")).map_err(|error| error.to_string())?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err(
            "x509: certificate signed by unknown authority: the configuration has no caBundle".to_owned()
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection to a ready pod of a Service.
async fn through_pod(
    server: &Server,
    namespace: &str,
    name: &str,
    port: u16,
) -> Result<Box<dyn Duplex>, String> {
    let found = endpoint::of_service(server, namespace, name, &port.to_string());
    let endpoint = found.map_err(|error| match error.code {
        StatusCode::NOT_FOUND => format!("service {name:?} not found"),
        _ => error.message,
    })?;
    let connected = server.node.port_forward(endpoint.pod, endpoint.port).await;
    connected.map_err(|error| error.to_string())
}

/// The JSON patch of an answer, when it has one.
pub(super) fn patch(answer: &Value, most: usize) -> Result<Option<json_patch::Patch>, String> {
    let Some(encoded) = answer["patch"].as_str().filter(|text| !text.is_empty()) else { return Ok(None) };
    if answer["patchType"] != "JSONPatch" {
        return Err("webhook returned response.patch but not response.patchType JSONPatch".to_owned());
    }
    let bytes = STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    let patch: json_patch::Patch = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    match patch.0.len() <= most {
        true => Ok(Some(patch)),
        false => Err(format!("the patch has more than {most} operations")),
    }
}
