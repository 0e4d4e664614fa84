//! One pod's life: observe, one step, again; then tell the API.
//!
//! A worker owns its pod from the first sight of it to the final delete. What to do is decided in `plan.rs`,
//! what to say in `status.rs`; here is only the doing. When the daemon stops, a worker just ends: its
//! containers go on, and the next daemon adopts them.
//!
//! Start at [`Worker::run`]; containers are resized in `resize.rs`, started and stopped in `containers.rs`, probed in `watching.rs`,
//! and the API is told in `report.rs`.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};
use kube::api::{DeleteParams, Preconditions};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::cx::{Cx, News, NewsSender};
use super::events::Tone;
use super::fields::Facts;
use super::images::{PullPolicy, chain};
use super::objects::{Needed, needed_by_pod};
use super::plan::{self, Step};
use super::pulse::{Changed, Kind};
use super::spec;
use super::status;
use super::track::{Phase, Role, Track, Tracks, ephemeral, recall, roles};
use super::volumes::{Maker, Volumes};
use crate::protocol::{ContainerStatus, SandboxStatus};

pub(super) const RETRY_FIRST: Duration = Duration::from_millis(100);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(10);
/// Steps without a pause; more means that the plan does not converge, which is a bug to survive.
const STEPS_MAX: usize = 1000;

/// What the API wants: the pod as last seen, and whether it is still there.
#[derive(Clone, Debug)]
pub struct Desired {
    pub pod: Arc<Pod>,
    pub gone: bool,
}

/// What the node had of this pod when the daemon started.
#[derive(Clone, Debug, Default)]
pub struct Adopted {
    pub sandbox: Option<SandboxStatus>,
    pub containers: Vec<ContainerStatus>,
}

pub struct Worker {
    pub(super) cx: Arc<Cx>,
    pub(super) pod: Pod,
    pub(super) spec: PodSpec,
    pub(super) tracks: Tracks,
    pub(super) ip: Option<Ipv4Addr>,
    pub(super) volumes: Option<Volumes>,
    pub(super) news: NewsSender,
    /// Background tasks; all end with the worker.
    pub(super) tasks: JoinSet<()>,
    /// Those of each container's present run.
    pub(super) of_run: HashMap<String, Vec<AbortHandle>>,
    desired: watch::Receiver<Desired>,
    inbox: mpsc::UnboundedReceiver<News>,
    needed: Needed,
    /// The status the API has, as far as we know.
    pub(super) written: Option<PodStatus>,
    gone: bool,
    grace: Option<i64>,
    pub(super) finished: bool,
    /// Why a container does not get the resources it is to have.
    pub(super) unresized: Option<String>,
    set_up_retry: Duration,
    set_up_retry_at: Option<Instant>,
    /// Something failed that only time can heal.
    pub(super) retry_at: Option<Instant>,
}

/// Why the loop goes on or not.
enum Turn {
    Wait(Option<Instant>),
    Over,
}

impl Worker {
    pub fn new(
        cx: Arc<Cx>,
        desired: watch::Receiver<Desired>,
        news: NewsSender,
        inbox: mpsc::UnboundedReceiver<News>,
        adopted: Adopted,
    ) -> Self {
        let pod = (*desired.borrow().pod).clone();
        let spec = pod.spec.clone().unwrap_or_default();
        let mut worker = Worker {
            needed: needed_by_pod(&spec),
            tracks: recall(&pod),
            written: pod.status.clone(),
            grace: pod.metadata.deletion_grace_period_seconds,
            ip: None,
            volumes: None,
            tasks: JoinSet::new(),
            of_run: HashMap::new(),
            gone: false,
            finished: false,
            unresized: None,
            set_up_retry: RETRY_FIRST,
            set_up_retry_at: None,
            retry_at: None,
            cx,
            pod,
            spec,
            news,
            desired,
            inbox,
        };
        worker.adopt(adopted);
        worker
    }

