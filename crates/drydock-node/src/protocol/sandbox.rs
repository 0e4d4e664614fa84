//! A sandbox: the network, IPC and host name that the containers of one pod share.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSpec {
    /// The pod's uid; letters, digits, `-`, `_` and `.` only.
    pub id: String,
    pub hostname: String,
    /// Ask for this address; `None` lets the node choose one that was not used lately.
    pub ip: Option<Ipv4Addr>,
    pub dns: DnsConfig,
    /// Lines of `/etc/hosts` besides those for localhost and the pod itself.
    pub hosts: Vec<HostEntry>,
    /// Further names of the pod itself on its line of `/etc/hosts`, the longest first.
    pub own_names: Vec<String>,
    /// `net.*`, `kernel.shm*`, `kernel.msg*`, `kernel.sem` and `fs.mqueue.*` by dotted name.
    pub sysctls: BTreeMap<String, String>,
    /// All containers of the pod see each other's processes.
    pub share_pid: bool,
    /// Use the node's own network namespace; the address is then [`super::NODE_IP`].
    pub host_network: bool,
    /// Kept and given back by `list`, for adoption after a restart of the daemon.
    pub labels: BTreeMap<String, String>,
}

/// The content of `/etc/resolv.conf`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsConfig {
    pub nameservers: Vec<Ipv4Addr>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostEntry {
    pub ip: std::net::IpAddr,
    pub names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxStatus {
    pub id: String,
    pub ip: Ipv4Addr,
    pub created_unix_ms: i64,
    pub labels: BTreeMap<String, String>,
}
