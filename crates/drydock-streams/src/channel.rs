//! WebSocket channels: each message begins with the number of its channel. No I/O.
//!
//! `v5.channel.k8s.io` adds 255 and a channel for "no more of this one"; the `base64` forms put everything into text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

pub const STDIN: u8 = 0;
pub const STDOUT: u8 = 1;
pub const STDERR: u8 = 2;
pub const ERROR: u8 = 3;
pub const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What client and server agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// As in `Sec-WebSocket-Protocol`; empty when the client named none.
    pub name: &'static str,
    pub base64: bool,
    /// The error channel carries a `Status` and not a text.
    pub status: bool,
    /// One direction can be closed alone.
    pub half_close: bool,
}

const fn protocol(name: &'static str, base64: bool, status: bool, half_close: bool) -> Protocol {
    Protocol { name, base64, status, half_close }
}

/// For exec and attach.
pub const REMOTE_COMMAND: &[Protocol] = &[
    protocol("v5.channel.k8s.io", false, true, true),
    protocol("v4.channel.k8s.io", false, true, false),
    protocol("v4.base64.channel.k8s.io", true, true, false),
    protocol("channel.k8s.io", false, false, false),
    protocol("base64.channel.k8s.io", true, false, false),
    protocol("", false, false, false),
];

/// For port-forward in its old form, two channels per port.
pub const PORT_FORWARD: &[Protocol] = &[
    protocol("v4.channel.k8s.io", false, false, false),
    protocol("v4.base64.channel.k8s.io", true, false, false),
    protocol("", false, false, false),
];

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Data(u8, Bytes),
    Close(u8),
    /// Not understood, and of no consequence.
    Nothing,
}

impl Protocol {
    pub fn decode(&self, message: Bytes) -> Packet {
        match (message.first(), message.len()) {
            (None, _) => Packet::Nothing,
            (Some(&CLOSE), 2) if self.half_close => Packet::Close(message[1]),
            (Some(&CLOSE), _) if self.half_close => Packet::Nothing,
            (Some(channel), _) if self.base64 => match STANDARD.decode(&message[1..]) {
                Ok(bytes) => Packet::Data(channel.wrapping_sub(b'0'), bytes.into()),
                Err(_) => Packet::Nothing,
            },
            (Some(&channel), _) => Packet::Data(channel, message.slice(1..)),
        }
    }

    /// The message for some bytes; with base64 it is text.
    pub fn encode(&self, channel: u8, bytes: &[u8]) -> Bytes {
        let mut message = BytesMut::with_capacity(1 + bytes.len());
        match self.base64 {
            false => {
                message.extend_from_slice(&[channel]);
                message.extend_from_slice(bytes);
            }
            true => {
                message.extend_from_slice(&[b'0'.wrapping_add(channel)]);
                message.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            }
        }
        message.freeze()
    }
}

/// The first protocol of the client that is among ours; an empty list asks for the one without a name.
pub fn choose<'a>(asked: impl IntoIterator<Item = &'a str>, ours: &[Protocol]) -> Option<Protocol> {
    let mut asked = asked.into_iter().peekable();
    let none = asked.peek().is_none();
    let named = asked.find_map(|name| ours.iter().find(|one| one.name == name));
    named.or_else(|| ours.iter().find(|one| none && one.name.is_empty())).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(name: &str) -> Protocol {
        *REMOTE_COMMAND.iter().find(|one| one.name == name).unwrap()
    }

    #[track_caller]
    fn check(name: &str, message: &'static [u8], expect: Packet) {
        assert_eq!(named(name).decode(Bytes::from_static(message)), expect);
    }

    #[test]
    fn a_message_goes_to_the_channel_it_names() {
        check("v4.channel.k8s.io", b"\x00ls\n", Packet::Data(STDIN, Bytes::from_static(b"ls\n")));
        check("base64.channel.k8s.io", b"0bHMK", Packet::Data(STDIN, Bytes::from_static(b"ls\n")));
        check("v4.channel.k8s.io", b"", Packet::Nothing);
        check("base64.channel.k8s.io", b"0!", Packet::Nothing);
    }

    #[test]
    fn only_the_fifth_version_can_close_one_channel() {
        check("v5.channel.k8s.io", b"\xff\x00", Packet::Close(STDIN));
        check("v5.channel.k8s.io", b"\xff", Packet::Nothing);
        check("v4.channel.k8s.io", b"\xff\x00", Packet::Data(255, Bytes::from_static(b"\x00")));
    }

    #[test]
    fn the_clients_order_decides() {
        let chosen = |asked: &[&str]| choose(asked.iter().copied(), REMOTE_COMMAND).map(|one| one.name);
        assert_eq!(chosen(&["v5.channel.k8s.io", "v4.channel.k8s.io"]), Some("v5.channel.k8s.io"));
        assert_eq!(chosen(&["v9.channel.k8s.io", "channel.k8s.io"]), Some("channel.k8s.io"));
        assert_eq!(chosen(&[]), Some(""));
        assert_eq!(chosen(&["v9.channel.k8s.io"]), None);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes: Vec<u8>, channel in 0u8..9, which in 0usize..6) {
            let protocol = REMOTE_COMMAND[which];
            let expect = Packet::Data(channel, bytes.clone().into());
            prop_assert_eq!(protocol.decode(protocol.encode(channel, &bytes)), expect);
        }

        #[test]
        fn noise_never_panics(bytes: Vec<u8>, which in 0usize..6) {
            let _ = REMOTE_COMMAND[which].decode(bytes.into());
        }
    }
}
