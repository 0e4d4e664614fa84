//! Follows the pods of this node and keeps one worker for each.
//!
//! At the start everything the node runs is matched with the pods of the API by uid: known ones are adopted
//! by their workers, the rest is removed, with all its directories.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cx::{Cx, News, NewsSender};
use super::spec;
use super::worker::{Adopted, Desired, Worker, remove_pod};
use crate::protocol::{ContainerState, Listing, NodeEvent};

const RETRY: Duration = Duration::from_millis(250);

struct Handle {
    desired: watch::Sender<Desired>,
    news: NewsSender,
}

pub struct Pods {
    cx: Arc<Cx>,
    workers: HashMap<String, Handle>,
    adopted: HashMap<String, Adopted>,
    /// Uids of a list that is still arriving.
    listed: HashSet<String>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Pods {
    pub fn new(cx: Arc<Cx>, listing: Listing, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let mut adopted: HashMap<String, Adopted> = HashMap::new();
        for sandbox in listing.sandboxes {
            let id = sandbox.id.clone();
            adopted.entry(id).or_default().sandbox = Some(sandbox);
        }
        for container in listing.containers {
            adopted.entry(container.sandbox.clone()).or_default().containers.push(container);
        }
        Pods { cx, workers: HashMap::new(), adopted, listed: HashSet::new(), tasks, stop }
    }

    pub async fn run(mut self, mut exits: broadcast::Receiver<NodeEvent>) {
        let api: Api<Pod> = Api::all(self.cx.client.clone());
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.cx.node_name));
        let mut events = std::pin::pin!(watcher::watcher(api, config));
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event).await,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the watch of pods failed, trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                    None => return,
                },
                exit = exits.recv() => match exit {
                    Ok(event) => self.pass_on(event),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.look_again().await,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    async fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.insert(pod.uid().unwrap_or_default());
                self.see(pod);
            }
            Event::InitDone => {
                let missing: Vec<String> =
                    self.workers.keys().filter(|uid| !self.listed.contains(*uid)).cloned().collect();
                for uid in missing {
                    self.gone(&uid);
                }
                self.remove_orphans().await;
            }
            Event::Apply(pod) => self.see(pod),
            Event::Delete(pod) => self.gone(&pod.uid().unwrap_or_default()),
        }
    }

    fn see(&mut self, pod: Pod) {
        let Some(uid) = pod.uid() else { return };
        let desired = Desired { pod: Arc::new(pod), gone: false };
        if let Some(handle) = self.workers.get(&uid) {
            handle.desired.send_replace(desired);
            return;
        }
        let (sender, receiver) = watch::channel(desired);
        let (news, inbox) = mpsc::unbounded_channel();
        let adopted = self.adopted.remove(&uid).unwrap_or_default();
        let (cx, own_news) = (self.cx.clone(), news.clone());
        let stop = self.stop.clone();
        // On the heap: most pods wait most of the time.
        let worker = Worker::new(cx, receiver, own_news, inbox, adopted);
        self.tasks.spawn(Box::pin(worker.run(stop)));
        self.workers.insert(uid, Handle { desired: sender, news });
    }

    /// The object is not in the API any more: whatever still runs of it ends now.
    fn gone(&mut self, uid: &str) {
        if let Some(handle) = self.workers.remove(uid) {
            handle.desired.send_modify(|desired| desired.gone = true);
        }
    }

    fn pass_on(&self, event: NodeEvent) {
        if let NodeEvent::ContainerExited { id, exit } = event
            && let Some(handle) = self.workers.get(spec::pod_of(&id))
        {
            // A worker that is gone does not care.
            let _ = handle.news.send(News::Exited { id, exit });
        }
    }

    /// Events were lost: every end the node knows of is told again; workers ignore what they know.
    async fn look_again(&self) {
        let Ok(listing) = self.cx.node.list().await else { return };
        for container in listing.containers {
            if let ContainerState::Exited(exit) = container.state {
                self.pass_on(NodeEvent::ContainerExited { id: container.id, exit });
            }
        }
    }

    /// Removes what belonged to pods that were deleted while nobody looked.
    async fn remove_orphans(&mut self) {
        for (uid, _) in std::mem::take(&mut self.adopted) {
            tracing::info!(pod = uid, "removing what is left of a pod that was deleted");
            self.remove(&uid).await;
        }
        for uid in names_in(&self.cx.dir.join("pods")) {
            if !self.workers.contains_key(&uid) {
                self.remove(&uid).await;
            }
        }
        for name in names_in(&self.cx.dir.join("logs")) {
            let uid = name.rsplit('_').next().unwrap_or_default();
            if !self.workers.contains_key(uid) {
                let _ = self.cx.node.remove_dir(&self.cx.dir.join("logs").join(&name)).await;
            }
        }
    }

    async fn remove(&self, uid: &str) {
        let suffix = format!("_{uid}");
        let logs = self.cx.dir.join("logs");
        let name = names_in(&logs).into_iter().find(|name| name.ends_with(&suffix));
        let log_dir = logs.join(name.unwrap_or(suffix));
        remove_pod(&self.cx, uid, &log_dir).await;
    }
}

fn names_in(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
