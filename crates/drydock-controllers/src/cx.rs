//! What every controller is handed: shared kinds, the clock, the recorder, the configuration.
//!
//! Controllers never read the time or touch the host any other way. Start at [`Cx::new`].

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;

use crate::events::Recorder;
use crate::garbage::Graph;
use crate::hpa::Histories;
use crate::kinds::Kinds;

/// What the engine decides for the controllers.
#[derive(Clone)]
pub struct Config {
    /// The cluster's CA, published to every namespace as `kube-root-ca.crt`.
    pub root_ca_pem: String,
    /// Makes and removes the directories behind provisioned volumes.
    pub volumes: Arc<dyn VolumeHost>,
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// Volumes are directories `volumes_dir/<volume name>`.
    pub fn new(root_ca_pem: impl Into<String>, volumes_dir: impl Into<PathBuf>) -> Config {
        Config {
            root_ca_pem: root_ca_pem.into(),
            volumes: Arc::new(DirectoryVolumes { root: volumes_dir.into() }),
            clock: Arc::new(SystemClock),
        }
    }
}

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Where provisioned volumes live. Both calls may be repeated for the same volume.
pub trait VolumeHost: Send + Sync {
    /// Makes the directory of `volume` and returns its path on the node.
    fn create(&self, volume: String) -> BoxFuture<'_, io::Result<PathBuf>>;
    /// Removes the directory with everything in it; a missing one is a success.
    fn remove(&self, volume: String) -> BoxFuture<'_, io::Result<()>>;
}

/// Volumes as plain directories under one root.
pub struct DirectoryVolumes {
    pub root: PathBuf,
}

impl VolumeHost for DirectoryVolumes {
    fn create(&self, volume: String) -> BoxFuture<'_, io::Result<PathBuf>> {
        Box::pin(async move {
            let path = self.root.join(volume);
            tokio::fs::create_dir_all(&path).await?;
            Ok(path)
        })
    }

    fn remove(&self, volume: String) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            match tokio::fs::remove_dir_all(self.root.join(volume)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }
}

pub struct Cx {
    pub client: Client,
    pub kinds: Kinds,
    pub graph: Arc<Graph>,
    /// What autoscalers remember between passes.
    pub histories: Histories,
    pub recorder: Recorder,
    pub config: Config,
    /// Held by the scheduler while it decides and counts one pod.
    pub placing: Mutex<()>,
}

impl Cx {
    pub fn new(client: Client, config: Config, recorder: Recorder) -> Cx {
        let (kinds, graph) = (Kinds::new(&client), Arc::new(Graph::default()));
        Cx {
            kinds,
            graph,
            histories: Histories::default(),
            client,
            recorder,
            config,
            placing: Mutex::new(()),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.config.clock.now()
    }
}

/// The form that objects carry: whole seconds, so that what is written equals what is read back.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// Time that has passed since `since`; zero if that lies ahead.
pub fn elapsed(since: &Time, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since.0)).unwrap_or_default()
}
