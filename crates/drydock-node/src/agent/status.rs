//! A pod's status as Kubernetes writes it. Pure.
//!
//! Start at [`compute`]. Conditions that others own (readiness gates) are kept as they are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{self, Outcome};
use super::quantity;
use super::track::{CRASH_LOOP, Exited, Phase, Role, Track, Tracks, ephemeral, roles};

const OURS: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
const RESIZING: &str = "PodResizeInProgress";

/// What the status is computed from.
pub struct View<'a> {
    pub pod: &'a Pod,
    pub tracks: &'a Tracks,
    pub ip: Option<Ipv4Addr>,
    pub host_ip: Ipv4Addr,
    pub deleting: bool,
    /// The sandbox exists.
    pub sandbox: bool,
    /// Why a container does not get the resources it is to have.
    pub unresized: Option<&'a str>,
    pub now: Timestamp,
    pub instant: Instant,
}

pub fn compute(view: &View<'_>) -> PodStatus {
    let spec = view.pod.spec.clone().unwrap_or_default();
    let before = view.pod.status.clone().unwrap_or_default();
    let initialized = plan::is_initialized(&spec, view.tracks);
    let statuses = |wanted: fn(Role) -> bool| -> Option<Vec<ContainerStatus>> {
        let list: Vec<_> = roles(&spec)
            .filter(|(_, role)| wanted(*role))
            .filter_map(|(c, _)| container_status(view, &spec, c.name.as_str(), &c.image, initialized))
            .collect();
        (!list.is_empty()).then_some(list)
    };
    let phase = phase(view, &spec);
    let ip = view.ip.map(|ip| ip.to_string()).or(before.pod_ip.clone());
    let host_ip = view.host_ip.to_string();
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions(view, &spec, phase, initialized)),
        pod_ips: ip.clone().map(|ip| vec![PodIP { ip }]),
        pod_ip: ip,
        host_ips: Some(vec![HostIP { ip: host_ip.clone() }]),
        host_ip: Some(host_ip),
        start_time: before.start_time.or_else(|| Some(seconds(view.now))),
        init_container_statuses: statuses(|role| role != Role::Main),
        container_statuses: statuses(|role| role == Role::Main),
        ephemeral_container_statuses: ephemeral_statuses(view, &spec),
        qos_class: Some(qos_class(view.pod).to_owned()),
        observed_generation: view.pod.metadata.generation,
        reason: before.reason,
        message: before.message,
        ..PodStatus::default()
    }
}

fn ephemeral_statuses(view: &View<'_>, spec: &PodSpec) -> Option<Vec<ContainerStatus>> {
    let list: Vec<_> =
        ephemeral(spec).filter_map(|c| container_status(view, spec, &c.name, &c.image, true)).collect();
    (!list.is_empty()).then_some(list)
}

