//! Frames: `[u32 length][u32 descriptors][JSON]`, little endian.
//!
//! Descriptors travel beside the bytes and arrive in the order in which they were sent, so a receiver keeps
//! them in a queue and takes as many as a frame's header names. A frame is never longer than
//! [`MAX_BODY_BYTES`] and never carries more than [`MAX_FDS`]; a peer that breaks that is cut off.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub const MAX_BODY_BYTES: usize = 32 << 20;
pub const MAX_FDS: usize = 8;
/// Descriptors of frames not yet taken out; more than this came without a frame.
const MAX_WAITING_FDS: usize = 256;
const HEADER_BYTES: usize = 8;
const READ_BYTES: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a frame of {0} bytes is longer than the {MAX_BODY_BYTES} allowed")]
    TooLong(usize),
    #[error("a frame names {named} descriptors, {came} came with it")]
    Descriptors { named: usize, came: usize },
    #[error("the frame's JSON is not understood")]
    Json(#[from] serde_json::Error),
    #[error("the other side closed the connection")]
    Closed,
    #[error("cannot read or write the node's socket")]
    Io(#[from] io::Error),
}

/// Turns a message into the bytes of one frame.
pub fn encode<T: Serialize>(message: &T, fds: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let body = bytes.len() - HEADER_BYTES;
    if body > MAX_BODY_BYTES {
        return Err(Error::TooLong(body));
    }
    bytes[..4].copy_from_slice(&(body as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&(fds as u32).to_le_bytes());
    Ok(bytes)
}

/// Collects what was read until whole frames can be taken out.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Reads once. `WouldBlock` is an ordinary [`Error::Io`].
    pub fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let start = self.bytes.len();
        self.bytes.resize(start + READ_BYTES, 0);
        let mut control = nix::cmsg_space!([RawFd; MAX_FDS]);
        let received = receive(socket.as_raw_fd(), &mut self.bytes[start..], &mut control);
        match received {
            Ok((0, _)) => {
                self.bytes.truncate(start);
                Err(Error::Closed)
            }
            Ok((read, fds)) => {
                self.bytes.truncate(start + read);
                self.fds.extend(fds);
                if self.fds.len() > MAX_WAITING_FDS {
                    return Err(Error::Descriptors { named: 0, came: self.fds.len() });
                }
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(Error::Io(error))
            }
        }
    }

    /// Takes the next whole message with its descriptors, if there is one.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, Error> {
        let Some((header, rest)) = self.bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let named = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if length > MAX_BODY_BYTES {
            return Err(Error::TooLong(length));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        if named > self.fds.len() {
            return Err(Error::Descriptors { named, came: self.fds.len() });
        }
        let message = serde_json::from_slice(body)?;
        let fds = self.fds.drain(..named).collect();
        self.bytes.drain(..HEADER_BYTES + length);
        if self.bytes.is_empty() {
            // There are many inboxes, and most are empty most of the time.
            self.bytes = Vec::new();
        }
        Ok(Some((message, fds)))
    }
}

fn receive(socket: RawFd, into: &mut [u8], control: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    use std::os::fd::FromRawFd;
    let mut buffers = [IoSliceMut::new(into)];
    let message = recvmsg::<()>(
        socket,
        &mut buffers,
        Some(control),
        MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
    )?;
    let mut fds = Vec::new();
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = item {
            // SAFETY: the kernel just made these descriptors for this process; nothing else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

/// Writes as much of `bytes` as the socket takes, with `fds` beside the first byte.
pub fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<usize> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    Ok(sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None)?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn messages_glued_together_keep_their_own_descriptors() {
        let (here, there) = UnixStream::pair().unwrap();
        let extra: OwnedFd = UnixStream::pair().unwrap().0.into();
        let plain = encode(&"plain", 0).unwrap();
        let laden = encode(&"laden", 1).unwrap();
        send_some(here.as_fd(), &plain, &[]).unwrap();
        send_some(here.as_fd(), &laden, &[extra]).unwrap();

        let mut inbox = Inbox::default();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            inbox.fill(there.as_fd()).unwrap();
            while let Some((text, fds)) = inbox.take::<String>().unwrap() {
                seen.push((text, fds.len()));
            }
        }
        assert_eq!(seen, [("plain".to_owned(), 0), ("laden".to_owned(), 1)]);
    }

    #[test]
    fn a_frame_that_claims_to_be_huge_is_refused_before_it_arrives() {
        let (here, there) = UnixStream::pair().unwrap();
        send_some(here.as_fd(), &[0xff; 8], &[]).unwrap();
        let mut inbox = Inbox::default();
        inbox.fill(there.as_fd()).unwrap();
        assert!(matches!(inbox.take::<String>(), Err(Error::TooLong(_))));
    }

    #[test]
    fn half_a_frame_waits_for_the_other_half() {
        let (here, there) = UnixStream::pair().unwrap();
        let bytes = encode(&"whole", 0).unwrap();
        let mut inbox = Inbox::default();
        send_some(here.as_fd(), &bytes[..10], &[]).unwrap();
        inbox.fill(there.as_fd()).unwrap();
        assert!(inbox.take::<String>().unwrap().is_none());
        send_some(here.as_fd(), &bytes[10..], &[]).unwrap();
        inbox.fill(there.as_fd()).unwrap();
        assert_eq!(inbox.take::<String>().unwrap().unwrap().0, "whole");
    }
}
