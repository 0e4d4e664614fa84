//! An authority, a server it vouches for, and a certificate for whoever comes to it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::oci::serve_on;
use crate::world::World;

/// Whom a server lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    Any,
    WithCertificate,
}

/// An authority nobody trusts by itself. Its files lie in the world: `ca.pem`, `me.pem`, `me.key`.
pub struct Authority {
    root: CertificateDer<'static>,
    server: CertificateDer<'static>,
    server_key: Vec<u8>,
}

impl Authority {
    pub fn new(world: &World) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, server_key) = signed("127.0.0.1");
        let (mine, my_key) = signed("me");
        world.write("ca.pem", root.pem());
        world.write("me.pem", mine.pem());
        world.write("me.key", my_key.serialize_pem());
        Authority {
            root: root.der().clone(),
            server: server.der().clone(),
            server_key: server_key.serialize_der(),
        }
    }

    /// Serves over TLS on a free port.
    pub fn serve(&self, clients: Clients, make: impl FnOnce(String) -> Router) -> String {
        let acceptor = self.acceptor(clients);
        serve_on(make, |port| Tls { port, acceptor })
    }

    fn acceptor(&self, clients: Clients) -> TlsAcceptor {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let verifier = match clients {
            Clients::Any => WebPkiClientVerifier::no_client_auth(),
            Clients::WithCertificate => WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap(),
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.server_key.clone()));
        let config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.server.clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

struct Tls {
    port: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    /// The next connection that comes through the handshake; others are what the tests are about.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.port.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.port.local_addr()
    }
}
