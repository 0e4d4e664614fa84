//! Links, routes and packet rules, told to the kernel directly: no `ip` or `nft` program is needed.
//!
//! A [`Socket`] belongs for good to the network namespace it was opened in, which is how the node
//! configures a pod's network without staying there. Requests are synchronous and take microseconds.

pub mod links;
pub mod message;
pub mod services;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt,
    socket, sockopt,
};

use message::{ERROR, HEADER_BYTES, Message};

/// Room for the answers to a batch, one error per message at worst.
const RECEIVE_BYTES: usize = 64 << 10;
/// Room for a whole table in one batch.
const SEND_BUFFER_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// For links, addresses, routes and neighbours of the current network namespace.
    pub fn route() -> io::Result<Self> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    /// For nftables of the current network namespace.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> io::Result<Self> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Only the machine's root may go beyond the system's limit; others send smaller tables.
        if setsockopt(&fd, sockopt::SndBufForce, &SEND_BUFFER_BYTES).is_err() {
            setsockopt(&fd, sockopt::SndBuf, &SEND_BUFFER_BYTES)?;
        }
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends one request and waits for the kernel's yes or no.
    pub fn request(&mut self, mut message: Message) -> io::Result<()> {
        message.want_answer();
        self.batch(vec![message])
    }

    /// Sends messages as one datagram; the last must ask for an answer. The first refusal is returned.
    pub fn batch(&mut self, mut messages: Vec<Message>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut last_answered = 0;
        for message in &mut messages {
            self.sequence = self.sequence.wrapping_add(1);
            if message.wants_answer() {
                last_answered = self.sequence;
            }
            bytes.extend_from_slice(message.finish(self.sequence));
        }
        sendto(self.fd.as_raw_fd(), &bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        self.answers(last_answered)
    }

    /// The kernel has answered by the time the send returns, so an empty queue means the end.
    fn answers(&mut self, last: u32) -> io::Result<()> {
        let mut buffer = vec![0; RECEIVE_BYTES];
        let mut outcome = Err(io::ErrorKind::UnexpectedEof.into());
        let mut refused = None;
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(nix::errno::Errno::EAGAIN) => break,
                other => other?,
            };
            for (sequence, error) in outcomes(&buffer[..length]) {
                match error {
                    0 if sequence == last => outcome = Ok(()),
                    0 => {}
                    error => refused = refused.or(Some(io::Error::from_raw_os_error(-error))),
                }
            }
        }
        refused.map_or(outcome, Err)
    }
}

/// The (sequence number, negative errno or 0) pairs in a datagram of acknowledgements.
fn outcomes(mut datagram: &[u8]) -> Vec<(u32, i32)> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
    };
    let mut found = Vec::new();
    while let (Some(length), Some(kind), Some(sequence)) =
        (word(datagram, 0), datagram.get(4..6), word(datagram, 8))
    {
        if u16::from_ne_bytes([kind[0], kind[1]]) == ERROR
            && let Some(error) = word(datagram, HEADER_BYTES)
        {
            found.push((sequence, error as i32));
        }
        let step = (length as usize).max(HEADER_BYTES).next_multiple_of(4);
        datagram = datagram.get(step..).unwrap_or_default();
    }
    found
}
