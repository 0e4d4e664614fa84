//! Starting, adopting and stopping one container, as steps of its pod's [`Worker`].

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use super::env;
use super::events::Tone;
use super::handler::Handler;
use super::images::{ImageError, ReadyImage, chain};
use super::objects::{Objects, needed_by_env};
use super::spec;
use super::tasks::{Stopper, signal_number};
use super::track::{Exited, Phase, Running, Track};
use super::worker::{Adopted, Worker};
use crate::client;
use crate::protocol::{ContainerSpec, ContainerState, Exit, RefusalKind};

/// Pause after a container could not be made for reasons that may pass.
const CREATE_RETRY: Duration = Duration::from_secs(2);
/// The same when a ConfigMap or Secret is missing; a change of it is noticed at once.
const CONFIG_RETRY: Duration = Duration::from_secs(10);
const DEFAULT_GRACE_S: i64 = 30;
/// How much of a termination message is kept, and of the log when there is none.
const MESSAGE_MAX_BYTES: usize = 4096;
const LOG_TAIL_BYTES: usize = 2048;
const LOG_TAIL_LINES: usize = 80;

impl Worker {
    /// Takes over what the node still has, without disturbing it.
    pub(super) fn adopt(&mut self, adopted: Adopted) {
        self.ip = adopted.sandbox.map(|sandbox| sandbox.ip);
        let mut found = adopted.containers;
        found.sort_by_key(attempt_of);
        for status in found {
            let Some(name) = status.labels.get(spec::LABEL_CONTAINER).cloned() else { continue };
            let attempt = attempt_of(&status);
            let known = self.known_flags(&name);
            let resources = self.known_resources(&name);
            let Some(track) = self.tracks.get_mut(&name) else { continue };
            track.image_digest = status.labels.get(spec::LABEL_IMAGE).cloned();
            track.image_name = status.labels.get(spec::LABEL_IMAGE_NAME).cloned();
            track.stop_signal = status.labels.get(spec::LABEL_STOP_SIGNAL).cloned();
            match &status.state {
                ContainerState::Running { started_unix_ms, .. } => {
                    track.runs = attempt + 1;
                    let started_at =
                        Timestamp::from_millisecond(*started_unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
                    track.phase =
                        Phase::Running(Running { id: status.id.clone(), started_at, stopping: false });
                    (track.started, track.ready) = known;
                    track.resources = resources;
                    self.cx.live.begin(spec::log_path(&self.cx.dir, &self.pod, &name, attempt));
                    self.watch_run(&name, started_at);
                }
                ContainerState::Exited(exit) => {
                    track.runs = attempt + 1;
                    // The same end as the API knows already is no news.
                    if track.exited().is_none_or(|e| e.id != status.id) {
                        let message = self.termination_message(&name, attempt, exit.code);
                        if let Some(track) = self.tracks.get_mut(&name) {
                            track.end(Exited::new(&status.id, exit, message), Instant::now());
                        }
                    }
                }
                // The daemon died between making and starting it: made again under the same number.
                ContainerState::Created => {
                    track.runs = attempt;
                    track.phase = Phase::Waiting { reason: String::new(), message: String::new() };
                }
            }
        }
    }

    /// What the API says of a container: started, ready.
    fn known_flags(&self, name: &str) -> (bool, bool) {
        let status = self.pod.status.as_ref();
        let lists = status.map(|s| s.init_container_statuses.iter().chain(&s.container_statuses).flatten());
        let known = lists.into_iter().flatten().find(|c| c.name == name);
        known.map_or((false, false), |c| (c.started == Some(true), c.ready))
    }

    pub(super) fn take_image(&mut self, name: &str, result: Result<ReadyImage, ImageError>) {
        let wanted = self.container(name).and_then(|c| c.image).unwrap_or_default();
        let Some(track) = self.tracks.get_mut(name) else { return };
        track.pulling = false;
        match result {
            Ok(image) => {
                let message = if image.pulled {
                    format!("Successfully pulled image \"{wanted}\"")
                } else {
                    format!("Container image \"{wanted}\" already present on machine")
                };
                track.pull_backoff = Default::default();
                track.image_name = Some(image.name.clone());
                track.image_digest = Some(image.digest.clone());
                track.stop_signal = image.stop_signal.clone();
                track.image = Some(image);
                if let Phase::Waiting { reason, message } = &mut track.phase {
                    (*reason, *message) = (String::new(), String::new());
                    track.retry_at = None;
                }
                self.event(Some(name), Tone::Normal, "Pulled", message);
            }
            Err(error) => {
                let wait = track.pull_backoff.next_pull();
                track.hold(error.reason, error.message.clone(), Some(Instant::now() + wait));
                let message = format!("Failed to pull image \"{wanted}\": {}", error.message);
                self.event(Some(name), Tone::Warning, "Failed", message);
            }
        }
    }

    /// Makes and starts the next run.
    pub(super) async fn start(&mut self, name: &str) {
        let (Some(container), Some(track)) = (self.container(name), self.tracks.get(name)) else { return };
        let attempt = track.runs;
        let spec = match self.prepare(&container, track, attempt).await {
            Ok(spec) => spec,
            Err((reason, message, pause)) => {
                self.event(Some(name), Tone::Warning, "Failed", format!("Error: {message}"));
                self.hold(name, reason, message, pause);
                return;
            }
        };
        let id = spec.id.clone();
        if let Err(error) = self.create(spec).await {
            let message = chain(&error);
            self.event(Some(name), Tone::Warning, "Failed", format!("Error: {message}"));
            match error.refusal().map(|r| r.kind) {
                Some(RefusalKind::CannotRun) => self.could_not_run(name, &id, message),
                Some(RefusalKind::Invalid) => {
                    self.hold(name, "CreateContainerConfigError", message, CONFIG_RETRY)
                }
                _ => self.hold(name, "CreateContainerError", message, CREATE_RETRY),
            }
            return;
        }
        self.event(Some(name), Tone::Normal, "Created", format!("Created container: {name}"));
        let log = spec::log_path(&self.cx.dir, &self.pod, name, attempt);
        self.cx.live.begin(log.clone());
        match self.cx.node.start_container(&id).await {
            Ok(status) => self.started(name, &id, attempt, &status.state).await,
            Err(error) => {
                self.cx.live.end(&log);
                let message = chain(&error);
                self.event(Some(name), Tone::Warning, "Failed", format!("Error: {message}"));
                self.could_not_run(name, &id, message);
            }
        }
    }

    async fn started(&mut self, name: &str, id: &str, attempt: i32, state: &ContainerState) {
        self.event(Some(name), Tone::Normal, "Started", format!("Started container {name}"));
        let resources = self.container(name).and_then(|container| container.resources).unwrap_or_default();
        let Some(track) = self.tracks.get_mut(name) else { return };
        track.last = track.exited().cloned().or(track.last.take());
        track.runs = attempt + 1;
        track.retry_at = None;
        track.started = false;
        track.ready = false;
        track.resources = Some(resources);
        let started_at = match state {
            ContainerState::Running { started_unix_ms, .. } => {
                Timestamp::from_millisecond(*started_unix_ms).ok()
            }
            _ => None,
        };
        let started_at = started_at.unwrap_or_else(Timestamp::now);
        track.phase = Phase::Running(Running { id: id.to_owned(), started_at, stopping: false });
        self.forget_run_before(name, attempt);
        match state {
            ContainerState::Exited(exit) => self.take_exit(id, exit).await,
            _ => self.watch_run(name, started_at),
        }
    }

    /// Reads what the run needs and writes the request for it.
    async fn prepare(
        &self,
        container: &Container,
        track: &Track,
        attempt: i32,
    ) -> Result<ContainerSpec, (&'static str, String, Duration)> {
        let config_error =
            |error: &dyn std::error::Error| ("CreateContainerConfigError", chain(error), CONFIG_RETRY);
        let create_error = |message: String| ("CreateContainerError", message, CREATE_RETRY);
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let objects = Objects::fetch(&self.cx.client, namespace, &needed_by_env(container)).await;
        let objects = objects.map_err(|error| create_error(chain(&error)))?;
        let image =
            track.image.as_ref().ok_or_else(|| create_error("the image is not there yet".to_owned()))?;
        let volumes =
            self.volumes.as_ref().ok_or_else(|| create_error("the volumes are not there yet".to_owned()))?;
        let facts = self.cx.facts(self.ip);
        let services = self.cx.services.all();
        let sources = env::Sources {
            pod: &self.pod,
            facts: &facts,
            objects: &objects,
            services: &services,
            image_env: &image.env,
        };
        let env = env::build(container, &sources).map_err(|error| config_error(&error))?;
        let run = spec::Run {
            pod: &self.pod,
            container,
            image,
            env,
            volumes: &volumes.ready,
            dir: &self.cx.dir,
            attempt,
        };
        let spec = spec::container(&run).map_err(|error| config_error(&error))?;
        let message = spec::message_file(&self.cx.dir, self.uid(), &container.name, attempt);
        make_message_file(&message)
            .await
            .map_err(|error| create_error(format!("cannot write {}: {error}", message.display())))?;
        Ok(spec)
    }

    /// A leftover of the same name, from a daemon that died at a bad moment, is replaced.
    async fn create(&self, spec: ContainerSpec) -> Result<(), client::Error> {
        match self.cx.node.create_container(spec.clone()).await {
            Err(error) if error.refusal().is_some_and(|r| r.kind == RefusalKind::AlreadyExists) => {
                self.cx.node.remove_container(&spec.id).await?;
                self.cx.node.create_container(spec).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    fn hold(&mut self, name: &str, reason: &str, message: String, pause: Duration) {
        if let Some(track) = self.tracks.get_mut(name) {
            track.hold(reason, message, Some(Instant::now() + pause));
        }
    }

    /// The program cannot be executed: that is a run that ended at once.
    fn could_not_run(&mut self, name: &str, id: &str, message: String) {
        let Some(track) = self.tracks.get_mut(name) else { return };
        let now = Timestamp::now();
        track.last = track.exited().cloned().or(track.last.take());
        track.runs += 1;
        let exit = Exit {
            code: 128,
            signal: None,
            oom_killed: false,
            started_unix_ms: None,
            finished_unix_ms: now.as_millisecond(),
            message: Some(message),
        };
        track.end(Exited::new(id, &exit, None), Instant::now());
    }

    /// The run before stays in the API's status only; its root and container are removed, its log is kept.
    fn forget_run_before(&mut self, name: &str, attempt: i32) {
        if attempt == 0 {
            return;
        }
        let node = self.cx.node.clone();
        let id = spec::container_id(self.uid(), name, attempt - 1);
        let dir = spec::run_dir(&self.cx.dir, self.uid(), name, attempt - 1);
        let old_log = (attempt >= 2).then(|| spec::log_path(&self.cx.dir, &self.pod, name, attempt - 2));
        self.tasks.spawn(async move {
            let _ = node.remove_container(&id).await;
            let _ = node.remove_dir(&dir).await;
            if let Some(log) = old_log {
                let _ = tokio::fs::remove_file(log).await;
            }
        });
    }

    pub(super) fn spec_grace(&self) -> i64 {
        self.spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_S)
    }

    /// Begins the graceful end. `grace_s`: when it is not the pod that ends.
    pub(super) fn stop(&mut self, name: &str, grace_s: Option<i64>) {
        let (Some(container), Some(place)) = (self.container(name), self.place(name)) else { return };
        let of_deletion = self.pod.metadata.deletion_grace_period_seconds.filter(|_| self.deleting());
        let grace_s = of_deletion.or(grace_s).unwrap_or_else(|| self.spec_grace());
        if self.deleting() {
            self.event(Some(name), Tone::Normal, "Killing", format!("Stopping container {name}"));
        }
        let Some(track) = self.tracks.get_mut(name) else { return };
        let Phase::Running(running) = &mut track.phase else { return };
        running.stopping = true;
        let lifecycle = container.lifecycle.as_ref();
        let signal = lifecycle.and_then(|l| l.stop_signal.clone());
        let signal = signal.or_else(|| track.stop_signal.clone());
        let stopper = Stopper {
            container: name.to_owned(),
            hook: lifecycle.and_then(|l| l.pre_stop.as_ref()).map(|hook| Handler::of_hook(hook, &container)),
            place,
            signal: signal_number(signal.as_deref()),
            grace: Duration::from_secs(u64::try_from(grace_s).unwrap_or(0)),
            news: self.news.clone(),
        };
        let task = self.tasks.spawn(stopper.run());
        self.of_run.entry(name.to_owned()).or_default().push(task);
    }

    /// The grace period became shorter: begin again with what is left of patience.
    pub(super) fn hurry(&mut self) {
        let stopping: Vec<String> = self
            .tracks
            .iter()
            .filter(|(_, track)| track.running().is_some_and(|r| r.stopping))
            .map(|(name, _)| name.clone())
            .collect();
        for name in stopping {
            self.end_tasks(&name);
            self.stop(&name, None);
        }
    }

    fn end_tasks(&mut self, name: &str) {
        for task in self.of_run.remove(name).into_iter().flatten() {
            task.abort();
        }
    }

    pub(super) async fn take_exit(&mut self, id: &str, exit: &Exit) {
        let found = self.tracks.iter().find(|(_, track)| track.running().is_some_and(|r| r.id == id));
        let Some((name, attempt)) = found.map(|(name, track)| (name.clone(), track.runs - 1)) else { return };
        self.end_tasks(&name);
        self.cx.live.end(&spec::log_path(&self.cx.dir, &self.pod, &name, attempt));
        let message = self.termination_message(&name, attempt, exit.code);
        let deleting = self.deleting();
        let Some(track) = self.tracks.get_mut(&name) else { return };
        track.end(Exited::new(id, exit, message), Instant::now());
        let waits = track.wait;
        if !waits.is_zero() && !deleting && exit.code != 0 {
            let pod = self.pod.metadata.name.clone().unwrap_or_default();
            let message = format!("Back-off restarting failed container {name} in pod {pod}");
            self.event(Some(&name), Tone::Warning, "BackOff", message);
        }
    }

    /// What the program left in its message file, or the end of its log when it failed without a word.
    fn termination_message(&self, name: &str, attempt: i32, code: i32) -> Option<String> {
        let file = spec::message_file(&self.cx.dir, self.uid(), name, attempt);
        let text = super::logs::head_of(&file, MESSAGE_MAX_BYTES).filter(|text| !text.is_empty());
        let container = self.container(name)?;
        let fallback = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        if text.is_some() || code == 0 || !fallback {
            return text;
        }
        let log = spec::log_path(&self.cx.dir, &self.pod, name, attempt);
        super::logs::tail_of(&log, LOG_TAIL_LINES, LOG_TAIL_BYTES)
    }
}

fn attempt_of(status: &crate::protocol::ContainerStatus) -> i32 {
    status.labels.get(spec::LABEL_ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// An empty file that any user of the container may write.
async fn make_message_file(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(path, b"").await?;
    tokio::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).await
}
