//! Which nodes lack their pod, and which pods are too many or outdated. Pure: start at [`plan`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSetStatus;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::{Observed, REVISION_LABEL};
use crate::owner::is_deleting;
use crate::{pods, selector};

/// What one pass intends to change. Empty means the world already matches.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Nodes to create a pod for.
    pub create: Vec<String>,
    pub delete: Vec<Arc<Pod>>,
    pub look_again: Option<Duration>,
}

pub fn plan(observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let mut by_node: BTreeMap<String, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in &observed.pods {
        by_node.entry(target(pod).unwrap_or_default().to_owned()).or_default().push(pod);
    }
    for node in observed.nodes.iter().filter(|node| runs_on(observed, node)) {
        let name = node.metadata.name.clone().unwrap_or_default();
        keep_one(by_node.remove(&name).unwrap_or_default(), name, &mut plan);
    }
    // Pods of nodes that are gone, or that the set does not want any more.
    let stray = by_node.into_values().flatten().filter(|pod| !is_deleting(&pod.metadata));
    plan.delete.extend(stray.cloned());
    if plan.create.is_empty() && plan.delete.is_empty() {
        plan.delete.extend(outdated(observed));
    }
    let min_ready_s = observed.spec.min_ready_seconds.unwrap_or(0);
    plan.look_again =
        observed.pods.iter().filter_map(|pod| pods::time_to_available(pod, min_ready_s, observed.now)).min();
    plan
}

fn keep_one(pods: Vec<&Arc<Pod>>, node: String, plan: &mut Plan) {
    let (finished, mut living): (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) =
        pods.into_iter().filter(|pod| !is_deleting(&pod.metadata)).partition(|pod| pods::is_finished(pod));
    plan.delete.extend(finished.into_iter().cloned());
    living.sort_by_key(|pod| (!pods::is_ready(pod), pod.metadata.creation_timestamp.clone()));
    match living.split_first() {
        None => plan.create.push(node),
        Some((_, surplus)) => plan.delete.extend(surplus.iter().map(|pod| (*pod).clone())),
    }
}

/// The node a pod is on, or is meant for.
fn target(pod: &Pod) -> Option<&str> {
    pods::node_name(pod).or_else(|| {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
        let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
        let field = required.node_selector_terms.first()?.match_fields.as_ref()?.first()?;
        field.values.as_ref()?.first().map(String::as_str)
    })
}

fn runs_on(observed: &Observed, node: &Node) -> bool {
    let spec = observed.spec.template.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.node_selector.as_ref());
    wanted.is_none_or(|wanted| selector::matches_map(wanted, node.metadata.labels.as_ref()))
}

fn is_current(observed: &Observed, pod: &Pod) -> bool {
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL));
    label.is_some_and(|label| label == observed.revision())
}

fn is_available(observed: &Observed, pod: &Pod) -> bool {
    pods::is_available(pod, observed.spec.min_ready_seconds.unwrap_or(0), observed.now)
}

/// One outdated pod to replace, unless another one is not back yet. Broken ones go at once.
fn outdated(observed: &Observed) -> Vec<Arc<Pod>> {
    let strategy = observed.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    if strategy == Some("OnDelete") {
        return Vec::new();
    }
    let old = observed.pods.iter().filter(|pod| pods::is_active(pod) && !is_current(observed, pod));
    let (working, broken): (Vec<_>, Vec<_>) = old.cloned().partition(|pod| is_available(observed, pod));
    if !broken.is_empty() {
        return broken;
    }
    let all_well = observed.pods.iter().all(|pod| is_available(observed, pod) && pods::is_active(pod));
    working.into_iter().take(usize::from(all_well)).collect()
}

pub fn status(observed: &Observed) -> DaemonSetStatus {
    let desired = observed.nodes.iter().filter(|node| runs_on(observed, node)).count() as i32;
    let active: Vec<&Arc<Pod>> = observed.pods.iter().filter(|pod| pods::is_active(pod)).collect();
    let count = |keep: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| keep(pod)).count() as i32;
    let available = count(&|pod| is_available(observed, pod));
    let some = |count: i32| (count != 0).then_some(count);
    DaemonSetStatus {
        desired_number_scheduled: desired,
        current_number_scheduled: (active.len() as i32).min(desired),
        number_ready: count(&pods::is_ready),
        number_available: some(available),
        number_unavailable: some((desired - available).max(0)),
        updated_number_scheduled: some(count(&|pod| is_current(observed, pod))),
        number_misscheduled: 0,
        observed_generation: observed.set.metadata.generation,
        ..observed.set.status.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    /// `pods`: their node; `!` unready, `x` failed, `o` outdated.
    #[track_caller]
    fn check(nodes: &str, pods: &str, expect: &str) {
        let set = json!({
            "metadata": { "name": "log", "namespace": "ns" }, "spec": { "selector": {}, "template": {} },
        });
        let set: Arc<k8s_openapi::api::apps::v1::DaemonSet> = Arc::new(serde_json::from_value(set).unwrap());
        let node = |name| Arc::new(serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap());
        let mut observed = Observed {
            spec: set.spec.clone().unwrap(),
            set,
            pods: Vec::new(),
            nodes: nodes.split_whitespace().map(node).collect(),
            update: Arc::new(
                serde_json::from_value(
                    json!({ "metadata": { "labels": { REVISION_LABEL: "new" } }, "revision": 1 }),
                )
                .unwrap(),
            ),
            now: Timestamp::UNIX_EPOCH,
        };
        observed.pods = pods.split_whitespace().map(|text| pod(text, "new")).collect();
        let plan = plan(&observed);
        let deleted: Vec<&str> =
            plan.delete.iter().map(|pod| pod.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(format!("+[{}] -[{}]", plan.create.join(" "), deleted.join(" ")), expect);
    }

    fn pod(text: &str, revision: &str) -> Arc<Pod> {
        let is = |mark| text.contains(mark);
        let pod = json!({
            "metadata": { "name": text, "labels": { REVISION_LABEL: if is('o') { "old" } else { revision } } },
            "spec": { "containers": [], "nodeName": &text[..1] },
            "status": {
                "phase": if is('x') { "Failed" } else { "Running" },
                "conditions": [{ "type": "Ready", "status": if is('!') { "False" } else { "True" } }],
            },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn every_node_gets_one_pod() {
        check("a b", "a", "+[b] -[]");
    }

    #[test]
    fn pods_of_nodes_that_are_gone_go_too() {
        check("a", "a b", "+[] -[b]");
    }

    #[test]
    fn a_failed_pod_is_replaced() {
        check("a", "ax", "+[a] -[ax]");
    }

    #[test]
    fn an_update_takes_one_pod_after_the_other() {
        check("a b", "ao bo", "+[] -[ao]");
        check("a b", "a! bo", "+[] -[]");
    }

    #[test]
    fn broken_outdated_pods_do_not_hold_an_update_up() {
        check("a b", "ao! bo", "+[] -[ao!]");
    }
}
