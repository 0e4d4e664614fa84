//! Sockets made in the node's network, or a pod's, and handed to the daemon.

use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};

use super::asks::{Answer, done, failed, refuse};
use super::serve::Node;
use crate::protocol::{RefusalKind, Reply, ServiceRule};

/// Listens without blocking; only the node's own and services' addresses can be bound at all.
pub(super) fn bind_tcp(addr: SocketAddrV4) -> Answer {
    let bound = TcpListener::bind(addr).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    hand_over(bound.map_err(failed(&format!("listen on {addr}")))?.into())
}

pub(super) fn bind_udp(addr: SocketAddrV4) -> Answer {
    let bound = UdpSocket::bind(addr).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    hand_over(bound.map_err(failed(&format!("bind {addr}")))?.into())
}

fn hand_over(socket: OwnedFd) -> Answer {
    Ok((Reply::Socket, vec![socket]))
}

impl Node {
    /// Begins a connection; the daemon waits for it, the node never does.
    pub(super) fn connect_tcp(&self, addr: SocketAddrV4, sandbox: Option<&str>) -> Answer {
        let made = match sandbox {
            None => new_socket(),
            Some(id) => {
                let Some(sandbox) = self.sandboxes.get(id) else {
                    return Err(refuse(RefusalKind::NotFound, format!("sandbox `{id}` does not exist")));
                };
                match &sandbox.namespaces.network {
                    None => new_socket(),
                    Some(network) => self.home.away(CloneFlags::CLONE_NEWNET, || {
                        setns(network, CloneFlags::CLONE_NEWNET)?;
                        new_socket()
                    }),
                }
            }
        };
        let socket = made.map_err(failed("make a socket"))?;
        match connect(socket.as_raw_fd(), &SockaddrIn::from(addr)) {
            Ok(()) | Err(Errno::EINPROGRESS) => hand_over(socket),
            Err(error) => Err(failed(&format!("connect to {addr}"))(error.into())),
        }
    }

    pub(super) fn apply_services(&mut self, services: &[ServiceRule]) -> Answer {
        self.network.apply_services(services).map_err(failed("write the service rules"))?;
        done()
    }
}

fn new_socket() -> std::io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(AddressFamily::Inet, SockType::Stream, flags, None)?)
}
