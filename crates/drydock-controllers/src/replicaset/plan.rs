//! How many pods to create, and which to delete. Pure: start at [`plan`].

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::Pod;

use super::Observed;
use crate::key::Key;
use crate::owner::is_deleting;
use crate::pods;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What one pass intends to change. Empty means the world already matches.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub create: usize,
    pub delete: Vec<Key>,
}

pub fn plan(observed: &Observed) -> Plan {
    if is_deleting(&observed.set.metadata) {
        return Plan::default();
    }
    let wanted = observed.set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let mut active: Vec<&Pod> =
        observed.pods.iter().map(|pod| &**pod).filter(|pod| pods::is_active(pod)).collect();
    if active.len() <= wanted {
        return Plan { create: wanted - active.len(), delete: Vec::new() };
    }
    // Unready first, then youngest, so a scale-down never drops working capacity it could keep.
    active.sort_by_key(|pod| loss(pod));
    let surplus = active.len() - wanted;
    Plan { create: 0, delete: active[..surplus].iter().map(|pod| Key::of(&pod.metadata)).collect() }
}

/// What deleting the pod would cost; the cheapest go first. Upstream: ActivePodsWithRanks.
fn loss(pod: &Pod) -> impl Ord + use<> {
    let ready_since = pods::condition(pod, "Ready").and_then(|c| c.last_transition_time.clone());
    (
        pods::node_name(pod).is_some(),
        matches!(pods::phase(pod), "Running"),
        pods::is_ready(pod),
        deletion_cost(pod),
        Reverse(ready_since.filter(|_| pods::is_ready(pod))),
        Reverse(pods::restarts(pod)),
        Reverse(pod.metadata.creation_timestamp.clone()),
        // Names only make the order total.
        pod.metadata.name.clone(),
    )
}

fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.and_then(|a| a.get(DELETION_COST)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
    use k8s_openapi::api::core::v1::{PodCondition, PodSpec, PodStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

    use super::*;

    /// `pods`: names in order of age; `!` unready, `?` unscheduled, `x` failed, `~` terminating, `$` costly.
    #[track_caller]
    fn check(wanted: i32, pods: &str, expect: &str) {
        let pods =
            pods.split_whitespace().enumerate().map(|(age, text)| Arc::new(parse(age, text))).collect();
        let spec = ReplicaSetSpec { replicas: Some(wanted), ..Default::default() };
        let set = Arc::new(ReplicaSet { spec: Some(spec), ..Default::default() });
        let plan = plan(&Observed { set, pods, now: Timestamp::UNIX_EPOCH });
        let delete: Vec<&str> = plan.delete.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(format!("+{} -[{}]", plan.create, delete.join(" ")), expect);
    }

    fn parse(age: usize, text: &str) -> Pod {
        let is = |mark| text.contains(mark);
        let time = Time(Timestamp::from_second(1_000 + age as i64).unwrap());
        let ready = PodCondition {
            type_: "Ready".into(),
            status: if is('!') || is('?') { "False" } else { "True" }.into(),
            last_transition_time: Some(time.clone()),
            ..Default::default()
        };
        let metadata = ObjectMeta {
            name: Some(text.trim_end_matches(|c: char| !c.is_alphanumeric() || c == 'x').to_owned()),
            creation_timestamp: Some(time.clone()),
            deletion_timestamp: is('~').then_some(time),
            annotations: is('$').then(|| [(DELETION_COST.to_owned(), "100".to_owned())].into()),
            ..Default::default()
        };
        let spec = PodSpec { node_name: (!is('?')).then(|| "node".into()), ..Default::default() };
        let phase = if is('x') {
            "Failed"
        } else if is('?') {
            "Pending"
        } else {
            "Running"
        };
        let status =
            PodStatus { phase: Some(phase.into()), conditions: Some(vec![ready]), ..Default::default() };
        Pod { metadata, spec: Some(spec), status: Some(status) }
    }

    #[test]
    fn missing_pods_are_created() {
        check(3, "a", "+2 -[]");
    }

    #[test]
    fn nothing_happens_when_the_number_is_right() {
        check(2, "a b!", "+0 -[]");
    }

    #[test]
    fn unready_pods_are_deleted_before_ready_ones() {
        check(2, "a b! c", "+0 -[b]");
    }

    #[test]
    fn among_ready_pods_the_youngest_goes_first() {
        check(1, "a b", "+0 -[b]");
    }

    #[test]
    fn an_unscheduled_pod_goes_before_an_unready_one() {
        check(2, "a! b? c", "+0 -[b]");
    }

    #[test]
    fn failed_and_terminating_pods_do_not_count_and_are_replaced() {
        check(2, "a b~ cx", "+1 -[]");
    }

    #[test]
    fn a_costly_pod_is_kept_over_an_older_one() {
        check(1, "a b$", "+0 -[a]");
    }

    #[test]
    fn zero_replicas_delete_everything() {
        check(0, "a b", "+0 -[b a]");
    }
}
