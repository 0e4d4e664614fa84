//! Moves bytes between a client and a session until the session has ended and all of its output is on its way.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::remote::resize;
use crate::{Outcome, Reader, Session, Writer};

/// A process that has ended may leave children behind that hold its output open; they are not waited for longer.
const LEFT_BEHIND: Duration = Duration::from_millis(500);
const PIECE_BYTES: usize = 32 << 10;

/// The client's side of a remote command, whatever the transport.
pub(crate) struct Client {
    pub stdin: Option<Reader>,
    pub stdout: Option<Writer>,
    pub stderr: Option<Writer>,
    pub resize: Option<Reader>,
}

pub(crate) async fn pump(client: Client, session: Session) -> Outcome {
    let ended = CancellationToken::new();
    let detaches = session.detaches && client.stdin.is_some();
    let input = input(client.stdin, session.stdin);
    let sizes = resize::forward(client.resize, session.resize);
    let outputs = async {
        tokio::join!(
            output(session.stdout, client.stdout, &ended),
            output(session.stderr, client.stderr, &ended),
        )
    };
    let end = async {
        let outcome = match session.end {
            Some(end) => Some(end.await),
            None => None,
        };
        if outcome.is_some() {
            ended.cancel();
        }
        outcome.unwrap_or(Outcome::Success)
    };
    let done = async { tokio::join!(end, outputs).0 };
    let input = async {
        input.await;
        if !detaches {
            std::future::pending::<()>().await;
        }
    };
    let sizes = async {
        sizes.await;
        std::future::pending::<()>().await;
    };
    // Input and sizes may end long before the command, and seldom end it.
    tokio::select! {
        biased;
        outcome = done => outcome,
        () = input => Outcome::Success,
        () = sizes => Outcome::Success,
    }
}

/// What the process does not want is read all the same: other streams share the connection.
async fn input(from: Option<Reader>, to: Option<Writer>) {
    let Some(mut from) = from else {
        // Without a client's input the process keeps what it has: an attachment may only watch.
        return;
    };
    let mut to = to;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => pass_on(&mut to, &piece[..length]).await,
        }
    }
    if let Some(mut writer) = to {
        let _ = writer.shutdown().await;
    }
}

async fn output(from: Option<Reader>, to: Option<Writer>, ended: &CancellationToken) {
    let Some(mut from) = from else { return finish(to).await };
    let mut to = to;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = tokio::select! {
            biased;
            read = from.read(&mut piece) => read,
            () = async { ended.cancelled().await; tokio::time::sleep(LEFT_BEHIND).await } => return finish(to).await,
        };
        match read {
            Ok(0) | Err(_) => return finish(to).await,
            Ok(length) => pass_on(&mut to, &piece[..length]).await,
        }
    }
}

/// A writer that fails is given up: what it would have got is read and dropped.
async fn pass_on(to: &mut Option<Writer>, piece: &[u8]) {
    if let Some(writer) = to
        && writer.write_all(piece).await.is_err()
    {
        *to = None;
    }
}

async fn finish(to: Option<Writer>) {
    if let Some(mut writer) = to {
        let _ = writer.shutdown().await;
    }
}
