//! The node agent: makes the pods of the API run, and tells the API how they are.
//!
//! Reads: Pod (those of this node), ConfigMap, Secret, claims and volumes, Service, ServiceAccount. Writes:
//! Node, Lease, Pod status and the final delete, Event. Containers belong to the node process and go on when
//! the daemon ends; a new agent adopts them without disturbing any.
//!
//! Start at [`Agent::start`]; one pod's life is in `worker.rs`, all judgement in `plan.rs` and `status.rs`.

mod backoff;
mod containers;
mod cx;
mod env;
mod events;
mod expand;
mod fields;
mod files;
mod handler;
mod images;
mod logs;
mod machine;
mod objects;
mod plan;
mod pods;
mod probe;
mod pulse;
mod quantity;
mod report;
mod resize;
mod spec;
mod status;
mod streams;
mod tasks;
mod track;
mod usage;
mod volumes;
mod watching;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{self, NodeClient};
use crate::mirror::Mirror;
use cx::{Cx, Live};
pub use images::{ImageError, Images, PullPolicy, ReadyImage, StoreImages};
pub use logs::{LogOptions, Output};
pub use machine::{Capacity, KUBERNETES_VERSION};
pub use spec::ClusterDns;
pub use streams::{PodName, StreamError};
pub use usage::{PodUsage, Sample, Usage};

/// Secrets of releases hold whole charts; no pod mounts them and nobody waits for them.
const NOT_RELEASES: &str = "type!=helm.sh/release.v1";

