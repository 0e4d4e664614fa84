//! Says how many pods of each PodDisruptionBudget may be taken down on purpose right now.
//!
//! Reads: PodDisruptionBudget, Pod, and the workloads that own pods (for their size). Writes:
//! budget status. Enforcing it is the API's work, on `pods/eviction`.
//!
//! Start at [`reconcile`]; [`status`] is pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::controller::{Controller, Next};
use crate::cx::{Cx, time};
use crate::deployment::part_of;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, is_deleting};
use crate::queue::Queue;
use crate::watches::Watches;
use crate::{pods, selector};

const NAME: &str = "disruption-controller";
/// Whom events come from, as kubectl shows it.
const SPEAKER: &str = "controllermanager";
const ALLOWED: &str = "DisruptionAllowed";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 1,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.budgets);
    watches.on(&kinds.pods, |cx, queue, old, new| {
        [old, new].into_iter().flatten().for_each(|pod| wake_budgets_of(cx, queue, pod));
    });
}

fn wake_budgets_of(cx: &Cx, queue: &Queue, pod: &Pod) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for budget in cx.kinds.budgets.cache.in_namespace(namespace) {
        if budget.spec.as_ref().is_some_and(|spec| selects(spec, pod)) {
            queue.add(Key::of(&budget.metadata));
        }
    }
}

fn selects(spec: &PodDisruptionBudgetSpec, pod: &Pod) -> bool {
    spec.selector.as_ref().is_some_and(|wanted| selector::matches(wanted, pod.metadata.labels.as_ref()))
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(budget) = cx.kinds.budgets.get(key) else { return Ok(Next::WaitForChange) };
    let Some(spec) = &budget.spec else { return Ok(Next::WaitForChange) };
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| selects(spec, pod) && !pods::is_finished(pod));
    if pods.is_empty() {
        cx.recorder.normal(SPEAKER, &*budget, "NoPods", "No matching pods found".to_owned());
    }
    let expected = expected(cx, &pods);
    let wanted = status(&budget, spec, &pods, expected, time(cx.now()));
    if budget.status.as_ref() != Some(&wanted) {
        let updated = PodDisruptionBudget { status: Some(wanted), ..(*budget).clone() };
        cx.kinds.budgets.replace_status(&updated).await?;
    }
    Ok(Next::WaitForChange)
}

/// How many pods there should be: the sizes of the workloads behind them, or their own number.
fn expected(cx: &Cx, pods: &[Arc<Pod>]) -> i32 {
    let mut sizes: BTreeMap<String, i32> = BTreeMap::new();
    let mut single = 0;
    for pod in pods {
        match owner::controller_of(&pod.metadata) {
            Some(owner) => {
                let key = Key::new(pod.metadata.namespace.clone().unwrap_or_default(), &owner.name);
                let (id, size) = size(cx, &owner.kind, &key, &owner.uid);
                if let Some(size) = size {
                    sizes.insert(id, size);
                } else {
                    single += 1;
                }
            }
            None => single += 1,
        }
    }
    sizes.into_values().sum::<i32>() + single
}

/// The workload that decides how many pods there are, and that number.
fn size(cx: &Cx, kind: &str, key: &Key, uid: &str) -> (String, Option<i32>) {
    if kind == "StatefulSet" {
        let set = cx.kinds.stateful_sets.get(key);
        return (uid.to_owned(), set.and_then(|set| set.spec.as_ref()?.replicas));
    }
    let Some(set) = cx.kinds.replica_sets.get(key).filter(|_| kind == "ReplicaSet") else {
        return (uid.to_owned(), None);
    };
    match owner::controller_of(&set.metadata) {
        Some(owner) => {
            let deployment = cx.kinds.deployments.get(&key.sibling(&owner.name));
            (owner.uid.clone(), deployment.and_then(|deployment| deployment.spec.as_ref()?.replicas))
        }
        None => (uid.to_owned(), set.spec.as_ref().and_then(|spec| spec.replicas)),
    }
}

fn status(
    budget: &PodDisruptionBudget,
    spec: &PodDisruptionBudgetSpec,
    pods: &[Arc<Pod>],
    expected: i32,
    now: Time,
) -> PodDisruptionBudgetStatus {
    let old = budget.status.clone().unwrap_or_default();
    let healthy = pods.iter().filter(|pod| pods::is_ready(pod) && !is_deleting(&pod.metadata)).count() as i32;
    let (expected, desired) = match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => (expected, (expected - part_of(most, expected, true)).max(0)),
        (None, Some(IntOrString::Int(least))) => (pods.len() as i32, *least),
        (None, Some(least)) => (expected, part_of(least, expected, true)),
        (None, None) => (expected, expected),
    };
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    // Evictions granted but not seen yet; a pod that is going has been seen.
    let granted = old.disrupted_pods.clone().map(|mut granted| {
        granted.retain(|name, _| {
            pods.iter().any(|pod| pod.metadata.name.as_ref() == Some(name) && !is_deleting(&pod.metadata))
        });
        granted
    });
    PodDisruptionBudgetStatus {
        expected_pods: Some(expected),
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        disruptions_allowed: Some(allowed),
        disrupted_pods: granted.filter(|granted| !granted.is_empty()),
        observed_generation: budget.metadata.generation,
        conditions: Some(vec![condition(&old, allowed > 0, budget.metadata.generation, now)]),
    }
}

fn condition(
    old: &PodDisruptionBudgetStatus,
    allowed: bool,
    generation: Option<i64>,
    now: Time,
) -> Condition {
    let (status, reason) = if allowed { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let before = old.conditions.iter().flatten().find(|c| c.type_ == ALLOWED && c.status == status);
    Condition {
        type_: ALLOWED.into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
        observed_generation: generation,
        last_transition_time: before.map_or(now, |before| before.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(spec: Value, ready: usize, unready: usize, expected: i32, expect_allowed: i32) {
        let pod = |ready: bool| {
            let status = if ready { "True" } else { "False" };
            let pod = json!({ "metadata": {}, "status": { "phase": "Running",
                "conditions": [{ "type": "Ready", "status": status }] } });
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let pods: Vec<_> = (0..ready).map(|_| pod(true)).chain((0..unready).map(|_| pod(false))).collect();
        let spec: PodDisruptionBudgetSpec = serde_json::from_value(spec).unwrap();
        let budget = PodDisruptionBudget::default();
        let status = status(&budget, &spec, &pods, expected, Time(Timestamp::UNIX_EPOCH));
        assert_eq!(status.disruptions_allowed, Some(expect_allowed));
    }

    #[test]
    fn pods_above_the_minimum_may_go() {
        check(json!({ "minAvailable": 2 }), 3, 0, 3, 1);
    }

    #[test]
    fn unready_pods_use_the_allowance_up() {
        check(json!({ "maxUnavailable": 1 }), 2, 1, 3, 0);
    }

    #[test]
    fn percentages_count_from_the_wanted_size() {
        check(json!({ "minAvailable": "50%" }), 4, 0, 4, 2);
    }

    #[test]
    fn a_budget_without_pods_allows_nothing() {
        check(json!({ "maxUnavailable": 1 }), 0, 0, 0, 0);
    }
}
