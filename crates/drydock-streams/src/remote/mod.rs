//! Exec and attach: stdin, stdout, stderr, the window's size, and at last how it ended.
//!
//! The session is started only when the client's streams are there, and its end is told on the error stream before the
//! connection is closed. Start at [`serve`].

pub(crate) mod resize;
mod streams;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::channel::{self, Protocol};
use crate::pump::{Client, pump};
use crate::spdy::Limits;
use crate::tunnel::Tunnel;
use crate::websocket::Channels;
use crate::{Outcome, Reader, Session, Transport, Writer};

/// Which streams the client has asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    /// Never together with `tty`: a terminal has one output.
    pub stderr: bool,
    pub tty: bool,
}

/// Starts what runs at the other side; the error is a text for the user.
pub type Start = BoxFuture<'static, Result<Session, String>>;

/// Serves one upgraded connection to its end.
pub async fn serve<S>(io: S, transport: Transport, wanted: Wanted, limits: Limits, start: Start)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match transport {
        Transport::Channels(protocol) => channels(io, protocol, wanted, limits, start).await,
        Transport::Spdy(version) => streams::serve(io, version, wanted, limits, start).await,
        Transport::Tunnel(version) => {
            streams::serve(Tunnel::new(io).await, version, wanted, limits, start).await;
        }
    }
}

async fn channels<S>(io: S, protocol: Protocol, wanted: Wanted, limits: Limits, start: Start)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let read: &[u8] = if wanted.stdin { &[channel::STDIN, channel::RESIZE] } else { &[channel::RESIZE] };
    let (mut all, driver) = Channels::new(io, protocol, read, limits).await;
    let gone = all.gone();
    let work = async move {
        // An empty message tells the client that it is connected.
        let first = match wanted {
            Wanted { stdout: true, .. } => channel::STDOUT,
            Wanted { stderr: true, .. } => channel::STDERR,
            _ => channel::ERROR,
        };
        all.send(first, &[]).await;
        let writer = |wanted: bool, number| wanted.then(|| Box::new(all.writer(number)) as Writer);
        let (stdout, stderr) =
            (writer(wanted.stdout, channel::STDOUT), writer(wanted.stderr, channel::STDERR));
        let mut reader = |number| all.reader(number).map(|reader| Box::new(reader) as Reader);
        let client =
            Client { stdin: reader(channel::STDIN), stdout, stderr, resize: reader(channel::RESIZE) };
        let outcome = run(client, start).await;
        let message = outcome.message(protocol.status);
        if protocol.status || !message.is_empty() {
            all.send(channel::ERROR, &message).await;
        }
    };
    let work = async {
        tokio::select! { () = work => {}, () = gone.cancelled() => {} }
    };
    tokio::join!(driver, work);
}

async fn run(client: Client, start: Start) -> Outcome {
    match start.await {
        Ok(session) => pump(client, session).await,
        Err(why) => Outcome::Failed(why),
    }
}
