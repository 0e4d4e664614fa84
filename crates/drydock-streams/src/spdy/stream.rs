//! One stream of a connection: headers, a reader and a writer. Both are bounded; dropping them never blocks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, PollSender};

use super::frame::Frame;
use super::headers::Headers;
use super::window::Window;

/// The longest piece one frame carries.
const MAX_PIECE_BYTES: usize = 32 << 10;
/// Consumed bytes are reported to the peer in steps of this size.
const REPORT_BYTES: u32 = 16 << 10;

/// A stream the peer has opened. It waits for [`Stream::accept`].
pub struct Stream {
    pub id: u32,
    pub headers: Headers,
    pub reader: StreamReader,
    pub writer: StreamWriter,
    pub(super) frames: mpsc::Sender<Frame>,
}

impl Stream {
    /// Tells the peer that the stream is taken. Before that nothing may be written.
    pub async fn accept(&self) {
        let reply = Frame::SynReply { stream: self.id, fin: false, headers: Headers::default() };
        // The connection's end is seen by whoever reads or writes next.
        let _ = self.frames.send(reply).await;
    }

    pub async fn reset(&self, status: u32) {
        let _ = self.frames.send(Frame::Reset { stream: self.id, status }).await;
    }
}

/// What the peer sends. Ends with the peer's half of the stream, its reset, or the connection.
pub struct StreamReader {
    pub(super) id: u32,
    pub(super) inner: DuplexStream,
    pub(super) consumed: u32,
    pub(super) frames: mpsc::Sender<Frame>,
}

impl AsyncRead for StreamReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, into))?;
        this.consumed = this.consumed.saturating_add((into.filled().len() - before) as u32);
        if this.consumed >= REPORT_BYTES {
            // A report that finds no place is made with the next one.
            let room = |stream| Frame::WindowUpdate { stream, delta: this.consumed };
            if this.frames.capacity() >= 2
                && this.frames.try_send(room(this.id)).is_ok()
                && this.frames.try_send(room(0)).is_ok()
            {
                this.consumed = 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What is sent to the peer. Shutting it down ends our half of the stream.
pub struct StreamWriter {
    pub(super) id: u32,
    pub(super) frames: PollSender<Frame>,
    pub(super) window: Arc<Window>,
    pub(super) reset: CancellationToken,
    pub(super) finished: bool,
}

impl StreamWriter {
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.is_cancelled() || self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.frames.poll_reserve(cx).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.frames.send_item(frame).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.poll_place(cx))?;
        let taken = ready!(this.window.poll_take(cx, bytes.len().min(MAX_PIECE_BYTES)));
        let bytes = Bytes::copy_from_slice(&bytes[..taken]);
        this.send(Frame::Data { stream: this.id, fin: false, bytes })?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.finished || this.reset.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_place(cx))?;
        this.finished = true;
        this.send(Frame::Data { stream: this.id, fin: true, bytes: Bytes::new() })?;
        Poll::Ready(Ok(()))
    }
}