fn phase(view: &View<'_>, spec: &PodSpec) -> &'static str {
    match plan::outcome(spec, view.tracks) {
        Some(Outcome::Succeeded) => return "Succeeded",
        Some(Outcome::Failed) => return "Failed",
        None => {}
    }
    let mains: Vec<&Track> = spec.containers.iter().filter_map(|c| view.tracks.get(&c.name)).collect();
    if view.deleting && !mains.is_empty() && view.tracks.values().all(|t| t.running().is_none()) {
        let ended: Vec<i32> = mains.iter().filter_map(|t| Some(t.exited()?.code)).collect();
        let all_well = ended.len() == mains.len() && ended.iter().all(|code| *code == 0);
        return if all_well { "Succeeded" } else { "Failed" };
    }
    let ran = |track: &&Track| track.runs > 0;
    if !mains.is_empty() && mains.iter().all(ran) { "Running" } else { "Pending" }
}

fn container_status(
    view: &View<'_>,
    spec: &PodSpec,
    name: &str,
    image: &Option<String>,
    initialized: bool,
) -> Option<ContainerStatus> {
    let track = view.tracks.get(name)?;
    let mut last = track.last.clone();
    let state = match &track.phase {
        Phase::Running(running) => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(seconds(running.started_at)) }),
            ..ContainerState::default()
        },
        Phase::Exited(exited) if backs_off(view, spec, track) => {
            last = Some(exited.clone());
            let message = format!(
                "back-off {}s restarting failed container={name} pod={}_{}({})",
                track.wait.as_secs(),
                view.pod.metadata.name.as_deref().unwrap_or_default(),
                view.pod.metadata.namespace.as_deref().unwrap_or_default(),
                view.pod.metadata.uid.as_deref().unwrap_or_default(),
            );
            waiting(CRASH_LOOP, Some(message))
        }
        Phase::Exited(exited) => {
            ContainerState { terminated: Some(terminated(exited)), ..ContainerState::default() }
        }
        Phase::Waiting { reason, message }
            if !reason.is_empty() && (initialized || track.role != Role::Main) =>
        {
            waiting(reason, Some(message.clone()).filter(|m| !m.is_empty()))
        }
        // With init containers, everybody is told that the pod initializes until it is their turn.
        Phase::Waiting { .. }
            if spec.init_containers.as_ref().is_some_and(|c| !c.is_empty()) && !initialized =>
        {
            waiting("PodInitializing", None)
        }
        Phase::Waiting { .. } => waiting("ContainerCreating", None),
    };
    let id = match &track.phase {
        Phase::Running(running) => Some(&running.id),
        Phase::Exited(exited) => Some(&exited.id),
        Phase::Waiting { .. } => track.last.as_ref().map(|e| &e.id),
    };
    let resources = track.resources.as_ref().filter(|_| track.running().is_some());
    Some(ContainerStatus {
        name: name.to_owned(),
        ready: is_ready(track),
        started: Some(track.running().is_some() && track.started),
        restart_count: track.restart_count(),
        image: track.image_name.clone().or_else(|| image.clone()).unwrap_or_default(),
        image_id: track.image_digest.as_ref().map(|digest| image_id(track, digest)).unwrap_or_default(),
        allocated_resources: resources.and_then(|resources| resources.requests.clone()),
        resources: resources.cloned(),
        container_id: id.filter(|id| !id.is_empty()).map(|id| format!("drydock://{id}")),
        state: Some(state),
        last_state: Some(match last {
            Some(exited) => {
                ContainerState { terminated: Some(terminated(&exited)), ..ContainerState::default() }
            }
            None => ContainerState::default(),
        }),
        ..ContainerStatus::default()
    })
}

fn backs_off(view: &View<'_>, spec: &PodSpec, track: &Track) -> bool {
    let restarts = match track.role {
        Role::Sidecar => true,
        Role::Ephemeral => false,
        Role::Init => {
            spec.restart_policy.as_deref() != Some("Never") && track.exited().is_some_and(|e| e.code != 0)
        }
        Role::Main => match spec.restart_policy.as_deref() {
            Some("Never") => false,
            Some("OnFailure") => track.exited().is_some_and(|e| e.code != 0),
            _ => true,
        },
    };
    restarts && !view.deleting && track.retry_at.is_some_and(|at| at > view.instant)
}

fn image_id(track: &Track, digest: &str) -> String {
    let repository = track.image_name.as_deref().unwrap_or_default();
    let repository = match repository.rsplit_once(':') {
        Some((without_tag, tag)) if !tag.contains('/') => without_tag,
        _ => repository,
    };
    if repository.is_empty() { digest.to_owned() } else { format!("{repository}@{digest}") }
}

fn is_ready(track: &Track) -> bool {
    match track.role {
        Role::Init => track.exited().is_some_and(|e| e.code == 0),
        Role::Sidecar | Role::Main => track.running().is_some() && track.ready,
        Role::Ephemeral => false,
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    }
}

fn terminated(exited: &Exited) -> ContainerStateTerminated {
    ContainerStateTerminated {
        container_id: Some(format!("drydock://{}", exited.id)).filter(|_| !exited.id.is_empty()),
        exit_code: exited.code,
        signal: exited.signal,
        reason: Some(exited.reason.clone()).filter(|r| !r.is_empty()),
        message: exited.message.clone(),
        started_at: exited.started_at.map(seconds),
        finished_at: Some(seconds(exited.finished_at)),
    }
}