/// What an agent needs to know.
pub struct AgentConfig {
    pub client: Client,
    pub node: NodeClient,
    pub images: Arc<dyn Images>,
    /// The node's folder: `pods`, `logs` and `volumes` are inside.
    pub dir: PathBuf,
    /// Name of the Node object; pods with this `spec.nodeName` are ours.
    pub node_name: String,
    pub dns: ClusterDns,
    /// For `*_SERVICE_HOST`; shared with DNS and ingress.
    pub services: Mirror<Service>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the node does not answer")]
    Node(#[from] client::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("pods \"{0}\" not found")]
    NoPod(String),
    #[error("container {container} is not valid for pod {pod}")]
    NoContainer { pod: String, container: String },
    #[error("a container name must be specified for pod {pod}, choose one of: [{choices}]")]
    WhichContainer { pod: String, choices: String },
    #[error("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}")]
    NotStarted { pod: String, container: String, reason: String },
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious { pod: String, container: String },
    #[error("cannot read the pod from the API")]
    Api(#[from] kube::Error),
}

/// A running agent. Cheap to clone; it ends with the token it was started with, or with the node.
#[derive(Clone)]
pub struct Agent {
    cx: Arc<Cx>,
    sampler: Arc<usage::Sampler>,
    tasks: TaskTracker,
}

impl Agent {
    /// Registers the node, adopts what runs, then follows the API on `tasks` until `stop` or the node's end.
    ///
    /// Returns as soon as the node has been asked what it runs; registration goes on in the background.
    pub async fn start(config: AgentConfig, stop: CancellationToken) -> Result<Self, Error> {
        let tasks = TaskTracker::new();
        // Subscribed before listing, so that no end of a container falls in between.
        let exits = config.node.subscribe().await?;
        let info = config.node.ping().await?;
        let listing = config.node.list().await?;
        let (recorder, writer) = events::channel(config.client.clone(), config.node_name.clone());
        let cx = Arc::new(Cx {
            capacity: Capacity::read(&config.dir),
            client: config.client,
            node: config.node,
            images: config.images,
            dir: config.dir,
            node_name: config.node_name,
            host_ip: info.node_ip,
            dns: config.dns,
            services: config.services,
            events: recorder,
            pulse: pulse::Pulse::new(),
            live: Live::default(),
        });
        let token = stop.child_token();
        // The queue outlives its recorders by design; the token ends it.
        spawn(&tasks, &token, writer.run());
        follow_changes(&cx, &tasks, &token);
        let machine =
            machine::Machine { name: cx.node_name.clone(), ip: cx.host_ip, capacity: cx.capacity.clone() };
        let client = cx.client.clone();
        spawn(&tasks, &token, async move {
            machine.register(&client).await;
            machine.heartbeat(&client).await;
        });
        let pods = pods::Pods::new(cx.clone(), listing, tasks.clone(), token.clone());
        tasks.spawn(pods.run(exits));
        let (node, ended) = (cx.node.clone(), token);
        tasks.spawn(async move {
            tokio::select! {
                () = node.closed() => ended.cancel(),
                () = ended.cancelled() => {}
            }
        });
        let sampler = Arc::new(usage::Sampler::default());
        spawn(&tasks, &stop, sampler.clone().run(cx.clone()));
        tasks.close();
        Ok(Agent { cx, sampler, tasks })
    }

    /// What the node and its pods used of late; `None` until there are two samples.
    pub fn usage(&self) -> Option<Arc<Sample>> {
        self.sampler.latest()
    }

    /// Name of the Node object.
    pub fn node_name(&self) -> &str {
        &self.cx.node_name
    }

    /// Resolves when the agent has ended: it was stopped, or the node is gone.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// The log of a container of `pod`, as `kubectl logs` asks for it.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: LogOptions,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static + use<>, LogError> {
        let object =
            self.cx.pods(namespace).get_opt(pod).await?.ok_or_else(|| LogError::NoPod(pod.to_owned()))?;
        let (container, attempt) = which_run(&object, pod, &options)?;
        let path = spec::log_path(&self.cx.dir, &object, &container, attempt);
        if !path.exists() && !self.cx.live.contains(&path) {
            let reason = "ContainerCreating".to_owned();
            return Err(LogError::NotStarted { pod: pod.to_owned(), container, reason });
        }
        let mut receiver = logs::stream(path, options, self.cx.live.clone());
        Ok(futures::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    }

    /// The node's id of a running container, for exec, attach and metrics.
    pub fn container_id(pod: &Pod, container: &str) -> Option<String> {
        let status = pod.status.as_ref()?;
        let lists = status.init_container_statuses.iter().chain(&status.container_statuses);
        let lists = lists.chain(&status.ephemeral_container_statuses).flatten();
        let found = lists.into_iter().find(|c| c.name == container)?;
        found.state.as_ref()?.running.as_ref()?;
        Some(found.container_id.as_deref()?.strip_prefix("drydock://")?.to_owned())
    }
}

fn spawn(tasks: &TaskTracker, stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    tasks.spawn(async move {
        let _ = stop.run_until_cancelled(work).await;
    });
}

/// Wakes pods whose ConfigMaps, Secrets or claims change.
fn follow_changes(cx: &Arc<Cx>, tasks: &TaskTracker, stop: &CancellationToken) {
    let plain = watcher::Config::default;
    let (client, pulse) = (&cx.client, &cx.pulse);
    let config_maps: Api<ConfigMap> = Api::all(client.clone());
    spawn(tasks, stop, pulse.clone().follow(pulse::Kind::ConfigMap, config_maps, plain()));
    let secrets: Api<Secret> = Api::all(client.clone());
    spawn(tasks, stop, pulse.clone().follow(pulse::Kind::Secret, secrets, plain().fields(NOT_RELEASES)));
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    spawn(tasks, stop, pulse.clone().follow(pulse::Kind::Claim, claims, plain()));
}

/// The container and the number of the run whose log is asked for.
fn which_run(object: &Pod, pod: &str, options: &LogOptions) -> Result<(String, i32), LogError> {
    let spec = object.spec.clone().unwrap_or_default();
    let pod = pod.to_owned();
    let default = object.metadata.annotations.as_ref();
    let default = default.and_then(|a| a.get("kubectl.kubernetes.io/default-container")).cloned();
    let container = match options.container.clone().filter(|name| !name.is_empty()) {
        Some(name) => name,
        None if spec.containers.len() == 1 => spec.containers[0].name.clone(),
        None => match default {
            Some(name) => name,
            None => {
                let names: Vec<&str> = spec.containers.iter().map(|c| c.name.as_str()).collect();
                return Err(LogError::WhichContainer { pod, choices: names.join(" ") });
            }
        },
    };
    let added = track::ephemeral(&spec).any(|c| c.name == container);
    if !added && !track::roles(&spec).any(|(c, _)| c.name == container) {
        return Err(LogError::NoContainer { pod, container });
    }
    let status = object.status.clone().unwrap_or_default();
    let mut lists = status
        .init_container_statuses
        .into_iter()
        .flatten()
        .chain(status.container_statuses.into_iter().flatten())
        .chain(status.ephemeral_container_statuses.into_iter().flatten());
    let Some(known) = lists.find(|c| c.name == container) else {
        return Err(LogError::NotStarted { pod, container, reason: "ContainerCreating".to_owned() });
    };
    let state = known.state.unwrap_or_default();
    let has_last = known.last_state.as_ref().is_some_and(|s| s.terminated.is_some());
    match (options.previous, &state.waiting) {
        // Waiting to be restarted: the run that ended is the current one, as `kubectl logs` shows it.
        (true, Some(_)) if has_last && known.restart_count > 0 => Ok((container, known.restart_count - 1)),
        (true, None) if known.restart_count > 0 => Ok((container, known.restart_count - 1)),
        (true, _) => Err(LogError::NoPrevious { pod, container }),
        (false, Some(waiting)) if !has_last => {
            let reason = waiting.reason.clone().unwrap_or_default();
            Err(LogError::NotStarted { pod, container, reason })
        }
        (false, _) => Ok((container, known.restart_count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(containers: Value, statuses: Value, options: LogOptions, expect: &str) {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web"},
            "spec": {"containers": containers}, "status": {"containerStatuses": statuses}}))
        .unwrap();
        let shown = match which_run(&pod, "web", &options) {
            Ok((container, attempt)) => format!("{container} {attempt}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expect);
    }

    fn status(restarts: i32, state: Value, last: Value) -> Value {
        json!([{"name": "a", "ready": false, "restartCount": restarts, "image": "", "imageID": "",
                "state": state, "lastState": last}])
    }

    #[test]
    fn the_only_container_needs_no_name() {
        let running = status(2, json!({"running": {}}), json!({}));
        check(json!([{"name": "a"}]), running.clone(), LogOptions::default(), "a 2");
        check(json!([{"name": "a"}]), running, LogOptions { previous: true, ..LogOptions::default() }, "a 1");
    }
    #[test]
    fn of_several_containers_one_must_be_named() {
        let expect = "a container name must be specified for pod web, choose one of: [a b]";
        check(json!([{"name": "a"}, {"name": "b"}]), json!([]), LogOptions::default(), expect);
    }
    #[test]
    fn a_container_that_never_started_says_why() {
        let waiting = status(0, json!({"waiting": {"reason": "ImagePullBackOff"}}), json!({}));
        let expect = "container \"a\" in pod \"web\" is waiting to start: ImagePullBackOff";
        check(json!([{"name": "a"}]), waiting, LogOptions::default(), expect);
    }
    #[test]
    fn a_crashed_container_shows_its_last_run() {
        let ended = json!({"terminated": {"exitCode": 1}});
        let waiting = status(1, json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended);
        check(json!([{"name": "a"}]), waiting, LogOptions::default(), "a 1");
    }
    #[test]
    fn an_unknown_container_is_named() {
        let options = LogOptions { container: Some("z".into()), ..LogOptions::default() };
        check(json!([{"name": "a"}]), json!([]), options, "container z is not valid for pod web");
    }
}
