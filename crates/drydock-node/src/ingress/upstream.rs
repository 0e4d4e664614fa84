//! Connections to pods, kept and used again.
//!
//! A request is handed back untouched when it could not be sent, so that the caller may try another
//! endpoint; once a byte of it has left, it never is.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::client::NodeClient;

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long a pod may think before it answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const IDLE_MAX: Duration = Duration::from_secs(30);
const IDLE_PER_ENDPOINT: usize = 32;

/// How to reach a pod; the node's sockets in drydock, plain ones in tests.
pub trait Dial: Send + Sync + 'static {
    fn dial(&self, addr: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>>;
}

impl Dial for NodeClient {
    fn dial(&self, addr: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(async move { self.connect_tcp(addr).await.map_err(io::Error::other) })
    }
}

/// Why there is no response.
#[derive(Debug)]
pub enum Failure {
    /// Nothing was sent: the request is whole and may go elsewhere.
    NotSent(Box<Request<Incoming>>, String),
    /// The pod has seen at least part of it.
    Broken(String),
    /// The pod took it and said nothing for [`ANSWER_WITHIN`].
    Silent,
}

type Sender = SendRequest<Incoming>;
/// Free connections by endpoint, each with the moment it became free.
type Idle = HashMap<SocketAddrV4, Vec<(Sender, Instant)>>;

#[derive(Clone)]
pub struct Pool {
    dial: Arc<dyn Dial>,
    idle: Arc<Mutex<Idle>>,
}

impl Pool {
    pub fn new(dial: Arc<dyn Dial>) -> Self {
        Pool { dial, idle: Arc::default() }
    }

    /// Sends `request` to `addr` and waits for the head of the answer.
    pub async fn send(
        &self,
        addr: SocketAddrV4,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Failure> {
        // A kept connection may have been closed by the pod a moment ago; then the request comes back whole.
        while let Some(sender) = self.take(addr) {
            match self.send_on(sender, addr, request).await {
                Err(Failure::NotSent(back, _)) => request = *back,
                other => return other,
            }
        }
        match self.connect(addr).await {
            Ok(sender) => self.send_on(sender, addr, request).await,
            Err(error) => Err(Failure::NotSent(Box::new(request), error.to_string())),
        }
    }

    async fn connect(&self, addr: SocketAddrV4) -> io::Result<Sender> {
        let stream = tokio::time::timeout(CONNECT_WITHIN, self.dial.dial(addr))
            .await
            .map_err(|_| io::Error::other("no connection within 3 s"))??;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends with the connection: when either side closes it or the last sender is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::trace!(%addr, %error, "a connection to a pod ended");
            }
        });
        Ok(sender)
    }

    async fn send_on(
        &self,
        mut sender: Sender,
        addr: SocketAddrV4,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Failure> {
        match tokio::time::timeout(ANSWER_WITHIN, sender.try_send_request(request)).await {
            Err(_) => Err(Failure::Silent),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Failure::NotSent(Box::new(request), error.error().to_string()),
                None => Failure::Broken(error.error().to_string()),
            }),
            Ok(Ok(response)) => {
                self.keep_when_done(sender, addr);
                Ok(response)
            }
        }
    }

    /// The connection is free once the answer's body has been read to its end.
    fn keep_when_done(&self, mut sender: Sender, addr: SocketAddrV4) {
        let idle = self.idle.clone();
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                let kept = idle.entry(addr).or_default();
                if kept.len() < IDLE_PER_ENDPOINT {
                    kept.push((sender, Instant::now()));
                }
            }
        });
    }

    fn take(&self, addr: SocketAddrV4) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(&addr)?;
        kept.retain(|(sender, since)| sender.is_ready() && since.elapsed() < IDLE_MAX);
        let taken = kept.pop().map(|(sender, _)| sender);
        if kept.is_empty() {
            idle.remove(&addr);
        }
        taken
    }

    /// Forgets connections to endpoints that are not in use any more.
    pub fn retain(&self, used: impl Fn(&SocketAddrV4) -> bool) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|addr, _| used(addr));
    }
}
