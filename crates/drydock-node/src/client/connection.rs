//! One connection to the node, shared by all clones of a client.
//!
//! Two tasks own the socket's ends: one writes whole frames from a bounded queue (so a dropped call cannot
//! leave half a frame behind), one reads and hands each answer to whoever waits for its number. Both end
//! with the connection or with the last client.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Error;
use crate::protocol::frame::{self, Inbox};
use crate::protocol::{Envelope, ExecExit, FromNode, NodeEvent, Refusal, Reply, Request};

const QUEUED_REQUESTS: usize = 64;
const QUEUED_EVENTS: usize = 1024;

/// What came back for one request.
#[derive(Debug)]
pub(super) struct Answer {
    pub reply: Reply,
    pub fds: Vec<OwnedFd>,
    /// For `ExecStarted`: registered before the reader moves on, so a quick end is not missed.
    pub exec: Option<oneshot::Receiver<ExecExit>>,
}

type Waiter = oneshot::Sender<Result<Answer, Refusal>>;

#[derive(Debug, Default)]
struct Waiting {
    answers: HashMap<u64, Waiter>,
    execs: HashMap<u64, oneshot::Sender<ExecExit>>,
    closed: bool,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Connection {
    next_id: AtomicU64,
    outgoing: mpsc::Sender<Outgoing>,
    waiting: Arc<Mutex<Waiting>>,
    events: broadcast::Sender<NodeEvent>,
    closed: CancellationToken,
    node_pid: Option<i32>,
    _tasks: DropGuard,
}

impl Connection {
    pub async fn open(dir: &Path) -> Result<Self, Error> {
        let not_running = |source| Error::NotRunning { dir: dir.to_owned(), source };
        let socket = connect_socket(dir).map_err(not_running)?;
        let socket = Arc::new(UnixStream::from_std(socket).map_err(not_running)?);
        let node_pid = socket.peer_cred().ok().and_then(|peer| peer.pid());
        let (outgoing, queue) = mpsc::channel(QUEUED_REQUESTS);
        let (events, _) = broadcast::channel(QUEUED_EVENTS);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let stop = CancellationToken::new();
        let closed = CancellationToken::new();
        tokio::spawn({
            let (socket, stop) = (socket.clone(), stop.clone());
            async move {
                tokio::select! { () = stop.cancelled() => {}, () = write_frames(&socket, queue) => stop.cancel() }
            }
        });
        tokio::spawn({
            let (stop, closed, waiting, events) =
                (stop.clone(), closed.clone(), waiting.clone(), events.clone());
            async move {
                let end = tokio::select! {
                    () = stop.cancelled() => frame::Error::Closed,
                    end = read_frames(&socket, &waiting, &events) => end,
                };
                tracing::debug!(%end, "connection to the node ended");
                stop.cancel();
                let mut waiting = lock(&waiting);
                waiting.closed = true;
                waiting.answers.clear();
                waiting.execs.clear();
                closed.cancel();
            }
        });
        let _tasks = stop.drop_guard();
        Ok(Self { next_id: AtomicU64::new(1), outgoing, waiting, events, closed, node_pid, _tasks })
    }

    pub fn node_pid(&self) -> Option<i32> {
        self.node_pid
    }

    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.events.subscribe()
    }

    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Sends one request and waits for its answer.
    pub async fn call(&self, request: Request, fds: Vec<OwnedFd>) -> Result<Answer, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let bytes = frame::encode(&Envelope { id, request }, fds.len())?;
        let (waiter, answer) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return Err(Error::Gone);
            }
            waiting.answers.insert(id, waiter);
        }
        self.outgoing.send(Outgoing { bytes, fds }).await.map_err(|_| Error::Gone)?;
        Ok(answer.await.map_err(|_| Error::Gone)??)
    }
}

/// Connects through the directory's descriptor: a socket's path may be no longer than 107 bytes.
fn connect_socket(dir: &Path) -> std::io::Result<std::os::unix::net::UnixStream> {
    use std::os::fd::AsRawFd;
    let dir = std::fs::File::open(dir)?;
    let path = format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), crate::node::SOCKET);
    let socket = std::os::unix::net::UnixStream::connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn write_frames(socket: &UnixStream, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = write_frame(socket, frame).await {
            tracing::debug!(%error, "cannot write to the node");
            return;
        }
    }
}

async fn write_frame(socket: &UnixStream, frame: Outgoing) -> std::io::Result<()> {
    let mut fds = &frame.fds[..];
    let mut sent = 0;
    while sent < frame.bytes.len() {
        let rest = &frame.bytes[sent..];
        sent += socket.async_io(Interest::WRITABLE, || frame::send_some(socket.as_fd(), rest, fds)).await?;
        fds = &[];
    }
    Ok(())
}

async fn read_frames(
    socket: &UnixStream,
    waiting: &Mutex<Waiting>,
    events: &broadcast::Sender<NodeEvent>,
) -> frame::Error {
    let mut inbox = Inbox::default();
    loop {
        let filled = socket
            .async_io(Interest::READABLE, || match inbox.fill(socket.as_fd()) {
                Err(frame::Error::Io(error)) => Err(error),
                other => Ok(other),
            })
            .await;
        match filled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return frame::Error::Io(error),
        }
        loop {
            match inbox.take::<FromNode>() {
                Ok(Some((message, fds))) => deliver(message, fds, waiting, events),
                Ok(None) => break,
                Err(error) => return error,
            }
        }
    }
}

fn deliver(
    message: FromNode,
    fds: Vec<OwnedFd>,
    waiting: &Mutex<Waiting>,
    events: &broadcast::Sender<NodeEvent>,
) {
    match message {
        FromNode::Reply { id, result } => {
            let mut waiting = lock(waiting);
            let exec = match &result {
                Ok(Reply::ExecStarted { exec }) => {
                    let (ended, end) = oneshot::channel();
                    waiting.execs.insert(*exec, ended);
                    Some(end)
                }
                _ => None,
            };
            if let Some(waiter) = waiting.answers.remove(&id) {
                // A caller that gave up is no error; its descriptors close with the answer.
                let _ = waiter.send(result.map(|reply| Answer { reply, fds, exec }));
            }
        }
        FromNode::Event(NodeEvent::ExecExited { exec, exit }) => {
            if let Some(ended) = lock(waiting).execs.remove(&exec) {
                let _ = ended.send(exit);
            }
        }
        // Nobody listening is no error.
        FromNode::Event(event) => drop(events.send(event)),
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
