//! Which ordinal gets a pod and which pod goes, one step at a time unless pods are independent.
//! Pure: start at [`plan`]. Order of judgement as upstream: replicas, condemned pods, update.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::Observed;
use super::identity::{REVISION_LABEL, ordinal};
use super::revisions::Revisions;
use crate::owner::is_deleting;
use crate::pods;

/// What one pass intends to change. Empty means the world matches, or has to be waited for.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub create: Vec<i32>,
    pub delete: Vec<Arc<Pod>>,
    /// A ready pod becomes available by the mere passing of time.
    pub look_again: Option<Duration>,
}

pub fn plan(observed: &Observed, revisions: &Revisions) -> Plan {
    let pods = by_ordinal(observed);
    let mut plan = Plan { look_again: look_again(observed), ..Plan::default() };
    let settled = keep_replicas(observed, &pods, &mut plan)
        && remove_condemned(observed, &pods, &mut plan)
        && plan.create.is_empty()
        && plan.delete.is_empty();
    if settled {
        update(observed, revisions, &pods, &mut plan);
    }
    plan
}

pub fn first_ordinal(observed: &Observed) -> i32 {
    observed.spec().ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0)
}

pub fn wanted(observed: &Observed) -> std::ops::Range<i32> {
    let first = first_ordinal(observed);
    first..first.saturating_add(observed.spec().replicas.unwrap_or(1))
}

type Pods<'a> = BTreeMap<i32, &'a Arc<Pod>>;

fn by_ordinal(observed: &Observed) -> Pods<'_> {
    observed.pods.iter().filter_map(|pod| Some((ordinal(&observed.set, pod)?, pod))).collect()
}

fn is_ordered(observed: &Observed) -> bool {
    observed.spec().pod_management_policy.as_deref() != Some("Parallel")
}

fn is_healthy(observed: &Observed, pod: &Pod) -> bool {
    let min_ready_s = observed.spec().min_ready_seconds.unwrap_or(0);
    pods::phase(pod) == "Running"
        && pods::is_available(pod, min_ready_s, observed.now)
        && !is_deleting(&pod.metadata)
}

fn look_again(observed: &Observed) -> Option<Duration> {
    let min_ready_s = observed.spec().min_ready_seconds.unwrap_or(0);
    observed.pods.iter().filter_map(|pod| pods::time_to_available(pod, min_ready_s, observed.now)).min()
}

/// Creates what is missing, in order. False: an ordinal has to be waited for first.
fn keep_replicas(observed: &Observed, pods: &Pods, plan: &mut Plan) -> bool {
    let ordered = is_ordered(observed);
    for ordinal in wanted(observed) {
        let healthy = match pods.get(&ordinal) {
            None => {
                plan.create.push(ordinal);
                false
            }
            Some(pod) if pods::is_finished(pod) && !is_deleting(&pod.metadata) => {
                // A pod that ended is replaced under the same name once it is gone.
                plan.delete.push((*pod).clone());
                false
            }
            Some(pod) => is_healthy(observed, pod),
        };
        if ordered && !healthy {
            return false;
        }
    }
    true
}

/// Deletes pods beyond the wanted number, highest first. False: one has to be waited for first.
fn remove_condemned(observed: &Observed, pods: &Pods, plan: &mut Plan) -> bool {
    let wanted = wanted(observed);
    for (_, pod) in pods.iter().rev().filter(|(ordinal, _)| !wanted.contains(ordinal)) {
        if !is_deleting(&pod.metadata) {
            plan.delete.push((*pod).clone());
        }
        if is_ordered(observed) {
            return false;
        }
    }
    true
}

/// Replaces pods of other revisions, highest ordinal first, never one before the higher are well.
fn update(observed: &Observed, revisions: &Revisions, pods: &Pods, plan: &mut Plan) {
    let strategy = observed.spec().update_strategy.clone().unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return;
    }
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or(0);
    let wanted = wanted(observed);
    let lowest = wanted.start.saturating_add(partition);
    let mut targets: Vec<_> =
        pods.iter().filter(|(ordinal, _)| wanted.contains(ordinal) && **ordinal >= lowest).collect();
    targets.sort_by_key(|(ordinal, _)| Reverse(**ordinal));
    for (_, pod) in targets {
        if revision_of(pod) != Some(&revisions.update_name()) && !is_deleting(&pod.metadata) {
            plan.delete.push((*pod).clone());
            return;
        }
        if !is_healthy(observed, pod) {
            return;
        }
    }
}

