//! The node's own network: addresses for pods, a link to each, services.
//!
//! No bridge: each pod has a /32 and a link of its own, the node routes. A pod's only neighbour is
//! 169.254.1.1, whose hardware address it is told, so nobody ever asks by ARP. Nothing leads to the host
//! or beyond.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use crate::netlink::Socket;
use crate::netlink::links::{LOOPBACK, NODE_MAC, POD_LINK, Via, pod_mac};
use crate::netlink::services;
use crate::protocol::{NODE_IP, POD_CIDR, SERVICE_CIDR, ServiceRule};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Links are numbered and named by the pod's place in the network, from here on.
const FIRST_LINK: u32 = 1000;

/// Settings of the node's network; strict source checks keep a pod to its own address.
const SYSCTLS: [(&str, &str); 6] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "1"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
];

#[derive(Debug)]
pub(super) struct Network {
    routes: Socket,
    filters: Socket,
    addresses: Addresses,
}

impl Network {
    pub fn set_up() -> io::Result<Self> {
        for (name, value) in SYSCTLS {
            write_sysctl(name, value)?;
        }
        let mut routes = Socket::route()?;
        routes.set_up(LOOPBACK)?;
        routes.add_address(LOOPBACK, NODE_IP, 32)?;
        routes.add_route(SERVICE_CIDR, Via::Local, LOOPBACK, Some(NODE_IP))?;
        let mut network = Self { routes, filters: Socket::netfilter()?, addresses: Addresses::default() };
        network.apply_services(&[])?;
        Ok(network)
    }

    pub fn apply_services(&mut self, rules: &[ServiceRule]) -> io::Result<()> {
        services::apply(&mut self.filters, rules)
    }

    pub fn take_address(&mut self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        self.addresses.take(wanted)
    }

    pub fn free_address(&mut self, ip: Ipv4Addr) {
        self.addresses.used.remove(&ip);
    }

    /// Links a pod's network namespace, whose own netlink socket is `pod`, to the node's.
    pub fn connect(&mut self, ip: Ipv4Addr, namespace: BorrowedFd<'_>, pod: &mut Socket) -> io::Result<()> {
        let link = link_number(ip);
        self.routes.add_veth(&format!("pod{link}"), link, namespace, pod_mac(ip))?;
        let connected = self.configure(ip, link, pod);
        if connected.is_err() {
            let _ = self.routes.delete_link(link);
        }
        connected
    }

    fn configure(&mut self, ip: Ipv4Addr, link: u32, pod: &mut Socket) -> io::Result<()> {
        self.routes.set_up(link)?;
        self.routes.add_neighbour(link, ip, pod_mac(ip))?;
        self.routes.add_route((ip, 32), Via::Link, link, Some(NODE_IP))?;
        let (_, eth0) = POD_LINK;
        pod.set_up(LOOPBACK)?;
        pod.add_address(eth0, ip, 32)?;
        pod.set_up(eth0)?;
        pod.add_neighbour(eth0, GATEWAY, NODE_MAC)?;
        pod.add_route((GATEWAY, 32), Via::Link, eth0, None)?;
        pod.add_route((Ipv4Addr::UNSPECIFIED, 0), Via::Gateway(GATEWAY), eth0, Some(ip))
    }

    /// The link dies with the pod's namespace anyway, but only when the last process has left it.
    pub fn disconnect(&mut self, ip: Ipv4Addr) {
        let _ = self.routes.delete_link(link_number(ip));
    }
}

/// Writes a `/proc/sys` file of the current network namespace; one the kernel lacks is left out.
pub(super) fn write_sysctl(name: &str, value: &str) -> io::Result<()> {
    match std::fs::write(format!("/proc/sys/{name}"), value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn link_number(ip: Ipv4Addr) -> u32 {
    FIRST_LINK + (u32::from(ip) - u32::from(POD_CIDR.0))
}

/// Gives out addresses in a circle, so that one just freed is the last to be used again.
#[derive(Debug)]
struct Addresses {
    used: BTreeSet<Ipv4Addr>,
    next: u32,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { used: BTreeSet::new(), next: Self::FIRST }
    }
}

impl Addresses {
    /// After the network's own address and the node's.
    const FIRST: u32 = 2;
    const LAST: u32 = (1 << (32 - POD_CIDR.1)) - 2;

    fn take(&mut self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        if let Some(ip) = wanted {
            let place = u32::from(ip).wrapping_sub(u32::from(POD_CIDR.0));
            let free = (Self::FIRST..=Self::LAST).contains(&place) && self.used.insert(ip);
            return free.then_some(ip);
        }
        for _ in Self::FIRST..=Self::LAST {
            let ip = Ipv4Addr::from(u32::from(POD_CIDR.0) + self.next);
            self.next = if self.next == Self::LAST { Self::FIRST } else { self.next + 1 };
            if self.used.insert(ip) {
                return Some(ip);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_address_is_not_the_next_one() {
        let mut addresses = Addresses::default();
        let first = addresses.take(None).unwrap();
        addresses.used.remove(&first);
        assert_ne!(addresses.take(None), Some(first));
    }

    #[test]
    fn an_address_is_given_once() {
        let mut addresses = Addresses::default();
        let wanted = Some(Ipv4Addr::new(10, 244, 9, 9));
        assert_eq!(addresses.take(wanted), wanted);
        assert_eq!(addresses.take(wanted), None);
    }

    #[test]
    fn the_node_and_the_outside_are_never_given() {
        for ip in
            [NODE_IP, Ipv4Addr::new(10, 245, 0, 0), Ipv4Addr::new(10, 244, 255, 255), Ipv4Addr::LOCALHOST]
        {
            assert_eq!(Addresses::default().take(Some(ip)), None, "{ip}");
        }
    }

    #[test]
    fn the_circle_closes_and_ends_when_all_are_used() {
        let mut addresses = Addresses::default();
        let count = std::iter::from_fn(|| addresses.take(None)).count();
        assert_eq!(count, 65_533);
        addresses.used.remove(&Ipv4Addr::new(10, 244, 3, 3));
        assert_eq!(addresses.take(None), Some(Ipv4Addr::new(10, 244, 3, 3)));
    }
}
