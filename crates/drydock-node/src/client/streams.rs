//! Standard streams of a program in a container, as something tokio reads and writes.
//!
//! Either pipes, of which one per stream, or a terminal for all of them.

use std::os::fd::OwnedFd;

use tokio::net::unix::pipe;

use super::exec::{self, ExecSession, ExecStdio};
use super::terminal::Terminal;
use super::{Error, NodeClient};
use crate::protocol::{ExecSpec, Reply, Request};

/// Our ends. Dropping them is the end of input, and hangs a terminal up.
#[derive(Debug, Default)]
pub struct Streams {
    pub stdin: Option<pipe::Sender>,
    pub stdout: Option<pipe::Receiver>,
    pub stderr: Option<pipe::Receiver>,
    /// Written to for input. An exec's is read from too; an attachment's output comes through `stdout`.
    pub terminal: Option<Terminal>,
}

/// Which of its own standard streams a program shall have; the others are `/dev/null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// What an attachment got.
#[derive(Debug)]
pub struct Attached {
    pub streams: Streams,
    /// This was the container's only input: its end is the container's end of input.
    pub stdin_once: bool,
}

pub(super) async fn exec(
    client: &NodeClient,
    spec: ExecSpec,
    wanted: Wanted,
) -> Result<(ExecSession, Streams), Error> {
    let mut ours = Streams::default();
    let mut stdio = ExecStdio::null().map_err(Error::Output)?;
    if !spec.tty {
        if wanted.stdin {
            let (sender, receiver) = pipe::pipe().map_err(Error::Output)?;
            stdio.stdin = receiver.into_blocking_fd().map_err(Error::Output)?;
            ours.stdin = Some(sender);
        }
        if wanted.stdout {
            (ours.stdout, stdio.stdout) = output()?;
        }
        if wanted.stderr {
            (ours.stderr, stdio.stderr) = output()?;
        }
    }
    let mut session = exec::start(client, spec, stdio).await?;
    if let Some(controller) = session.terminal.take() {
        ours.terminal = Some(Terminal::new(controller).map_err(Error::Output)?);
    }
    Ok((session, ours))
}

pub(super) async fn attach(client: &NodeClient, container: &str) -> Result<Attached, Error> {
    let (stdout, stdout_write) = output()?;
    let (stderr, stderr_write) = output()?;
    let request = Request::Attach { container: container.to_owned() };
    let mut answer = client.connection.call(request, vec![stdout_write, stderr_write]).await?;
    let Reply::Attached { tty, stdin_once } = answer.reply else { return Err(Error::Unexpected) };
    let mut streams = Streams { stdout, stderr, ..Streams::default() };
    if let Some(input) = answer.fds.pop() {
        match tty {
            true => streams.terminal = Some(Terminal::new(input).map_err(Error::Output)?),
            false => streams.stdin = Some(pipe::Sender::from_owned_fd(input).map_err(Error::Output)?),
        }
    }
    if tty {
        streams.stderr = None;
    }
    Ok(Attached { streams, stdin_once })
}

/// A pipe to read from here and to write to there.
fn output() -> Result<(Option<pipe::Receiver>, OwnedFd), Error> {
    let (sender, receiver) = pipe::pipe().map_err(Error::Output)?;
    Ok((Some(receiver), sender.into_blocking_fd().map_err(Error::Output)?))
}
