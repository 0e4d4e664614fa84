//! Reads what an upgrade request asks for, and writes the 101 that grants it.
//!
//! Start at [`Handshake::read`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};

use crate::channel::{self, Protocol};

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const SPDY: &str = "SPDY/3.1";
const TUNNEL_PREFIX: &str = "SPDY/3.1+";
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Of a SPDY connection for commands, the newest first.
const SPDY_COMMANDS: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const SPDY_FORWARD: [&str; 1] = ["portforward.k8s.io"];

/// What will run over the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    RemoteCommand,
    PortForward,
}

/// How it will run there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Channels(Protocol),
    /// With the version of the streams' protocol.
    Spdy(&'static str),
    /// SPDY in binary messages of a WebSocket.
    Tunnel(&'static str),
}

/// Why a connection is not upgraded; the texts are those of a real server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error("Upgrade request required")]
    NotAnUpgrade,
    #[error("unable to upgrade: header X-Stream-Protocol-Version does not exist in request")]
    NoProtocol,
    #[error(
        "unable to upgrade: unable to negotiate protocol: client supports [{asked}], server accepts [{ours}]"
    )]
    NoCommonProtocol { asked: String, ours: String },
    #[error("the WebSocket handshake lacks `{0}`")]
    WebSocket(&'static str),
}

/// A request that can be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    pub transport: Transport,
    accept: Option<String>,
}

impl Handshake {
    pub fn read(headers: &HeaderMap, service: Service) -> Result<Self, HandshakeError> {
        let wants = |name: &HeaderName, word: &str| {
            values(headers, name).any(|value| value.to_ascii_lowercase().contains(word))
        };
        if !wants(&CONNECTION, "upgrade") {
            return Err(HandshakeError::NotAnUpgrade);
        }
        if wants(&UPGRADE, "websocket") {
            return websocket(headers, service);
        }
        if wants(&UPGRADE, "spdy/3.1") {
            let asked: Vec<&str> = values(headers, &STREAM_PROTOCOL).collect();
            if asked.is_empty() {
                return Err(HandshakeError::NoProtocol);
            }
            return Ok(Self { transport: Transport::Spdy(common(&asked, service)?), accept: None });
        }
        Err(HandshakeError::NotAnUpgrade)
    }

    /// The headers of the 101 answer.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let (upgrade, protocol) = match self.transport {
            Transport::Channels(protocol) => {
                ("websocket", (SEC_WEBSOCKET_PROTOCOL, protocol.name.to_owned()))
            }
            Transport::Tunnel(name) => {
                ("websocket", (SEC_WEBSOCKET_PROTOCOL, format!("{TUNNEL_PREFIX}{name}")))
            }
            Transport::Spdy(name) => (SPDY, (STREAM_PROTOCOL, name.to_owned())),
        };
        headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
        let named = Some(protocol.1).filter(|name| !name.is_empty());
        if let Some(name) = named.and_then(|name| HeaderValue::try_from(name).ok()) {
            headers.insert(protocol.0, name);
        }
        if let Some(accept) = self.accept.as_ref().and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        headers
    }
}

fn websocket(headers: &HeaderMap, service: Service) -> Result<Handshake, HandshakeError> {
    let missing = HandshakeError::WebSocket;
    let key = values(headers, &SEC_WEBSOCKET_KEY).next().ok_or(missing("Sec-WebSocket-Key"))?;
    if values(headers, &SEC_WEBSOCKET_VERSION).next() != Some("13") {
        return Err(missing("Sec-WebSocket-Version: 13"));
    }
    let asked: Vec<&str> = values(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let tunnelled: Vec<&str> = asked.iter().filter_map(|name| name.strip_prefix(TUNNEL_PREFIX)).collect();
    let transport = match (service, tunnelled.as_slice()) {
        (_, [_, ..]) => Transport::Tunnel(common(&tunnelled, service)?),
        (service, []) => {
            let ours = match service {
                Service::RemoteCommand => channel::REMOTE_COMMAND,
                Service::PortForward => channel::PORT_FORWARD,
            };
            let refused = || {
                let ours: Vec<&str> = ours.iter().map(|one| one.name).collect();
                HandshakeError::NoCommonProtocol { asked: asked.join(" "), ours: ours.join(" ") }
            };
            Transport::Channels(channel::choose(asked.iter().copied(), ours).ok_or_else(refused)?)
        }
    };
    Ok(Handshake { transport, accept: Some(accept_key(key)) })
}

fn common(asked: &[&str], service: Service) -> Result<&'static str, HandshakeError> {
    let ours: &'static [&'static str] = match service {
        Service::RemoteCommand => &SPDY_COMMANDS,
        Service::PortForward => &SPDY_FORWARD,
    };
    let found = asked.iter().find_map(|name| ours.iter().find(|known| known == &name));
    let refused = || HandshakeError::NoCommonProtocol { asked: asked.join(" "), ours: ours.join(" ") };
    found.copied().ok_or_else(refused)
}

