//! Gathers what a connection writes during a turn and the one after it, and sends it in one piece.
//!
//! HTTP/2 flushes after every frame. With many streams on a connection, watches above all, that is a TLS record and a
//! system call for each event of each watch; gathered, it is one for all that are due at that moment. The second turn
//! comes when all tasks that were ready have had theirs: nothing waits for time to pass. Outside of turns, as after an
//! upgrade to another protocol, a flush is a flush.
//!
//! Start at [`gather`]: the stream goes to the HTTP server, whose turns [`Outlet::drive`] takes.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than this is sent within the turn: two TLS records.
const LIMIT_BYTES: usize = 32 << 10;

/// The stream as the HTTP server sees it.
pub struct Gathering<S> {
    shared: Arc<Mutex<Shared<S>>>,
}

/// The other end of a [`Gathering`]: sends what was gathered.
pub struct Outlet<S> {
    shared: Arc<Mutex<Shared<S>>>,
}

struct Shared<S> {
    stream: S,
    gathered: Vec<u8>,
    /// How much of it has been sent.
    sent: usize,
    /// Whether a turn is being taken, which will flush at its end.
    in_turn: bool,
}

pub fn gather<S>(stream: S) -> (Gathering<S>, Outlet<S>) {
    let shared = Shared { stream, gathered: Vec::new(), sent: 0, in_turn: false };
    let shared = Arc::new(Mutex::new(shared));
    (Gathering { shared: shared.clone() }, Outlet { shared })
}

impl<S: AsyncWrite + Unpin> Outlet<S> {
    /// Runs the server of the [`Gathering`] turn by turn.
    pub async fn drive<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        let mut again = false;
        poll_fn(|cx| {
            lock(&self.shared).in_turn = true;
            let polled = connection.as_mut().poll(cx);
            let mut shared = lock(&self.shared);
            shared.in_turn = false;
            again = polled.is_pending() && !again && !shared.gathered.is_empty();
            if again {
                // Behind the tasks that are ready now: they may have something for this connection too.
                cx.waker().wake_by_ref();
                return polled;
            }
            // Whoever is not ready wakes this task; what failed fails again at the server's next write.
            let _ = shared.flush(cx);
            polled
        })
        .await
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(&mut self.stream)
    }

    /// Makes room for `bytes` more.
    fn make_room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        match self.gathered.len() + bytes > LIMIT_BYTES {
            true => self.send(cx),
            false => Poll::Ready(Ok(())),
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.gathered.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        // A quiet connection keeps no memory.
        (self.gathered, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send(cx))?;
        self.stream().poll_flush(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.shared).stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.shared);
        let bytes = parts.iter().map(|part| part.len()).sum();
        ready!(shared.make_room(cx, bytes))?;
        parts.iter().for_each(|part| shared.gathered.extend_from_slice(part));
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        if shared.in_turn { Poll::Ready(Ok(())) } else { shared.flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        ready!(shared.send(cx))?;
        shared.stream().poll_shutdown(cx)
    }
}

fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    // Bytes in a buffer are never half there.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// What the other side has received by now.
    fn received(mut other: &mut DuplexStream) -> String {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _ = Pin::new(&mut other).poll_read(&mut cx, &mut buffer);
        String::from_utf8_lossy(buffer.filled()).into_owned()
    }

    #[tokio::test]
    async fn what_is_written_in_two_turns_leaves_when_the_second_ends() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let (mut stream, outlet) = gather(near);
        let turns = async {
            for part in ["a", "b"] {
                stream.write_all(part.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                assert_eq!(received(&mut far), "");
                tokio::task::yield_now().await;
            }
            assert_eq!(received(&mut far), "ab");
            stream.write_all(b"c").await.unwrap();
        };
        outlet.drive(Box::pin(turns).as_mut()).await;
        assert_eq!(received(&mut far), "c");
    }

    #[tokio::test]
    async fn outside_of_turns_a_flush_is_a_flush() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let (mut stream, _outlet) = gather(near);
        stream.write_all(b"upgraded").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(received(&mut far), "upgraded");
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything_in_order_and_bounds_what_is_held() {
        let (near, mut far) = tokio::io::duplex(100);
        let (mut stream, outlet) = gather(near);
        let sent: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
        let write = pin!(async {
            for part in sent.chunks(997) {
                stream.write_all(part).await.unwrap();
                assert!(lock(&stream.shared).gathered.len() <= LIMIT_BYTES);
            }
            stream.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        let read = async { far.read_to_end(&mut got).await.unwrap() };
        tokio::join!(outlet.drive(write), read);
        assert!(got == sent);
    }
}