pub fn revision_of(pod: &Pod) -> Option<&String> {
    pod.metadata.labels.as_ref()?.get(REVISION_LABEL)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::apps::v1::ControllerRevision;
    use serde_json::{Value, json};

    use super::*;

    /// `pods`: ordinals; `!` unready, `~` terminating, `x` failed, `o` of the old revision.
    #[track_caller]
    fn check(spec: Value, pods: &str, expect: &str) {
        let mut set = json!({ "metadata": { "name": "db", "namespace": "ns" }, "spec": {
            "selector": {}, "template": {},
        } });
        set["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let observed = Observed {
            set: Arc::new(serde_json::from_value(set).unwrap()),
            pods: pods.split_whitespace().map(pod).collect(),
            history: Default::default(),
            now: Timestamp::UNIX_EPOCH,
        };
        let mut update = ControllerRevision::default();
        update.metadata.name = Some("db-new".into());
        let plan = plan(&observed, &Revisions::new(&observed, Arc::new(update)));
        let names: Vec<&str> = plan
            .delete
            .iter()
            .map(|pod| pod.metadata.name.as_deref().unwrap().trim_start_matches("db-"))
            .collect();
        assert_eq!(format!("+{:?} -[{}]", plan.create, names.join(" ")), expect);
    }

    fn pod(text: &str) -> Arc<Pod> {
        let is = |mark| text.contains(mark);
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let mut pod = json!({
            "metadata": {
                "name": format!("db-{number}"),
                "labels": { REVISION_LABEL: if is('o') { "db-old" } else { "db-new" } },
            },
            "status": {
                "phase": if is('x') { "Failed" } else { "Running" },
                "conditions": [{ "type": "Ready", "status": if is('!') || is('x') { "False" } else { "True" } }],
            },
        });
        if is('~') {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn pods_are_created_one_after_the_other() {
        check(json!({ "replicas": 3 }), "", "+[0] -[]");
        check(json!({ "replicas": 3 }), "0!", "+[] -[]");
        check(json!({ "replicas": 3 }), "0", "+[1] -[]");
    }

    #[test]
    fn parallel_pods_are_created_at_once() {
        check(json!({ "replicas": 3, "podManagementPolicy": "Parallel" }), "1!", "+[0, 2] -[]");
    }

    #[test]
    fn a_terminating_pod_is_waited_for_before_its_name_is_used_again() {
        check(json!({ "replicas": 2 }), "0~ 1", "+[] -[]");
    }

    #[test]
    fn a_failed_pod_is_replaced() {
        check(json!({ "replicas": 1 }), "0x", "+[] -[0]");
    }

    #[test]
    fn scaling_down_removes_the_highest_first_and_one_at_a_time() {
        check(json!({ "replicas": 1 }), "0 1 2", "+[] -[2]");
        check(json!({ "replicas": 1 }), "0 1 2~", "+[] -[]");
        check(json!({ "replicas": 1, "podManagementPolicy": "Parallel" }), "0 1 2", "+[] -[2 1]");
    }

    #[test]
    fn an_update_replaces_the_highest_first_and_waits_for_it() {
        check(json!({ "replicas": 2 }), "0o 1o", "+[] -[1]");
        check(json!({ "replicas": 2 }), "0o 1!", "+[] -[]");
        check(json!({ "replicas": 2 }), "0o 1", "+[] -[0]");
    }

    #[test]
    fn a_partition_keeps_the_lower_ordinals_as_they_are() {
        let spec = json!({ "replicas": 2, "updateStrategy": { "rollingUpdate": { "partition": 1 } } });
        check(spec.clone(), "0o 1o", "+[] -[1]");
        check(spec, "0o 1", "+[] -[]");
    }

    #[test]
    fn on_delete_leaves_updating_to_people() {
        check(json!({ "replicas": 1, "updateStrategy": { "type": "OnDelete" } }), "0o", "+[] -[]");
    }

    #[test]
    fn ordinals_may_start_elsewhere() {
        check(json!({ "replicas": 1, "ordinals": { "start": 5 } }), "0", "+[5] -[]");
    }

    #[test]
    fn an_unready_pod_of_the_old_revision_blocks_an_ordered_update() {
        // Upstream waits too: a person has to delete the broken pod.
        check(json!({ "replicas": 1 }), "0!o", "+[] -[]");
    }
}
