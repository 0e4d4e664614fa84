//! Links, addresses, routes and neighbours: the few requests a routed pod network needs.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::Socket;
use super::message::Message;

/// `lo` is the first link of every network namespace.
pub const LOOPBACK: u32 = 1;
/// What a pod calls its only other link, and its number there.
pub const POD_LINK: (&str, u32) = ("eth0", 2);
/// The node's end of every pod's link has this hardware address; no two of them share a wire.
pub const NODE_MAC: [u8; 6] = [0xee; 6];

const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
const INET: u8 = libc::AF_INET as u8;
const VETH_INFO_PEER: u16 = 1;

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Neighbours on the link itself.
    Link,
    Gateway(Ipv4Addr),
    /// This machine: every address of the range is ours.
    Local,
}

/// A pod's hardware address, made from its IP so that nobody ever has to ask for it.
pub fn pod_mac(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x02, 0, a, b, c, d]
}

impl Socket {
    pub fn set_up(&mut self, link: u32) -> io::Result<()> {
        let up = libc::IFF_UP as u32;
        self.request(Message::new(libc::RTM_NEWLINK, 0, &link_header(link, up, up)))
    }

    /// A pair of links: `name` with number `link` here, [`POD_LINK`] in the other namespace.
    pub fn add_veth(
        &mut self,
        name: &str,
        link: u32,
        namespace: BorrowedFd<'_>,
        pod_mac: [u8; 6],
    ) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(link, 0, 0));
        message.text(libc::IFLA_IFNAME, name).attribute(libc::IFLA_ADDRESS, &NODE_MAC);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth").nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    peer.raw(&link_header(POD_LINK.1, 0, 0))
                        .text(libc::IFLA_IFNAME, POD_LINK.0)
                        .attribute(libc::IFLA_ADDRESS, &pod_mac)
                        .attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.request(message)
    }

    /// Removes a link; its other end goes with it.
    pub fn delete_link(&mut self, link: u32) -> io::Result<()> {
        self.request(Message::new(libc::RTM_DELLINK, 0, &link_header(link, 0, 0)))
    }

    pub fn add_address(&mut self, link: u32, ip: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut header = vec![INET, prefix, 0, libc::RT_SCOPE_UNIVERSE];
        header.extend_from_slice(&link.to_ne_bytes());
        let mut message = Message::new(libc::RTM_NEWADDR, CREATE, &header);
        message.attribute(libc::IFA_LOCAL, &ip.octets()).attribute(libc::IFA_ADDRESS, &ip.octets());
        self.request(message)
    }

    /// A route to `to` over `link`; packets made here leave with `source`, when given.
    pub fn add_route(
        &mut self,
        to: (Ipv4Addr, u8),
        via: Via,
        link: u32,
        source: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        let (table, scope, kind) = match via {
            Via::Link => (libc::RT_TABLE_MAIN, libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
            Via::Gateway(_) => (libc::RT_TABLE_MAIN, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST),
            Via::Local => (libc::RT_TABLE_LOCAL, libc::RT_SCOPE_HOST, libc::RTN_LOCAL),
        };
        let (ip, prefix) = to;
        let header = [INET, prefix, 0, 0, table, libc::RTPROT_STATIC, scope, kind, 0, 0, 0, 0];
        let mut message = Message::new(libc::RTM_NEWROUTE, CREATE, &header);
        if prefix > 0 {
            message.attribute(libc::RTA_DST, &ip.octets());
        }
        if let Via::Gateway(gateway) = via {
            message.attribute(libc::RTA_GATEWAY, &gateway.octets());
        }
        if let Some(source) = source {
            message.attribute(libc::RTA_PREFSRC, &source.octets());
        }
        message.attribute(libc::RTA_OIF, &link.to_ne_bytes());
        self.request(message)
    }

    /// Fixes a neighbour's hardware address for good.
    pub fn add_neighbour(&mut self, link: u32, ip: Ipv4Addr, mac: [u8; 6]) -> io::Result<()> {
        let mut header = vec![INET, 0, 0, 0];
        header.extend_from_slice(&link.to_ne_bytes());
        header.extend_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
        header.extend_from_slice(&[0, 0]);
        let mut message = Message::new(libc::RTM_NEWNEIGH, CREATE, &header);
        message.attribute(libc::NDA_DST, &ip.octets()).attribute(libc::NDA_LLADDR, &mac);
        self.request(message)
    }
}

/// `struct ifinfomsg`: family, type, number, flags, and which flags are meant.
fn link_header(link: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend_from_slice(&link.to_ne_bytes());
    header.extend_from_slice(&flags.to_ne_bytes());
    header.extend_from_slice(&change.to_ne_bytes());
    header
}
