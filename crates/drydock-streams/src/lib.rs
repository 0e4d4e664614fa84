//! The wire protocols of exec, attach and port-forward, on the server's side.
//!
//! For the API, which upgrades a request and hands the connection over. There are three transports: WebSocket channels
//! ([`channel`]), SPDY/3.1 ([`spdy`]), and SPDY inside WebSocket messages ([`tunnel`]). What runs over them is the same:
//! a [`Session`] for a command ([`remote`]), connections into a pod for port-forward ([`forward`]).
//!
//! **Invariant:** knows nothing of Kubernetes objects or containers; every queue and buffer is bounded; when either side
//! goes away, the other one is let go.
//!
//! Start at [`Handshake::read`], then [`remote::serve`] or [`forward::serve`].

mod alive;
pub mod channel;
pub mod forward;
mod handshake;
mod outcome;
mod pump;
pub mod remote;
pub mod spdy;
pub mod tunnel;
mod websocket;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

pub use handshake::{Handshake, HandshakeError, Service, Transport};
pub use outcome::Outcome;

pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Columns and rows.
pub type Size = (u16, u16);

/// A running exec or attach. Dropping it hangs up.
pub struct Session {
    /// Dropping it is the end of input.
    pub stdin: Option<Writer>,
    pub stdout: Option<Reader>,
    pub stderr: Option<Reader>,
    /// For a terminal.
    pub resize: Option<mpsc::Sender<Size>>,
    /// How the process ended. `None` for an attachment, which is over with its output.
    pub end: Option<BoxFuture<'static, Outcome>>,
    /// It is over when the client has no more input: an attachment that is not the only one there will be.
    pub detaches: bool,
}
