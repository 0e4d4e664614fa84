//! The API as its clients meet it: kube-rs in process, HTTP by hand, and real kubectl over TLS.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod access;
mod admission;
mod answers;
mod crud;
mod custom;
mod discovery;
mod helm;
mod kube_rs;
mod kubectl;
mod kubectl_versions;
mod limits;
mod listing;
mod negotiation;
mod openapi;
mod operators;
mod pods;
mod podsecurity;
mod policies;
mod protobuf;
mod proxying;
mod recorded;
mod restricted;
mod rights;
mod sealing;
mod services;
mod shared;
mod watch_law;
mod watching;
mod webhooks;

use std::net::Ipv4Addr;
use std::sync::Arc;

use drydock_api::{Api, ApiConfig, Keyring, NoNode, NodeBackend, Pki, SEALED};
use drydock_store::{Options, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// An API over a store of its own.
pub struct World {
    pub api: Api,
    pub client: kube::Client,
    pub pki: Arc<Pki>,
    pub folder: TempDir,
}

pub async fn world() -> World {
    world_with(Arc::new(NoNode)).await
}

pub async fn world_with(node: Arc<dyn NodeBackend>) -> World {
    world_of(node, Options::default()).await
}

pub async fn world_with_store(options: Options) -> World {
    world_of(Arc::new(NoNode), options).await
}

async fn world_of(node: Arc<dyn NodeBackend>, options: Options) -> World {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(&folder.path().join("pki"), SEALED).unwrap();
    let options = Options { seal: keyring.store_options().seal, ..options };
    let store = Store::open_with(folder.path().join("store.redb"), options).unwrap();
    let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
    let api = Api::new(ApiConfig::default(), store, pki.clone(), node).await.unwrap();
    World { client: api.client(), api, pki, folder }
}

impl World {
    /// The same store under a new API, as after the engine was started again.
    pub async fn restart(self) -> World {
        let World { api, client, pki, folder } = self;
        api.shut_down();
        drop((api, client));
        let path = folder.path().join("store.redb");
        // The old client's worker lets go of the store when it next runs.
        let store = loop {
            match Store::open(&path) {
                Ok(store) => break store,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        let api = Api::new(ApiConfig::default(), store, pki.clone(), Arc::new(NoNode)).await.unwrap();
        World { client: api.client(), api, pki, folder }
    }
}

/// Serves the API over TLS; the port, and the token that stops it.
pub async fn serve(world: &World) -> (u16, CancellationToken) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (api, tls, shutdown) = (world.api.clone(), world.pki.server_tls().unwrap(), CancellationToken::new());
    let stop = shutdown.clone();
    tokio::spawn(async move { api.serve(listener, tls, stop).await.unwrap() });
    (port, shutdown)
}

/// A TLS connection without any client certificate.
pub async fn connect(world: &World, port: u16) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.pki.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// One request over TLS without any client certificate: status code and body.
pub async fn plain_request(
    world: &World,
    port: u16,
    request: http::request::Builder,
    body: &str,
) -> (u16, String) {
    use http_body_util::BodyExt as _;
    let tls = connect(world, port).await;
    let io = hyper_util::rt::TokioIo::new(tls);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = request.header("host", "localhost").body(axum::body::Body::from(body.to_owned())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}
