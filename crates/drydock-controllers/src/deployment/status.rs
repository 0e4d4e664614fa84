//! What a Deployment reports: counts and conditions, as kubectl, Helm and kstatus read them. Pure.
//!
//! Start at [`status`].

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus, ReplicaSet};

use super::Observed;
use super::progress::{self, News};
use super::proportion::{desired, max_unavailable};
use super::revision::{Sets, available, replicas};
use crate::cx::time;

const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";

pub fn status(observed: &Observed, sets: &Sets, news: Option<&News>) -> DeploymentStatus {
    let old = observed.deployment.status.clone().unwrap_or_default();
    let all: Vec<&Arc<ReplicaSet>> = sets.all().collect();
    let available_pods: i32 = all.iter().map(|set| available(set)).sum();
    let wanted_pods: i32 = all.iter().map(|set| replicas(set)).sum();
    let mut status = DeploymentStatus {
        observed_generation: observed.deployment.metadata.generation,
        replicas: some(all.iter().map(|set| actual(set)).sum()),
        updated_replicas: some(sets.new.as_deref().map_or(0, actual)),
        ready_replicas: some(all.iter().map(|set| ready(set)).sum()),
        available_replicas: some(available_pods),
        unavailable_replicas: some((wanted_pods - available_pods).max(0)),
        collision_count: old.collision_count,
        conditions: old.conditions.clone(),
        terminating_replicas: all.iter().map(|set| terminating(set)).sum(),
    };
    set_available(observed, &mut status, available_pods);
    set_failure(observed, &mut status, &all);
    progress::set_progress(observed, sets, &old, &mut status, news);
    status
}

/// Every pod runs the current template and is available, and nothing else runs.
pub fn is_complete(observed: &Observed, status: &DeploymentStatus) -> bool {
    let wanted = observed.spec().map_or(1, desired);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= observed.deployment.metadata.generation
}

pub fn condition<'a>(observed: &'a Observed, type_: &str) -> Option<&'a DeploymentCondition> {
    observed.deployment.status.as_ref().and_then(|status| find(status, type_))
}

pub fn find<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

pub fn remove(status: &mut DeploymentStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != type_);
    }
}

/// Sets a condition; one that says the same already is left as it is, times included.
pub fn set(
    observed: &Observed,
    status: &mut DeploymentStatus,
    type_: &str,
    value: &str,
    reason: &str,
    text: String,
) {
    let now = time(observed.now);
    let old = find(status, type_);
    if old.is_some_and(|old| old.status == value && old.reason.as_deref() == Some(reason)) {
        return;
    }
    let since = old.filter(|old| old.status == value).and_then(|old| old.last_transition_time.clone());
    let condition = DeploymentCondition {
        type_: type_.into(),
        status: value.into(),
        reason: Some(reason.into()),
        message: Some(text),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(since.unwrap_or(now)),
    };
    remove(status, type_);
    status.conditions.get_or_insert_default().push(condition);
}

fn set_available(observed: &Observed, status: &mut DeploymentStatus, available_pods: i32) {
    let Some(spec) = observed.spec() else { return };
    let (value, reason, text) = if available_pods >= desired(spec) - max_unavailable(spec) {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(observed, status, AVAILABLE, value, reason, text.into());
}

/// A ReplicaSet that cannot create pods makes it the Deployment's business.
fn set_failure(observed: &Observed, status: &mut DeploymentStatus, all: &[&Arc<ReplicaSet>]) {
    let failure = all.iter().rev().find_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|c| c.type_ == REPLICA_FAILURE && c.status == "True")
    });
    match failure {
        Some(failure) => {
            let reason = failure.reason.as_deref().unwrap_or("FailedCreate");
            let text = failure.message.clone().unwrap_or_default();
            set(observed, status, REPLICA_FAILURE, "True", reason, text);
        }
        None => remove(status, REPLICA_FAILURE),
    }
}

fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn ready(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// Unknown as long as one set has not counted its own.
fn terminating(set: &ReplicaSet) -> Option<i32> {
    set.status.as_ref()?.terminating_replicas
}

fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
