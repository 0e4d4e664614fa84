//! Who asked for what, and how they are answered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::protocol::frame::{self, Inbox};
use crate::protocol::{FromNode, Refusal, RefusalKind, Reply};
use crate::runtime;

/// A daemon that does not read is cut off when this much waits for it.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// One request, to be answered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub peer: u64,
    pub id: u64,
}

/// An answer and the descriptors that go with it.
pub(super) type Answer = Result<(Reply, Vec<OwnedFd>), Refusal>;

pub(super) fn done() -> Answer {
    Ok((Reply::Done, Vec::new()))
}

pub(super) fn refuse(kind: RefusalKind, message: impl Into<String>) -> Refusal {
    Refusal { kind, message: message.into() }
}

/// "cannot make the sandbox: permission denied".
pub(super) fn failed(doing: &str) -> impl FnOnce(io::Error) -> Refusal + '_ {
    move |error| refuse(RefusalKind::Failed, format!("cannot {doing}: {error}"))
}

impl From<runtime::Error> for Refusal {
    fn from(error: runtime::Error) -> Self {
        error.refusal()
    }
}

/// Names become directories and cgroups.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 200 && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    Err(refuse(RefusalKind::Invalid, format!("`{name}` is not a name for a directory")))
}

/// A connected daemon.
#[derive(Debug)]
pub(super) struct Peer {
    pub stream: UnixStream,
    pub inbox: Inbox,
    pub subscribed: bool,
    outbox: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    waiting_bytes: usize,
    /// Of the first frame in the outbox.
    sent: usize,
}

impl Peer {
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            inbox: Inbox::default(),
            subscribed: false,
            outbox: VecDeque::new(),
            waiting_bytes: 0,
            sent: 0,
        }
    }

    pub fn has_mail(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Queues a message and sends what the socket takes; an error means the peer is lost.
    pub fn post(&mut self, message: &FromNode, fds: Vec<OwnedFd>) -> Result<(), frame::Error> {
        let bytes = frame::encode(message, fds.len())?;
        self.waiting_bytes += bytes.len();
        if self.waiting_bytes > MAX_WAITING_BYTES {
            return Err(frame::Error::TooLong(self.waiting_bytes));
        }
        self.outbox.push_back((bytes, fds));
        self.flush()
    }

    pub fn flush(&mut self) -> Result<(), frame::Error> {
        while let Some((bytes, fds)) = self.outbox.front_mut() {
            match frame::send_some(self.stream.as_fd(), &bytes[self.sent..], fds) {
                Ok(sent) => {
                    fds.clear();
                    self.sent += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if self.sent == bytes.len() {
                self.waiting_bytes -= bytes.len();
                self.sent = 0;
                self.outbox.pop_front();
            }
        }
        Ok(())
    }
}
