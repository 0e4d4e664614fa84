//! HTTP/2 over TLS with a kubeconfig's client certificate, over a fixed number of connections used in turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

pub struct Client {
    authority: String,
    connections: Vec<SendRequest<Full<Bytes>>>,
    next: AtomicUsize,
}

pub struct Answer {
    pub status: StatusCode,
    pub bytes: usize,
    pub text: Vec<u8>,
}

impl Client {
    pub async fn connect(kubeconfig: &str, connections: usize) -> Result<Self, Error> {
        let kubeconfig = std::fs::read_to_string(kubeconfig)?;
        let server = field(&kubeconfig, "server")?;
        let authority = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let tls = TlsConnector::from(Arc::new(tls(&kubeconfig)?));
        let mut open = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(&authority).await?;
            stream.set_nodelay(true)?;
            let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            open.push(sender);
        }
        Ok(Self { authority, connections: open, next: AtomicUsize::new(0) })
    }

    /// The response as soon as its head is there.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Error> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut connection = self.connections[turn].clone();
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header("accept", "application/json")
            .header("user-agent", "load/1");
        let request = match &body {
            Some(_) => request.header("content-type", "application/json"),
            None => request,
        };
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        connection.ready().await?;
        Ok(connection.send_request(request).await?)
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer, Error> {
        let mut response = self.open(method, path, body).await?;
        let (mut text, mut bytes) = (Vec::new(), 0);
        while let Some(frame) = response.body_mut().frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            bytes += data.len();
            if !response.status().is_success() {
                text.extend_from_slice(&data);
            }
        }
        Ok(Answer { status: response.status(), bytes, text })
    }

    pub async fn expect(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer, Error> {
        let answer = self.send(method.clone(), path, body).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => {
                Err(format!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.text))
                    .into())
            }
        }
    }
}

fn tls(kubeconfig: &str) -> Result<rustls::ClientConfig, Error> {
    let decoded = |name| Ok::<_, Error>(STANDARD.decode(field(kubeconfig, name)?)?);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&decoded("certificate-authority-data")?)?)?;
    let chain = CertificateDer::from_pem_slice(&decoded("client-certificate-data")?)?;
    let key = PrivateKeyDer::from_pem_slice(&decoded("client-key-data")?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![chain], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A scalar of a kubeconfig that names one cluster and one user, as both servers write it.
fn field<'t>(kubeconfig: &'t str, name: &str) -> Result<&'t str, Error> {
    let (_, rest) = kubeconfig.split_once(&format!("{name}:")).ok_or_else(|| format!("no `{name}`"))?;
    let end = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | '"');
    rest.trim_start().trim_start_matches('"').split(end).next().ok_or_else(|| format!("no `{name}`").into())
}
