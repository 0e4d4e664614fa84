//! Two things a workload's own status does not say: whether pods without a probe stay up, and whether a broken pod
//! keeps its StatefulSet from repairing it. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use serde_json::Value;

/// A container without a readiness probe counts as ready when it starts. It has to live this long until we believe it;
/// times in a status have whole seconds.
const STEADY_S: i64 = 3;

/// Why `pods`, which count as ready, are not believed yet.
pub(crate) fn unsettled(pods: &[&Pod], now: Timestamp) -> Option<String> {
    pods.iter().find_map(|pod| {
        let unproven = pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .find(|container| !is_proven(pod, container, now))?;
        Some(format!("container `{}` has no readiness probe and has just started", unproven.name))
    })
}

fn is_proven(pod: &Pod, container: &Container, now: Timestamp) -> bool {
    if container.readiness_probe.is_some() {
        return true;
    }
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let state = statuses
        .into_iter()
        .find(|status| status.name == container.name)
        .and_then(|status| status.state.as_ref());
    let started =
        state.and_then(|state| state.running.as_ref()).and_then(|running| running.started_at.as_ref());
    started.is_some_and(|started| now.as_second() - started.0.as_second() >= STEADY_S)
}

/// Pods of an earlier revision that are broken, and that an ordered StatefulSet waits for before it replaces them: for
/// ever. Kubernetes asks a person to delete them ("forced rollback" in its documentation of StatefulSets).
pub(crate) fn stuck<'a>(workload: &Value, pods: &[&'a Pod]) -> Vec<&'a Pod> {
    if workload["kind"] != "StatefulSet"
        || workload["metadata"]["generation"] != workload["status"]["observedGeneration"]
    {
        return Vec::new();
    }
    let Some(revision) = workload["status"]["updateRevision"].as_str() else { return Vec::new() };
    let uid = workload["metadata"]["uid"].as_str();
    let is_owned = |pod: &Pod| pod.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid);
    let is_old =
        |pod: &Pod| pod.labels().get("controller-revision-hash").is_some_and(|hash| hash != revision);
    pods.iter().copied().filter(|pod| is_owned(pod) && is_old(pod) && is_broken(pod)).collect()
}

/// It has ended badly at least once, or its image cannot be had.
fn is_broken(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && statuses.into_iter().filter(|status| !status.ready).any(|status| {
            let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
            let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
            status.restart_count > 0
                || matches!(
                    reason,
                    "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

    fn pod(container: Value, status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "a", "labels": { "controller-revision-hash": "old" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u" }] },
            "spec": { "containers": [container] },
            "status": { "containerStatuses": [status] },
        }))
        .unwrap()
    }

    fn status(restarts: i32, state: Value) -> Value {
        json!({ "name": "c", "ready": false, "restartCount": restarts, "image": "", "imageID": "", "state": state })
    }

    fn running(seconds: i64) -> Value {
        json!({ "running": { "startedAt": Timestamp::from_second(NOW.as_second() - seconds).unwrap().to_string() } })
    }

    #[track_caller]
    fn check(container: Value, state: Value, settled: bool) {
        let pod = pod(container, status(0, state));
        assert_eq!(unsettled(&[&pod], NOW).is_none(), settled);
    }

    #[test]
    fn a_container_without_a_probe_must_live_for_a_while() {
        check(json!({ "name": "c" }), running(1), false);
        check(json!({ "name": "c" }), running(10), true);
        check(json!({ "name": "c" }), json!({ "terminated": { "exitCode": 3 } }), false);
    }

    #[test]
    fn a_probe_is_believed_at_once() {
        check(json!({ "name": "c", "readinessProbe": {} }), running(0), true);
    }

    #[track_caller]
    fn check_stuck(update_revision: &str, restarts: i32, expect: usize) {
        let pod = pod(json!({ "name": "c" }), status(restarts, running(1)));
        let set = json!({ "kind": "StatefulSet", "metadata": { "uid": "u", "generation": 2 },
            "status": { "observedGeneration": 2, "updateRevision": update_revision } });
        assert_eq!(stuck(&set, &[&pod]).len(), expect);
    }

    #[test]
    fn only_a_broken_pod_of_an_earlier_revision_is_stuck() {
        check_stuck("new", 2, 1);
        check_stuck("new", 0, 0);
        check_stuck("old", 2, 0);
    }
}
