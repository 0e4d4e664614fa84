//! What the API asks of the node: the streams of running containers.
//!
//! The engine hands in an implementation; an API without a node (as in tests) uses [`NoNode`]. Everything that is not
//! implemented is refused by name, never ignored.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;

use crate::meta;

pub use drydock_streams::{Duplex, Outcome, Reader, Session, Size, Writer};

/// Which pod; the uid tells a pod from its successor of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRef {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl PodRef {
    pub(crate) fn of(pod: &Value) -> Self {
        Self {
            namespace: meta::namespace(pod).to_owned(),
            name: meta::name(pod).to_owned(),
            uid: meta::uid(pod).to_owned(),
        }
    }
}

/// As the query of `pods/NAME/log` says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub container: String,
    pub follow: bool,
    /// The log of the container's previous run.
    pub previous: bool,
    pub tail_lines: Option<u64>,
    /// Only lines younger than this.
    pub since: Option<Since>,
    /// Puts the time of each line in front of it.
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
    /// Only what was written to this one.
    pub stream: Option<Output>,
}

/// One of a program's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Age(Duration),
    Time(Timestamp),
}

/// A command to run in a container, or with an empty command the container's own process to attach to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    pub container: String,
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    /// Never together with `tty`, which has one output.
    pub stderr: bool,
    pub tty: bool,
}

pub type LogStream = BoxStream<'static, io::Result<Bytes>>;

/// A use of the machine, averaged over the sample's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub cpu_nanocores: u64,
    /// Without the file cache that could be had back at once.
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodUsage {
    pub namespace: String,
    pub name: String,
    pub containers: Vec<(String, Usage)>,
}

/// What everything on the node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub at: Timestamp,
    pub window: Duration,
    /// Name of the Node object.
    pub node: String,
    pub node_usage: Usage,
    pub pods: Vec<PodUsage>,
}

/// Why the node cannot do it; the text reaches the user.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("drydock does not offer {0} yet")]
    NotImplemented(&'static str),
}

/// The node's side of a pod's subresources. `ExecOptions` and `LogOptions` always name the container.
pub trait NodeBackend: Send + Sync + 'static {
    /// Whether [`Self::sample`] will have something to tell; `metrics.k8s.io` is served only then.
    fn measures(&self) -> bool {
        false
    }

    /// What everything used of late; `None` until that is known.
    fn sample(&self) -> Option<Arc<Sample>> {
        None
    }

    /// Why nothing can be asked of containers now, if so. Told before a connection is upgraded.
    fn check(&self) -> Result<(), NodeError> {
        Ok(())
    }

    fn logs(&self, pod: PodRef, options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>>;

    fn exec(&self, _pod: PodRef, _options: ExecOptions) -> BoxFuture<'_, Result<Session, NodeError>> {
        Box::pin(async { Err(NodeError::NotImplemented("exec")) })
    }

    fn attach(&self, _pod: PodRef, _options: ExecOptions) -> BoxFuture<'_, Result<Session, NodeError>> {
        Box::pin(async { Err(NodeError::NotImplemented("attach")) })
    }

    fn port_forward(&self, _pod: PodRef, _port: u16) -> BoxFuture<'_, Result<Box<dyn Duplex>, NodeError>> {
        Box::pin(async { Err(NodeError::NotImplemented("port-forward")) })
    }
}

/// An API without containers behind it.
#[derive(Debug, Default)]
pub struct NoNode;

impl NodeBackend for NoNode {
    fn check(&self) -> Result<(), NodeError> {
        Err(NodeError::Unavailable("this API has no node".to_owned()))
    }

    fn logs(&self, _pod: PodRef, _options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        Box::pin(async { Err(NodeError::Unavailable("this API has no node".to_owned())) })
    }
}
