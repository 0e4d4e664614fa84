//! What a StatefulSet reports, as `kubectl rollout status` and kstatus read it. Pure.

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;

use super::Observed;
use super::plan::{revision_of, wanted};
use super::revisions::Revisions;
use crate::owner::is_deleting;
use crate::pods;

pub fn status(observed: &Observed, revisions: &Revisions) -> StatefulSetStatus {
    let old = observed.set.status.clone().unwrap_or_default();
    let (current, update) = (revisions.current_name(), revisions.update_name());
    let min_ready_s = observed.spec().min_ready_seconds.unwrap_or(0);
    let pods: Vec<&Pod> = observed.pods.iter().map(|pod| &**pod).collect();
    let count = |keep: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| keep(pod)).count() as i32;
    let of =
        |name: &str, pod: &Pod| !is_deleting(&pod.metadata) && revision_of(pod).is_some_and(|r| r == name);
    let mut status = StatefulSetStatus {
        observed_generation: observed.set.metadata.generation,
        replicas: count(&|_| true),
        ready_replicas: some(count(&|pod| pods::is_running_and_ready(pod))),
        available_replicas: some(count(&|pod| {
            pods::is_running_and_ready(pod) && pods::is_available(pod, min_ready_s, observed.now)
        })),
        current_replicas: some(count(&|pod| of(&current, pod))),
        updated_replicas: some(count(&|pod| of(&update, pod))),
        current_revision: Some(current),
        update_revision: Some(update.clone()),
        collision_count: Some(old.collision_count.unwrap_or(0)),
        conditions: old.conditions,
    };
    if is_updated(observed, &status) {
        status.current_revision = Some(update);
        status.current_replicas = status.updated_replicas;
    }
    status
}

/// Every wanted pod runs the new revision and is ready: the update is over.
fn is_updated(observed: &Observed, status: &StatefulSetStatus) -> bool {
    let strategy = observed.spec().update_strategy.clone().unwrap_or_default();
    let wanted = wanted(observed).len() as i32;
    strategy.type_.as_deref() != Some("OnDelete")
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.ready_replicas.unwrap_or(0) == wanted
        && status.replicas == wanted
}

fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
