//! A WebSocket as a plain stream of bytes: each binary message carries the next ones.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::websocket;

const MAX_PIECE_BYTES: usize = 64 << 10;

pub struct Tunnel<S> {
    socket: WebSocketStream<S>,
    unread: Bytes,
    said_goodbye: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tunnel<S> {
    /// `io` is a connection whose WebSocket handshake is done.
    pub async fn new(io: S) -> Self {
        Self { socket: websocket::accept(io).await, unread: Bytes::new(), said_goodbye: false }
    }
}

fn other(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::ErrorKind::BrokenPipe.into()
        }
        error => io::Error::other(error),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tunnel<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => this.unread = bytes,
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed)) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(other(error))),
            }
        }
        let length = this.unread.len().min(into.remaining());
        into.put_slice(&this.unread[..length]);
        this.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tunnel<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let piece = &bytes[..bytes.len().min(MAX_PIECE_BYTES)];
        ready!(Pin::new(&mut this.socket).poll_ready(cx)).map_err(other)?;
        let message = Message::Binary(Bytes::copy_from_slice(piece));
        Pin::new(&mut this.socket).start_send(message).map_err(other)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(other)
    }

    /// Says goodbye and does not wait for the answer: that is read, as everything else.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.said_goodbye {
            ready!(Pin::new(&mut this.socket).poll_ready(cx)).map_err(other)?;
            this.said_goodbye = true;
            let _ = Pin::new(&mut this.socket).start_send(websocket::goodbye());
        }
        match ready!(Pin::new(&mut this.socket).poll_flush(cx)) {
            Err(error) if !matches!(error, tungstenite::Error::ConnectionClosed) => {
                Poll::Ready(Err(other(error)))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}
