//! The `Progressing` condition: has the rollout moved, finished, or run out of time? Pure.
//!
//! Reasons and sentences are upstream's, word for word: `kubectl rollout status` and Helm's wait
//! branch on them. Start at [`set_progress`].

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};

use super::Observed;
use super::revision::Sets;
use super::status::{find, is_complete, remove, set};
use crate::cx::elapsed;

const PROGRESSING: &str = "Progressing";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
/// A deadline of this many seconds means none; upstream's convention.
const NO_DEADLINE_S: i32 = i32::MAX;

/// What happened to the current ReplicaSet in this pass.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Created(String),
    Found(String),
    CreateFailed(String),
}

pub fn set_progress(
    observed: &Observed,
    sets: &Sets,
    old: &DeploymentStatus,
    status: &mut DeploymentStatus,
    news: Option<&News>,
) {
    if deadline_s(observed).is_none() {
        return remove(status, PROGRESSING);
    }
    set_paused(observed, status);
    match news {
        Some(News::CreateFailed(reason)) => {
            let text = format!("Failed to create new replica set: {reason}");
            return set(observed, status, PROGRESSING, "False", "ReplicaSetCreateError", text);
        }
        Some(News::Created(name)) => {
            let text = format!("Created new replica set {name:?}");
            set(observed, status, PROGRESSING, "True", "NewReplicaSetCreated", text);
        }
        Some(News::Found(name)) => {
            let text = format!("Found new replica set {name:?}");
            set(observed, status, PROGRESSING, "True", "FoundNewReplicaSet", text);
        }
        None => {}
    }
    let paused = observed.spec().is_some_and(|spec| spec.paused == Some(true));
    let settled = find(status, PROGRESSING).is_some_and(|c| c.reason.as_deref() == Some(COMPLETE))
        && status.replicas == status.updated_replicas;
    if !paused && !settled {
        judge(observed, sets, old, status);
    }
}

fn judge(observed: &Observed, sets: &Sets, old: &DeploymentStatus, status: &mut DeploymentStatus) {
    let who = match &sets.new {
        Some(new) => format!("ReplicaSet {:?}", new.metadata.name.as_deref().unwrap_or_default()),
        None => format!("Deployment {:?}", observed.deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(observed, status) {
        let text = format!("{who} has successfully progressed.");
        set(observed, status, PROGRESSING, "True", COMPLETE, text);
    } else if has_moved(old, status) {
        let since = find(status, PROGRESSING).cloned();
        // Each move renews the deadline, also when the condition reads the same as before.
        remove(status, PROGRESSING);
        set(observed, status, PROGRESSING, "True", "ReplicaSetUpdated", format!("{who} is progressing."));
        keep_transition(status, since);
    } else if timed_out(observed, status) {
        let text = format!("{who} has timed out progressing.");
        set(observed, status, PROGRESSING, "False", TIMED_OUT, text);
    }
}

fn keep_transition(status: &mut DeploymentStatus, before: Option<DeploymentCondition>) {
    let Some(before) = before.filter(|before| before.status == "True") else { return };
    if let Some(condition) =
        status.conditions.iter_mut().flatten().find(|condition| condition.type_ == PROGRESSING)
    {
        condition.last_transition_time = before.last_transition_time;
    }
}

fn has_moved(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let count = |value: Option<i32>| value.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(new.updated_replicas) > count(old.updated_replicas)
        || outdated(new) < outdated(old)
        || count(new.ready_replicas) > count(old.ready_replicas)
        || count(new.available_replicas) > count(old.available_replicas)
}

fn timed_out(observed: &Observed, status: &DeploymentStatus) -> bool {
    match find(status, PROGRESSING) {
        Some(condition) => match condition.reason.as_deref() {
            Some(COMPLETE) => false,
            Some(TIMED_OUT) => true,
            _ => time_left(observed, status) == Some(Duration::ZERO),
        },
        None => false,
    }
}

fn set_paused(observed: &Observed, status: &mut DeploymentStatus) {
    let reason = find(status, PROGRESSING).and_then(|condition| condition.reason.clone());
    if reason.as_deref() == Some(TIMED_OUT) {
        return;
    }
    let was_paused = reason.as_deref() == Some(PAUSED);
    let paused = observed.spec().is_some_and(|spec| spec.paused == Some(true));
    if paused && !was_paused {
        set(observed, status, PROGRESSING, "Unknown", PAUSED, "Deployment is paused".into());
    } else if !paused && was_paused {
        set(observed, status, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".into());
    }
}

fn deadline_s(observed: &Observed) -> Option<u64> {
    let seconds = observed.spec()?.progress_deadline_seconds.filter(|seconds| *seconds != NO_DEADLINE_S)?;
    u64::try_from(seconds).ok()
}

fn time_left(observed: &Observed, status: &DeploymentStatus) -> Option<Duration> {
    let condition = find(status, PROGRESSING)?;
    let deadline = Duration::from_secs(deadline_s(observed)?);
    let since = condition.last_update_time.as_ref()?;
    Some(deadline.saturating_sub(elapsed(since, observed.now)))
}

/// When time alone will decide: the rollout's deadline, unless it is over.
pub fn deadline(observed: &Observed, status: &DeploymentStatus) -> Option<Duration> {
    let reason = find(status, PROGRESSING)?.reason.as_deref()?;
    if matches!(reason, COMPLETE | TIMED_OUT | PAUSED) {
        return None;
    }
    time_left(observed, status).map(|left| left + Duration::from_secs(1))
}
