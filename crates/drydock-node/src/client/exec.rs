//! Running one more program inside a container: for probes, hooks and `kubectl exec`.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::{Error, NodeClient};
use crate::protocol::{ExecExit, ExecSpec, Reply, Request};

/// The standard descriptors of the program. With a `tty` none are sent.
#[derive(Debug)]
pub struct ExecStdio {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl ExecStdio {
    /// All three on `/dev/null`.
    pub fn null() -> std::io::Result<Self> {
        let null = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
        Ok(Self { stdin: null.try_clone()?, stdout: null.try_clone()?, stderr: null })
    }
}

/// A program that runs. Dropping the session lets it run on.
#[derive(Debug)]
pub struct ExecSession {
    client: NodeClient,
    exec: u64,
    end: oneshot::Receiver<ExecExit>,
    /// The terminal's controlling end, for an exec with `tty`. Resize it with `TIOCSWINSZ`.
    pub terminal: Option<OwnedFd>,
}

impl ExecSession {
    pub async fn signal(&self, signal: i32) -> Result<(), Error> {
        self.client.done(Request::SignalExec { exec: self.exec, signal }).await
    }

    /// Waits for the program to end.
    pub async fn wait(&mut self) -> Result<ExecExit, Error> {
        (&mut self.end).await.map_err(|_| Error::Gone)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    pub exit: ExecExit,
    /// stdout and stderr as they came, cut at the limit that was asked for.
    pub output: Vec<u8>,
}

pub(super) async fn start(
    client: &NodeClient,
    spec: ExecSpec,
    stdio: ExecStdio,
) -> Result<ExecSession, Error> {
    let fds = if spec.tty { Vec::new() } else { vec![stdio.stdin, stdio.stdout, stdio.stderr] };
    let mut answer = client.connection.call(Request::Exec(spec), fds).await?;
    match (answer.reply, answer.exec) {
        (Reply::ExecStarted { exec }, Some(end)) => {
            Ok(ExecSession { client: client.clone(), exec, end, terminal: answer.fds.pop() })
        }
        _ => Err(Error::Unexpected),
    }
}

pub(super) async fn output(
    client: &NodeClient,
    spec: ExecSpec,
    max_output: usize,
) -> Result<ExecOutput, Error> {
    let (write, read) = pipe::pipe().map_err(Error::Output)?;
    let stdio = {
        let write = write.into_blocking_fd().map_err(Error::Output)?;
        let null = ExecStdio::null().map_err(Error::Output)?;
        let stderr = write.as_fd().try_clone_to_owned().map_err(Error::Output)?;
        ExecStdio { stdin: null.stdin, stdout: write, stderr }
    };
    let mut session = start(client, ExecSpec { tty: false, ..spec }, stdio).await?;
    let mut output = Vec::new();
    // The program's end counts, not the pipe's: a child it left behind may hold the pipe open for ever.
    let exit = tokio::select! {
        exit = session.wait() => exit?,
        () = collect(&read, &mut output, max_output) => session.wait().await?,
    };
    drain_ready(&read, &mut output, max_output);
    Ok(ExecOutput { exit, output })
}

/// Reads to the end of the pipe, keeping at most `max` bytes and throwing the rest away.
async fn collect(read: &pipe::Receiver, output: &mut Vec<u8>, max: usize) {
    loop {
        if read.readable().await.is_err() || drain_ready(read, output, max) {
            return;
        }
    }
}

/// Takes what is there now; true at the end of the pipe.
fn drain_ready(read: &pipe::Receiver, output: &mut Vec<u8>, max: usize) -> bool {
    let mut chunk = [0; 4096];
    loop {
        match read.try_read(&mut chunk) {
            Ok(0) => return true,
            Ok(n) => output.extend_from_slice(&chunk[..n.min(max.saturating_sub(output.len()))]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}
