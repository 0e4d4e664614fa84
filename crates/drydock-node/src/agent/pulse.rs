//! Tells pod workers that a ConfigMap, Secret or claim has changed. Keeps no copy of any of them.

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::broadcast;

const RETRY: Duration = Duration::from_millis(250);
const QUEUE: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ConfigMap,
    Secret,
    Claim,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// A receiver that lags must look at everything.
#[derive(Clone, Debug)]
pub struct Pulse {
    sender: broadcast::Sender<Changed>,
}

impl Pulse {
    pub fn new() -> Self {
        Pulse { sender: broadcast::channel(QUEUE).0 }
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.sender.subscribe()
    }

    /// Follows `api` for ever.
    pub async fn follow<K>(self, kind: Kind, api: Api<K>, config: watcher::Config)
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    {
        let mut events = std::pin::pin!(watcher::watcher(api, config));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::Delete(object) | Event::InitApply(object)) => {
                    let namespace = object.namespace().unwrap_or_default();
                    // Nobody listening is fine.
                    let _ = self.sender.send(Changed { kind, namespace, name: object.name_any() });
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => {
                    tracing::debug!(?kind, %error, "watch failed, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}
