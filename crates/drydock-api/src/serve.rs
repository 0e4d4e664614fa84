//! The API on a socket: TLS, HTTP/2 and HTTP/1.1, loopback only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::audit::Peer;
use crate::auth::user_of_certificate;
use crate::gather::gather;
use crate::server::Api;

const MAX_CONNECTIONS: usize = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
const MAX_STREAMS: u32 = 1000;
/// How long open requests may take to finish after a shutdown.
const DRAIN: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the API listens on loopback addresses only unless it is told otherwise, not on `{0}`")]
    NotLoopback(SocketAddr),
    #[error("cannot use the listener")]
    Listener(#[from] std::io::Error),
}

impl Api {
    /// Serves until `shutdown`, then ends watches and waits a moment for the rest.
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() && !self.config().beyond_loopback {
            return Err(ServeError::NotLoopback(address));
        }
        let acceptor = TlsAcceptor::from(tls);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        while let Some(place) = shutdown.run_until_cancelled(places.clone().acquire_owned()).await {
            let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await else { break };
            while connections.try_join_next().is_some() {}
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // Answers are small and many; waiting to fill packets would delay every watch event.
            let _ = stream.set_nodelay(true);
            let (api, acceptor, shutdown) = (self.clone(), acceptor.clone(), shutdown.clone());
            connections.spawn(async move {
                api.connection_from(Some(Peer(from.ip())), stream, acceptor, shutdown).await;
                drop(place);
            });
        }
        self.shut_down();
        if tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            tracing::debug!("connections that did not finish in time are cut");
        }
        Ok(())
    }

    /// Serves one connection, from wherever it comes. A client certificate that was presented has been verified by
    /// TLS; without one the client has to bring a token.
    pub async fn connection(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        acceptor: TlsAcceptor,
        shutdown: CancellationToken,
    ) {
        self.connection_from(None, stream, acceptor, shutdown).await;
    }

    async fn connection_from(
        &self,
        peer: Option<Peer>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        acceptor: TlsAcceptor,
        shutdown: CancellationToken,
    ) {
        let tls = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => return tracing::debug!("the TLS handshake took too long"),
        };
        let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let user = certificate.and_then(user_of_certificate);
        let api = self.clone();
        let asked = Arc::new(AtomicBool::new(false));
        let seen = asked.clone();
        let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
            seen.store(true, Ordering::Relaxed);
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            if let Some(user) = &user {
                request.extensions_mut().insert(user.clone());
            }
            let api = api.clone();
            async move { Ok::<_, std::convert::Infallible>(api.answer(request.map(Body::new)).await) }
        });
        let builder = builder();
        let (stream, outlet) = gather(tls);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        // Whoever connects and says nothing takes a place away from others.
        let silent = async {
            tokio::time::sleep(self.config().first_request_timeout).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let served = tokio::select! {
            served = outlet.drive(connection.as_mut()) => served,
            () = silent => return tracing::debug!("a connection that asked for nothing is closed"),
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                outlet.drive(connection).await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES * 2);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
