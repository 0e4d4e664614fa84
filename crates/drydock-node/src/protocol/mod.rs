//! What the daemon and the node process say to each other.
//!
//! One unix stream socket, `<dir>/node.sock`. Every message is a [`frame`]: a length, a count of file
//! descriptors and a JSON body. The daemon sends [`Envelope`]s, the node answers each exactly once with a
//! [`Reply`] of the same id, and pushes [`NodeEvent`]s in between. Answers may come in another order than
//! the questions. Nothing here does I/O; start at [`Request`].

pub mod frame;

mod container;
mod reply;
mod sandbox;
mod service;
mod volume;

pub use container::*;
pub use reply::*;
pub use sandbox::*;
pub use service::*;
pub use volume::*;

use std::net::SocketAddrV4;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The pods' network.
pub const POD_CIDR: (std::net::Ipv4Addr, u8) = (std::net::Ipv4Addr::new(10, 244, 0, 0), 16);
/// The services' network; every address in it that no rule translates answers "connection refused".
pub const SERVICE_CIDR: (std::net::Ipv4Addr, u8) = (std::net::Ipv4Addr::new(10, 96, 0, 0), 12);
/// The node's own address inside the pods' network.
pub const NODE_IP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 244, 0, 1);
/// The word after the program name that makes it a node.
pub const NODE_ROLE: &str = "drydock-node";

/// A request with the number its answer will carry.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    pub id: u64,
    pub request: Request,
}

/// Everything a daemon can ask of a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Ping,
    /// Push [`NodeEvent`]s about containers on this connection from now on.
    Subscribe,
    List,
    CreateSandbox(SandboxSpec),
    RemoveSandbox {
        id: String,
    },
    CreateContainer(Box<ContainerSpec>),
    StartContainer {
        id: String,
    },
    SignalContainer {
        id: String,
        signal: i32,
    },
    /// New limits for what runs.
    ResizeContainer {
        id: String,
        resources: Resources,
    },
    RemoveContainer {
        id: String,
    },
    /// Carries three descriptors (stdin, stdout, stderr) unless `tty` is set.
    Exec(ExecSpec),
    /// Carries two descriptors that get what a running container writes to stdout and stderr from now on.
    Attach {
        container: String,
    },
    SignalExec {
        exec: u64,
        signal: i32,
    },
    /// Answered at once with a socket whose connection is still being made.
    ConnectTcp {
        addr: SocketAddrV4,
        sandbox: Option<String>,
    },
    BindTcp {
        addr: SocketAddrV4,
    },
    BindUdp {
        addr: SocketAddrV4,
    },
    ApplyServices {
        services: Vec<ServiceRule>,
    },
    WriteVolume(VolumeContent),
    MakeDir(DirSpec),
    MakeTmpfs {
        volume: String,
        size_bytes: Option<u64>,
        fs_group: Option<u32>,
    },
    RemoveVolume {
        volume: String,
    },
    RemoveDir {
        path: PathBuf,
    },
    Stats {
        container: String,
    },
    Shutdown,
}