fn conditions(view: &View<'_>, spec: &PodSpec, phase: &str, initialized: bool) -> Vec<PodCondition> {
    let before = view.pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let names = |wrong: fn(&Track) -> bool, wanted: fn(Role) -> bool| -> Vec<&str> {
        roles(spec)
            .filter(|(c, role)| wanted(*role) && view.tracks.get(&c.name).is_none_or(wrong))
            .map(|(c, _)| c.name.as_str())
            .collect()
    };
    let unready = names(|t| !is_ready(t), |role| role != Role::Init);
    let uninitialized = names(|t| !is_ready(t), |role| role == Role::Init);
    let ended = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => None,
    };
    let containers_ready = match ended {
        Some(reason) => Err((reason, String::new())),
        None if unready.is_empty() => Ok(()),
        None => {
            Err(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
        }
    };
    let gates = gates(spec, before);
    let ready = match (&containers_ready, gates) {
        (Err(why), _) => Err(why.clone()),
        (Ok(()), Some(missing)) => Err(("ReadinessGatesNotReady", missing)),
        (Ok(()), None) => Ok(()),
    };
    let init = if initialized || ended == Some("PodCompleted") {
        Ok(())
    } else {
        let text = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
        Err(("ContainersNotInitialized", text))
    };
    let sandbox = if view.sandbox { Ok(()) } else { Err(("", String::new())) };
    let ours = [sandbox, init, ready, containers_ready, Ok(())];
    let mut list: Vec<PodCondition> =
        OURS.iter().zip(ours).map(|(name, holds)| condition(view, before, name, holds)).collect();
    if let Some(why) = view.unresized {
        let told = condition(view, before, RESIZING, Err(("Error", why.to_owned())));
        // It is the one condition of ours that says something while it holds.
        list.push(PodCondition { status: "True".to_owned(), ..told });
    }
    list.extend(before.iter().filter(|c| !is_ours(c)).cloned());
    list
}

/// The first readiness gate that is not open.
fn gates(spec: &PodSpec, before: &[PodCondition]) -> Option<String> {
    let closed = spec
        .readiness_gates
        .iter()
        .flatten()
        .find(|gate| !before.iter().any(|c| c.type_ == gate.condition_type && c.status == "True"))?;
    Some(format!(
        "corresponding condition of pod readiness gate \"{}\" does not exist or is not True.",
        closed.condition_type
    ))
}

fn condition(
    view: &View<'_>,
    before: &[PodCondition],
    name: &str,
    holds: Result<(), (&str, String)>,
) -> PodCondition {
    let known = before.iter().find(|c| c.type_ == name);
    let status = if holds.is_ok() { "True" } else { "False" };
    let since = known.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    let (reason, message) = holds.err().unwrap_or_default();
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        last_transition_time: since.or_else(|| Some(seconds(view.now))),
        reason: Some(reason.to_owned()).filter(|r| !r.is_empty()),
        message: Some(message).filter(|m| !m.is_empty()),
        observed_generation: view.pod.metadata.generation,
        ..PodCondition::default()
    }
}

/// Our conditions from `mine`, everybody else's from `theirs`.
pub fn merge_conditions(mine: Vec<PodCondition>, theirs: Vec<PodCondition>) -> Vec<PodCondition> {
    mine.into_iter().filter(is_ours).chain(theirs.into_iter().filter(|c| !is_ours(c))).collect()
}

fn is_ours(condition: &PodCondition) -> bool {
    OURS.contains(&condition.type_.as_str()) || condition.type_ == RESIZING
}

/// Guaranteed, Burstable or BestEffort.
pub fn qos_class(pod: &Pod) -> &'static str {
    let Some(spec) = &pod.spec else { return "BestEffort" };
    let mut any = false;
    let mut guaranteed = true;
    for (container, _) in roles(spec) {
        let resources = container.resources.clone().unwrap_or_default();
        let pick = |list: &Option<BTreeMap<_, _>>, name: &str| {
            list.as_ref().and_then(|l| l.get(name)).and_then(quantity::number).filter(|n| *n > 0.0)
        };
        for name in ["cpu", "memory"] {
            let limit = pick(&resources.limits, name);
            let request = pick(&resources.requests, name).or(limit);
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && limit == request;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The API keeps whole seconds.
fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

#[cfg(test)]
mod tests;
