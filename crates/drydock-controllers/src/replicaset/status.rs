//! What a ReplicaSet reports about its pods. Pure: start at [`status`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::Observed;
use crate::cx::time;
use crate::pods;

const REPLICA_FAILURE: &str = "ReplicaFailure";

pub fn status(
    set: &ReplicaSet,
    pods: &[Arc<Pod>],
    failure: Option<String>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let active: Vec<&Pod> = pods.iter().map(|pod| &**pod).filter(|pod| pods::is_active(pod)).collect();
    let min_ready_s = min_ready_s(set);
    let count = |keep: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| keep(pod)).count() as i32;
    let template_labels = set
        .spec
        .as_ref()
        .and_then(|s| s.template.as_ref()?.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    ReplicaSetStatus {
        replicas: active.len() as i32,
        fully_labeled_replicas: some(count(&|pod| {
            crate::selector::matches_map(&template_labels, pod.metadata.labels.as_ref())
        })),
        ready_replicas: some(count(&pods::is_ready)),
        available_replicas: some(count(&|pod| pods::is_available(pod, min_ready_s, now))),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, failure, now),
        terminating_replicas: Some(pods.iter().filter(|pod| pods::is_terminating(pod)).count() as i32),
    }
}

/// When a pod becomes available by the mere passing of time.
pub fn next_change(observed: &Observed) -> Option<Duration> {
    let min_ready_s = min_ready_s(&observed.set);
    observed.pods.iter().filter_map(|pod| pods::time_to_available(pod, min_ready_s, observed.now)).min()
}

fn min_ready_s(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// Zero counts are left out, as the Go types do; clients compare objects field by field.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}

fn conditions(set: &ReplicaSet, failure: Option<String>, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    let old = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut conditions: Vec<_> = old.iter().filter(|c| c.type_ != REPLICA_FAILURE).cloned().collect();
    if let Some(message) = failure {
        let standing = old.into_iter().find(|c| c.type_ == REPLICA_FAILURE);
        conditions.push(standing.unwrap_or_else(|| ReplicaSetCondition {
            type_: REPLICA_FAILURE.into(),
            status: "True".into(),
            reason: Some("FailedCreate".into()),
            message: Some(message),
            last_transition_time: Some(time(now)),
        }));
    }
    (!conditions.is_empty()).then_some(conditions)
}
