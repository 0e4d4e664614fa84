//! Which pods speak for a workload now. Those of an older revision may crash as they like: they are on their way out,
//! and an upgrade that repairs them must not be given up because of them. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// The pods of the revision that `workload`, as the cluster shows it, is moving to.
///
/// None while its controller has not seen the change: every pod is an old one then.
pub(crate) fn current_pods<'a>(
    workload: &Value,
    replica_sets: &[&ReplicaSet],
    pods: &[&'a Pod],
) -> Vec<&'a Pod> {
    let generation = workload["metadata"]["generation"].as_i64();
    let observed = workload["status"]["observedGeneration"].as_i64();
    if generation.is_some() && observed < generation && has_observed_generation(workload) {
        return Vec::new();
    }
    let uid = workload["metadata"]["uid"].as_str().unwrap_or_default();
    match workload["kind"].as_str().unwrap_or_default() {
        "Deployment" => match newest_replica_set(workload, replica_sets) {
            Some(newest) => owned_by(pods, newest.metadata.uid.as_deref().unwrap_or_default()),
            None => Vec::new(),
        },
        "StatefulSet" => {
            let mut owned = owned_by(pods, uid);
            let revision = workload["status"]["updateRevision"].as_str();
            owned.retain(|pod| {
                revision.is_none()
                    || pod.labels().get("controller-revision-hash").map(String::as_str) == revision
            });
            owned
        }
        "Pod" => pods.iter().copied().filter(|pod| pod.metadata.uid.as_deref() == Some(uid)).collect(),
        _ => owned_by(pods, uid),
    }
}

fn has_observed_generation(workload: &Value) -> bool {
    matches!(workload["kind"].as_str(), Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"))
}

fn owned_by<'a>(pods: &[&'a Pod], uid: &str) -> Vec<&'a Pod> {
    pods.iter().copied().filter(|pod| pod.owner_references().iter().any(|owner| owner.uid == uid)).collect()
}

fn newest_replica_set<'a>(deployment: &Value, replica_sets: &[&'a ReplicaSet]) -> Option<&'a ReplicaSet> {
    let uid = deployment["metadata"]["uid"].as_str()?;
    let revision = |annotations: &BTreeMap<String, String>| annotations.get(REVISION)?.parse::<u64>().ok();
    let owned = replica_sets.iter().filter(|set| set.owner_references().iter().any(|owner| owner.uid == uid));
    owned.max_by_key(|set| revision(set.annotations())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, owner: &str, hash: &str) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": name, "uid": name,
            "labels": { "controller-revision-hash": hash },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": owner, "uid": owner }] } }))
        .unwrap()
    }

    fn replica_set(uid: &str, revision: &str) -> ReplicaSet {
        serde_json::from_value(json!({ "metadata": { "name": uid, "uid": uid, "annotations": { REVISION: revision },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web" }] } }))
        .unwrap()
    }

    fn workload(kind: &str, generation: i64, observed: i64) -> Value {
        json!({ "kind": kind, "metadata": { "uid": "web", "generation": generation },
            "status": { "observedGeneration": observed, "updateRevision": "new" } })
    }

    #[track_caller]
    fn check(workload: &Value, expect: &[&str]) {
        let pods = [
            pod("old", "rs9", "old"),
            pod("new", "rs10", "new"),
            pod("set-0", "web", "old"),
            pod("set-1", "web", "new"),
        ];
        let sets = [replica_set("rs9", "9"), replica_set("rs10", "10")];
        let found =
            current_pods(workload, &sets.iter().collect::<Vec<_>>(), &pods.iter().collect::<Vec<_>>());
        assert_eq!(found.iter().map(|pod| pod.name_any()).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn a_deployment_is_judged_by_the_pods_of_its_newest_revision() {
        check(&workload("Deployment", 3, 3), &["new"]);
    }

    #[test]
    fn a_stateful_set_is_judged_by_the_pods_of_its_update_revision() {
        check(&workload("StatefulSet", 3, 3), &["set-1"]);
    }

    #[test]
    fn no_pod_speaks_before_the_controller_has_seen_the_change() {
        check(&workload("Deployment", 4, 3), &[]);
        check(&workload("StatefulSet", 4, 3), &[]);
    }

    #[test]
    fn a_job_is_judged_by_the_pods_it_owns() {
        check(&workload("Job", 1, 0), &["set-0", "set-1"]);
    }
}
