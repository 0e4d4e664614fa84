//! What every pod worker shares: the API, the node, and what is known of the cluster.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client};
use tokio::sync::mpsc;

use super::events::Recorder;
use super::fields::Facts;
use super::images::{ImageError, Images, ReadyImage};
use super::machine::Capacity;
use super::probe::{Kind, Verdict};
use super::pulse::Pulse;
use super::spec::ClusterDns;
use crate::client::NodeClient;
use crate::mirror::Mirror;
use crate::protocol::Exit;

pub struct Cx {
    pub client: Client,
    pub node: NodeClient,
    pub images: Arc<dyn Images>,
    /// The node's folder.
    pub dir: PathBuf,
    pub node_name: String,
    pub host_ip: Ipv4Addr,
    pub dns: ClusterDns,
    pub capacity: Capacity,
    pub services: Mirror<Service>,
    pub events: Recorder,
    pub pulse: Pulse,
    pub live: Live,
}

impl Cx {
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub fn facts(&self, pod_ip: Option<Ipv4Addr>) -> Facts {
        Facts {
            node_name: self.node_name.clone(),
            host_ip: self.host_ip.to_string(),
            pod_ip: pod_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            cpu_millis: self.capacity.cpu_millis,
            memory_bytes: self.capacity.memory_bytes,
        }
    }
}

/// Something that happened to a container of one pod.
#[derive(Debug)]
pub enum News {
    Exited {
        id: String,
        exit: Exit,
    },
    Image {
        container: String,
        result: Result<ReadyImage, ImageError>,
    },
    /// A probe's verdict changed, or a result counted as a failure.
    Probe {
        container: String,
        id: String,
        kind: Kind,
        verdict: Verdict,
        failure: Option<String>,
    },
    PostStart {
        container: String,
        id: String,
        result: Result<(), String>,
    },
    /// A preStop hook failed; the container is stopped all the same.
    PreStop {
        container: String,
        failure: String,
    },
}

/// Unbounded, because its senders are few and slow: one task per container and probe, each of which speaks
/// only when something changes, and the node's exits.
pub type NewsSender = mpsc::UnboundedSender<News>;

/// The log files that are still being written: where following a log ends.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<HashSet<PathBuf>>>);

impl Live {
    pub fn begin(&self, log: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(log);
    }

    pub fn end(&self, log: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(log);
    }

    pub fn contains(&self, log: &Path) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(log)
    }
}
