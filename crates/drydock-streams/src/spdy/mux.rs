//! A connection of many streams: [`Mux::new`] gives a handle that hands out the streams the peer opens, and a driver
//! that must be polled beside whatever uses them.
//!
//! The peer's data waits in a bounded buffer per stream; when one is full the connection is not read further, since
//! Kubernetes' clients can be held back in no other way.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::stream::Stream;

/// Bounds of one connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Streams open at once; more are refused.
    pub max_streams: usize,
    /// Of a stream's data, as long as nobody reads it.
    pub buffer_bytes: usize,
    /// Frames waiting to be written.
    pub queued_frames: usize,
    /// Without a byte in either direction for so long the connection ends.
    pub idle: Duration,
    /// How often the peer is asked for a sign of life.
    pub heartbeat: Duration,
    /// How long the peer may take to hang up after the last word.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_streams: 512,
            buffer_bytes: 256 << 10,
            queued_frames: 16,
            idle: Duration::from_secs(4 * 3600),
            heartbeat: Duration::from_secs(15),
            linger: Duration::from_secs(2),
        }
    }
}

/// The streams the peer opens. When it and all streams are dropped, the connection says goodbye and ends.
pub struct Mux {
    pub(super) incoming: mpsc::Receiver<Stream>,
    pub(super) _frames: mpsc::Sender<super::Frame>,
    pub(super) gone: CancellationToken,
}

impl Mux {
    pub fn new<I>(io: I, limits: Limits) -> (Self, impl Future<Output = ()> + Send + use<I>)
    where
        I: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (frames, outgoing) = mpsc::channel(limits.queued_frames);
        let (found, incoming) = mpsc::channel(limits.queued_frames);
        let gone = CancellationToken::new();
        let connection = Connection::new(limits, found, frames.downgrade(), gone.clone());
        let driver = connection.drive(io, outgoing);
        (Self { incoming, _frames: frames, gone }, driver)
    }

    /// The next stream the peer opens; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Stream> {
        self.incoming.recv().await
    }

    /// Cancelled when the peer is gone, idle for too long, or has broken the protocol.
    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }
}