/// The values of a header, whether in one line or in several.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|value| !value.is_empty())
}

/// RFC 6455, section 4.2.2.
fn accept_key(key: &str) -> String {
    let text = format!("{key}{WEBSOCKET_GUID}");
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(service: Service, request: &str, expect: &str) {
        let mut headers = HeaderMap::new();
        for line in request.split('|') {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::try_from(name.trim()).unwrap();
            headers.append(name, HeaderValue::try_from(value).unwrap());
        }
        let seen = match Handshake::read(&headers, service) {
            Err(error) => error.to_string(),
            Ok(handshake) => match handshake.transport {
                Transport::Channels(protocol) => format!("channels {}", protocol.name),
                Transport::Spdy(name) => format!("spdy {name}"),
                Transport::Tunnel(name) => format!("tunnel {name}"),
            },
        };
        assert_eq!(seen, expect);
    }

    const WEBSOCKET: &str = "connection: Upgrade|upgrade: websocket|sec-websocket-version: 13|sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn every_kubectl_gets_its_transport() {
        use Service::{PortForward, RemoteCommand};
        let spdy = "connection: Upgrade|upgrade: SPDY/3.1";
        let versions =
            "x-stream-protocol-version: v5.channel.k8s.io|x-stream-protocol-version: v4.channel.k8s.io";
        check(RemoteCommand, &format!("{spdy}|{versions}"), "spdy v4.channel.k8s.io");
        let old = "x-stream-protocol-version: v2.channel.k8s.io, channel.k8s.io";
        check(RemoteCommand, &format!("{spdy}|{old}"), "spdy v2.channel.k8s.io");
        let forward = "x-stream-protocol-version: portforward.k8s.io";
        check(PortForward, &format!("{spdy}|{forward}"), "spdy portforward.k8s.io");
        let five = "sec-websocket-protocol: v5.channel.k8s.io";
        check(RemoteCommand, &format!("{WEBSOCKET}|{five}"), "channels v5.channel.k8s.io");
        let tunnel = "sec-websocket-protocol: SPDY/3.1+portforward.k8s.io";
        check(PortForward, &format!("{WEBSOCKET}|{tunnel}"), "tunnel portforward.k8s.io");
        let both = "sec-websocket-protocol: v5.channel.k8s.io, v4.channel.k8s.io";
        check(PortForward, &format!("{WEBSOCKET}|{both}"), "channels v4.channel.k8s.io");
    }

    #[test]
    fn what_cannot_be_upgraded_says_why() {
        check(Service::RemoteCommand, "accept: */*", "Upgrade request required");
        check(
            Service::RemoteCommand,
            "connection: Upgrade|upgrade: SPDY/3.1",
            "unable to upgrade: header X-Stream-Protocol-Version does not exist in request",
        );
        check(
            Service::PortForward,
            "connection: Upgrade|upgrade: SPDY/3.1|x-stream-protocol-version: v9",
            "unable to upgrade: unable to negotiate protocol: client supports [v9], server accepts [portforward.k8s.io]",
        );
    }

    #[test]
    fn the_accept_key_is_that_of_the_standard() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
