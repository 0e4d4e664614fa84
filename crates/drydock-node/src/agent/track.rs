//! What the agent knows of each container of a pod: an enum of named states. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, ResourceRequirements,
};

use super::backoff::Backoff;
use super::images::ReadyImage;
use crate::protocol::Exit;

pub const CRASH_LOOP: &str = "CrashLoopBackOff";

/// Where one container stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Not running; `reason` and `message` are what a person is told. Empty: nothing is wrong, its turn has not come.
    Waiting {
        reason: String,
        message: String,
    },
    Running(Running),
    Exited(Exited),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    pub id: String,
    pub started_at: Timestamp,
    /// Being stopped; it still runs until the node says otherwise.
    pub stopping: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Exited {
    pub id: String,
    pub code: i32,
    pub signal: Option<i32>,
    pub reason: String,
    pub message: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

impl Exited {
    pub fn new(id: &str, exit: &Exit, message: Option<String>) -> Self {
        let time = |unix_ms: i64| Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let reason = match exit {
            Exit { oom_killed: true, .. } => "OOMKilled",
            Exit { started_unix_ms: None, .. } => "StartError",
            Exit { code: 0, .. } => "Completed",
            _ => "Error",
        };
        Exited {
            id: id.to_owned(),
            code: exit.code,
            // A shell's 128 + n says the same; Kubernetes leaves the field empty.
            signal: None,
            reason: reason.to_owned(),
            message: message.or_else(|| exit.message.clone()),
            started_at: exit.started_unix_ms.map(time),
            finished_at: time(exit.finished_unix_ms),
        }
    }

    fn from_status(state: &ContainerStateTerminated) -> Self {
        Exited {
            id: state
                .container_id
                .as_deref()
                .and_then(|id| id.split("://").nth(1))
                .unwrap_or_default()
                .to_owned(),
            code: state.exit_code,
            signal: state.signal,
            reason: state.reason.clone().unwrap_or_default(),
            message: state.message.clone(),
            started_at: state.started_at.as_ref().map(|t| t.0),
            finished_at: state.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        }
    }

    pub fn ran(&self) -> Duration {
        let from = self.started_at.unwrap_or(self.finished_at);
        Duration::from_millis(
            u64::try_from(self.finished_at.as_millisecond() - from.as_millisecond()).unwrap_or(0),
        )
    }
}

/// How a container takes part in the pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always`: runs beside the others.
    Sidecar,
    Main,
    /// Added to a pod that runs, to look at it. Runs once, and the pod's life does not depend on it.
    Ephemeral,
}

#[derive(Clone, Debug)]
pub struct Track {
    pub role: Role,
    pub phase: Phase,
    /// Runs made so far; the next one's number.
    pub runs: i32,
    /// The run before the current one.
    pub last: Option<Exited>,
    pub image: Option<ReadyImage>,
    /// Of the present run, also when the image itself is not known any more because the run was adopted.
    pub image_name: Option<String>,
    pub image_digest: Option<String>,
    pub stop_signal: Option<String>,
    /// What the present run may use, as the node was told.
    pub resources: Option<ResourceRequirements>,
    pub pulling: bool,
    /// Its startup probe has passed and its postStart hook has ended.
    pub started: bool,
    pub ready: bool,
    pub backoff: Backoff,
    pub pull_backoff: Backoff,
    /// Nothing is tried before.
    pub retry_at: Option<Instant>,
    /// How long the present wait is in all, for the message.
    pub wait: Duration,
}

impl Track {
    pub fn new(role: Role) -> Self {
        Track {
            role,
            phase: Phase::Waiting { reason: String::new(), message: String::new() },
            runs: 0,
            last: None,
            image: None,
            image_name: None,
            image_digest: None,
            stop_signal: None,
            resources: None,
            pulling: false,
            started: false,
            ready: false,
            backoff: Backoff::default(),
            pull_backoff: Backoff::default(),
            retry_at: None,
            wait: Duration::ZERO,
        }
    }

    pub fn restart_count(&self) -> i32 {
        (self.runs - 1).max(0)
    }

    pub fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Running(running) => Some(running),
            _ => None,
        }
    }

    pub fn exited(&self) -> Option<&Exited> {
        match &self.phase {
            Phase::Exited(exited) => Some(exited),
            _ => None,
        }
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }

    /// Notes what kept it from running and when to try again.
    pub fn hold(&mut self, reason: &str, message: String, retry_at: Option<Instant>) {
        if let Phase::Exited(exited) = &self.phase {
            self.last = Some(exited.clone());
        }
        self.phase = Phase::Waiting { reason: reason.to_owned(), message };
        self.retry_at = retry_at;
    }

    /// Notes the end of a run; a restart, if there is one, waits for the back-off.
    pub fn end(&mut self, exited: Exited, now: Instant) {
        self.wait = self.backoff.next(exited.ran());
        self.retry_at = Some(now + self.wait);
        self.started = false;
        self.ready = false;
        self.phase = Phase::Exited(exited);
    }
}

pub type Tracks = BTreeMap<String, Track>;

/// The containers of a pod with their roles, init containers first.
pub fn roles(spec: &PodSpec) -> impl Iterator<Item = (&Container, Role)> {
    let init =
        spec.init_containers.iter().flatten().map(|c| {
            (c, if c.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init })
        });
    init.chain(spec.containers.iter().map(|c| (c, Role::Main)))
}

/// The containers that were added to a running pod, in the form all others have.
pub fn ephemeral(spec: &PodSpec) -> impl Iterator<Item = Container> {
    let all = spec.ephemeral_containers.iter().flatten();
    all.filter_map(|one| serde_json::from_value(serde_json::to_value(one).ok()?).ok())
}

/// Fresh tracks that remember what the pod's status in the API says of earlier runs.
pub fn recall(pod: &Pod) -> Tracks {
    let mut tracks = Tracks::new();
    let Some(spec) = &pod.spec else { return tracks };
    let status = pod.status.clone().unwrap_or_default();
    let known: Vec<ContainerStatus> = status
        .init_container_statuses
        .into_iter()
        .flatten()
        .chain(status.container_statuses.into_iter().flatten())
        .chain(status.ephemeral_container_statuses.into_iter().flatten())
        .collect();
    let all = roles(spec).map(|(container, role)| (container.name.clone(), role));
    for (name, role) in all.chain(ephemeral(spec).map(|container| (container.name, Role::Ephemeral))) {
        let mut track = Track::new(role);
        if let Some(status) = known.iter().find(|s| s.name == name) {
            remember(&mut track, status, pod);
        }
        tracks.insert(name, track);
    }
    tracks
}

fn remember(track: &mut Track, status: &ContainerStatus, pod: &Pod) {
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    track.last = last.map(Exited::from_status);
    let ran = state.running.is_some() || state.terminated.is_some() || track.last.is_some();
    track.runs = if ran { status.restart_count + 1 } else { 0 };
    track.backoff = Backoff::after(u32::try_from(status.restart_count).unwrap_or(0));
    if let Some(terminated) = &state.terminated {
        track.phase = Phase::Exited(Exited::from_status(terminated));
    } else if let Some(running) = &state.running {
        // It ran when somebody last looked; unless the node still has it, nobody can know how it ended.
        let lost = Exited {
            id: String::new(),
            code: 137,
            signal: None,
            reason: "ContainerStatusUnknown".to_owned(),
            message: Some("The container could not be located when the node started again".to_owned()),
            started_at: running.started_at.as_ref().map(|t| t.0),
            finished_at: pod
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |_| Timestamp::now()),
        };
        track.phase = Phase::Exited(lost);
    }
}
