//! Services as the packet filter needs them: one rule per cluster address, port and protocol.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceRule {
    pub cluster_ip: Ipv4Addr,
    pub port: u16,
    pub protocol: Protocol,
    /// Empty means that connections are refused.
    pub endpoints: Vec<SocketAddrV4>,
    /// `sessionAffinity: ClientIP`: a client keeps its endpoint while the set of endpoints stays the same.
    #[serde(default)]
    pub affinity: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
}