    /// Runs until the pod is gone or `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.cx.pulse.subscribe();
        loop {
            self.desired.mark_unchanged();
            self.take_pod();
            self.resize().await;
            let wake = match self.settle().await {
                Turn::Over => return,
                Turn::Wait(wake) => wake,
            };
            self.write_status().await;
            if self.flip_pull_errors() {
                self.write_status().await;
            }
            let wake = [wake, self.retry_at, self.volumes.as_ref().and_then(|v| v.refresh_at)]
                .into_iter()
                .flatten()
                .min();
            let sleep = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.desired.changed() => if changed.is_err() { return },
                Some(news) = self.inbox.recv() => self.take_news(news).await,
                change = changes.recv() => self.take_change(change).await,
                () = sleep => self.refresh_tokens().await,
            }
            while let Ok(news) = self.inbox.try_recv() {
                self.take_news(news).await;
            }
            while self.tasks.try_join_next().is_some() {}
        }
    }

    pub(super) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn deleting(&self) -> bool {
        self.gone || self.pod.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn container(&self, name: &str) -> Option<Container> {
        let declared = roles(&self.spec).find(|(c, _)| c.name == name).map(|(c, _)| c.clone());
        declared.or_else(|| ephemeral(self.pod.spec.as_ref()?).find(|c| c.name == name))
    }

    pub(super) fn event(&self, container: Option<&str>, tone: Tone, reason: &'static str, message: String) {
        self.cx.events.pod(&self.pod, container, tone, reason, message);
    }

    /// Takes over the newest sight of the pod, keeping our own part of its status.
    fn take_pod(&mut self) {
        let desired = self.desired.borrow().clone();
        self.gone |= desired.gone;
        let mut pod = (*desired.pod).clone();
        if let Some(mine) = &self.written {
            let mut status = mine.clone();
            let foreign = pod.status.and_then(|s| s.conditions).unwrap_or_default();
            status.conditions =
                Some(status::merge_conditions(status.conditions.unwrap_or_default(), foreign));
            pod.status = Some(status);
        }
        for added in pod.spec.iter().flat_map(ephemeral) {
            self.tracks.entry(added.name).or_insert_with(|| Track::new(Role::Ephemeral));
        }
        self.take_resources(&pod);
        self.pod = pod;
        let grace = self.pod.metadata.deletion_grace_period_seconds;
        if grace < self.grace && self.grace.is_some() && grace.is_some() {
            self.hurry();
        }
        self.grace = grace;
    }

    /// Steps until nothing can be done now.
    async fn settle(&mut self) -> Turn {
        for _ in 0..STEPS_MAX {
            if self.gone {
                self.clean_up().await;
                return Turn::Over;
            }
            let view = plan::View {
                spec: &self.spec,
                tracks: &self.tracks,
                deleting: self.deleting(),
                set_up: self.volumes.is_some() && self.ip.is_some(),
                set_up_retry_at: self.set_up_retry_at,
                now: Instant::now(),
            };
            match plan::next(&view) {
                Step::SetUp => self.set_up().await,
                Step::Pull(name) => self.pull(&name),
                Step::Start(name) => self.start(&name).await,
                Step::Stop(name) => self.stop(&name, None),
                Step::Finish if self.deleting() => return self.finish().await,
                Step::Finish if self.finished => return Turn::Wait(None),
                Step::Finish => self.release().await,
                Step::Wait(at) => return Turn::Wait(at),
            }
        }
        tracing::error!(pod = self.uid(), "the pod's plan does not converge");
        Turn::Wait(Some(Instant::now() + RETRY_MAX))
    }

    async fn set_up(&mut self) {
        let result = self.try_set_up().await;
        match result {
            Ok(()) => {
                self.set_up_retry = RETRY_FIRST;
                self.set_up_retry_at = None;
            }
            Err((reason, message)) => {
                self.event(None, Tone::Warning, reason, message);
                self.set_up_retry_at = Some(Instant::now() + self.set_up_retry);
                self.set_up_retry = (self.set_up_retry * 2).min(RETRY_MAX);
            }
        }
    }

    async fn try_set_up(&mut self) -> Result<(), (&'static str, String)> {
        if self.ip.is_none() {
            let made = self.cx.node.create_sandbox(spec::sandbox(&self.pod, &self.cx.dns)).await;
            let failed =
                |e| ("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {}", chain(&e)));
            self.ip = Some(made.map_err(failed)?.ip);
        }
        let facts = self.cx.facts(self.ip);
        let volumes = self.maker(&facts).prepare().await;
        self.volumes =
            Some(volumes.map_err(|e| ("FailedMount", format!("MountVolume.SetUp failed: {}", chain(&e))))?);
        Ok(())
    }

    fn maker<'a>(&'a self, facts: &'a Facts) -> Maker<'a> {
        Maker { client: &self.cx.client, node: &self.cx.node, dir: &self.cx.dir, pod: &self.pod, facts }
    }

    fn pull(&mut self, name: &str) {
        let (Some(container), Some(track)) = (self.container(name), self.tracks.get_mut(name)) else {
            return;
        };
        track.pulling = true;
        let image = container.image.clone().unwrap_or_default();
        let policy = PullPolicy::of(container.image_pull_policy.as_deref(), &image);
        let (images, news, container) = (self.cx.images.clone(), self.news.clone(), name.to_owned());
        self.tasks.spawn(async move {
            let result = images.ready(image, policy).await;
            let _ = news.send(News::Image { container, result });
        });
    }

    async fn take_news(&mut self, news: News) {
        match news {
            News::Exited { id, exit } => self.take_exit(&id, &exit).await,
            News::Image { container, result } => self.take_image(&container, result),
            News::Probe { container, id, kind, verdict, failure } => {
                self.take_probe(&container, &id, kind, verdict, failure);
            }
            News::PostStart { container, id, result } => self.take_post_start(&container, &id, result),
            News::PreStop { container, failure } => {
                self.event(
                    Some(&container),
                    Tone::Warning,
                    "FailedPreStopHook",
                    format!("PreStopHook failed: {failure}"),
                );
            }
        }
    }

    /// A changed ConfigMap or Secret: files are written again, and what waited for it is tried again.
    async fn take_change(&mut self, change: Result<Changed, broadcast::error::RecvError>) {
        let concerns = match &change {
            Err(broadcast::error::RecvError::Lagged(_)) => true,
            Err(broadcast::error::RecvError::Closed) => false,
            Ok(change) => self.concerns(change),
        };
        if !concerns || self.deleting() || self.finished {
            return;
        }
        self.set_up_retry_at = None;
        for track in self.tracks.values_mut() {
            if matches!(&track.phase, Phase::Waiting { reason, .. } if reason == "CreateContainerConfigError")
            {
                track.retry_at = None;
            }
        }
        self.refresh_files().await;
    }

    fn concerns(&self, change: &Changed) -> bool {
        if self.pod.metadata.namespace.as_deref() != Some(&change.namespace) {
            return false;
        }
        match change.kind {
            Kind::ConfigMap => self.needed.config_maps.contains(&change.name),
            Kind::Secret => self.needed.secrets.contains(&change.name),
            Kind::Claim => self.volumes.is_none(),
        }
    }

    async fn refresh_files(&mut self) {
        if self.volumes.is_none() {
            return;
        }
        let facts = self.cx.facts(self.ip);
        let refreshed = self.maker(&facts).refresh().await;
        match refreshed {
            Ok(refresh_at) => {
                if let Some(volumes) = &mut self.volumes {
                    volumes.refresh_at = refresh_at;
                }
            }
            // As in Kubernetes a running pod keeps its old files when the object disappears.
            Err(error) => self.event(
                None,
                Tone::Warning,
                "FailedMount",
                format!("MountVolume.SetUp failed: {}", chain(&error)),
            ),
        }
    }

    async fn refresh_tokens(&mut self) {
        self.retry_at = None;
        let due = self.volumes.as_ref().and_then(|v| v.refresh_at).is_some_and(|at| at <= Instant::now());
        if due {
            if let Some(volumes) = &mut self.volumes {
                volumes.refresh_at = Some(Instant::now() + RETRY_MAX);
            }
            self.refresh_files().await;
        }
    }

    /// `ErrImagePull` is said once, then the wait is named.
    fn flip_pull_errors(&mut self) -> bool {
        let mut flipped = false;
        for (name, track) in &mut self.tracks {
            let Phase::Waiting { reason, message } = &mut track.phase else { continue };
            if reason == "ErrImagePull" && track.retry_at.is_some() {
                let image =
                    roles(&self.spec).find(|(c, _)| c.name == *name).and_then(|(c, _)| c.image.clone());
                *message = format!(
                    "Back-off pulling image \"{}\": ErrImagePull: {message}",
                    image.unwrap_or_default()
                );
                *reason = "ImagePullBackOff".to_owned();
                flipped = true;
            }
        }
        flipped
    }

    /// The pod is complete: nothing of it stays in the node but its logs and data.
    async fn release(&mut self) {
        if let Err(error) = self.cx.node.remove_sandbox(self.uid()).await {
            tracing::debug!(pod = self.uid(), %error, "the sandbox could not be removed");
        }
        self.finished = true;
    }

    /// The last act: final status, final delete. Nothing runs any more.
    async fn finish(&mut self) -> Turn {
        if let Err(error) = self.cx.node.remove_sandbox(self.uid()).await {
            tracing::debug!(pod = self.uid(), %error, "the sandbox could not be removed, trying again");
            return Turn::Wait(Some(Instant::now() + RETRY_FIRST));
        }
        self.finished = true;
        self.write_status().await;
        let meta = self.pod.metadata.clone();
        let api = self.cx.pods(meta.namespace.as_deref().unwrap_or_default());
        let preconditions = Preconditions { uid: meta.uid, resource_version: None };
        let params =
            DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }.grace_period(0);
        match api.delete(meta.name.as_deref().unwrap_or_default(), &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => {}
            Err(error) => {
                tracing::debug!(pod = self.uid(), %error, "the final delete failed, trying again");
                return Turn::Wait(Some(Instant::now() + RETRY_FIRST));
            }
        }
        self.clean_up().await;
        Turn::Over
    }

    /// Removes everything the node and the disk have of the pod. Claims are not the pod's.
    async fn clean_up(&mut self) {
        self.tasks.abort_all();
        for (name, track) in &self.tracks {
            self.cx.live.end(&spec::log_path(&self.cx.dir, &self.pod, name, track.restart_count()));
        }
        remove_pod(&self.cx, self.uid(), &spec::log_dir(&self.cx.dir, &self.pod)).await;
    }
}

/// Removes sandbox, volumes, private directories and logs of a pod; failures are left to the next start.
pub async fn remove_pod(cx: &Cx, uid: &str, logs: &std::path::Path) {
    let results = [
        cx.node.remove_sandbox(uid).await,
        cx.node.remove_volume(uid).await,
        cx.node.remove_dir(&cx.dir.join("pods").join(uid)).await,
        cx.node.remove_dir(logs).await,
    ];
    for error in results.into_iter().filter_map(Result::err) {
        tracing::debug!(pod = uid, %error, "something of the pod was left behind");
    }
}
