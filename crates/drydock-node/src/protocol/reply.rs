//! What comes back: answers, refusals, events.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ContainerStatus, ExecExit, Exit, SandboxStatus, Stats};

/// Anything the node sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromNode {
    Reply { id: u64, result: Result<Reply, Refusal> },
    Event(NodeEvent),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done,
    Info(NodeInfo),
    Listing(Listing),
    Sandbox(SandboxStatus),
    Container(ContainerStatus),
    /// Carries the terminal's controlling end when one was asked for.
    ExecStarted {
        exec: u64,
    },
    /// Carries the writing end of the container's input, or its terminal's controlling end, if it has one.
    Attached {
        tty: bool,
        stdin_once: bool,
    },
    /// Carries one descriptor.
    Socket,
    Path(PathBuf),
    Stats(Stats),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub version: String,
    pub started_unix_ms: i64,
    /// Runs in a user namespace, without the machine's root.
    pub rootless: bool,
    /// How many user ids containers can use: all, a range from `/etc/subuid`, or only root's.
    pub user_ids: u32,
    /// `v1`, `v2` or `none`: whether limits are enforced and memory kills are seen.
    pub cgroups: String,
    pub node_ip: Ipv4Addr,
    /// Whether pods reach addresses outside the node.
    pub egress: bool,
}

/// Everything the node knows of, including containers that ended while no daemon was connected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    pub sandboxes: Vec<SandboxStatus>,
    pub containers: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeEvent {
    ContainerStarted {
        id: String,
        pid: i32,
        started_unix_ms: i64,
    },
    ContainerExited {
        id: String,
        exit: Exit,
    },
    /// Sent only on the connection that asked for the exec.
    ExecExited {
        exec: u64,
        exit: ExecExit,
    },
}

/// The node's "no", with a sentence fit for a pod's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    NotFound,
    AlreadyExists,
    /// The request cannot be right, trying again will not help.
    Invalid,
    /// The program of a container or exec cannot be executed.
    CannotRun,
    /// Right, but not now: the container has not started, or already ended.
    WrongState,
    Unsupported,
    /// The kernel or the disk said no.
    Failed,
}
