//! Whether a pod fits a node, and in which words it does not. Pure: start at [`choose`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolumeClaim, Pod, Taint, Toleration,
};

use super::request::{Amounts, add, host_ports, requests};
use super::{Observed, neighbours};
use crate::owner::is_deleting;
use crate::pods;
use crate::quantity::milli;
use crate::selector;

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const PODS: &str = "pods";

#[derive(Debug, PartialEq)]
pub enum Verdict {
    Node(String),
    /// The pod itself asks not to be placed yet.
    Gated,
    Unfit(String),
}

pub fn choose(observed: &Observed) -> Verdict {
    let spec = observed.pod.spec.as_ref();
    if spec.is_some_and(|spec| spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty())) {
        return Verdict::Gated;
    }
    let total = observed.nodes.len();
    if total == 0 {
        return Verdict::Unfit("no nodes available to schedule pods".into());
    }
    if let Some(problem) =
        observed.claims.iter().find_map(|(name, claim)| claim_problem(name, claim.as_deref()))
    {
        return Verdict::Unfit(format!("0/{total} nodes are available: {problem}."));
    }
    let mut problems: BTreeMap<String, usize> = BTreeMap::new();
    let mut best: Option<(i128, &Node)> = None;
    for node in &observed.nodes {
        let found = node_problems(observed, node);
        if found.is_empty() {
            let room = free(observed, node).get("memory").copied().unwrap_or(0);
            if best.is_none_or(|(most, _)| room > most) {
                best = Some((room, node));
            }
        }
        found.into_iter().for_each(|problem| *problems.entry(problem).or_default() += 1);
    }
    match best {
        Some((_, node)) => Verdict::Node(name_of(node).to_owned()),
        None => {
            let reasons: Vec<String> =
                problems.iter().map(|(problem, count)| format!("{count} {problem}")).collect();
            Verdict::Unfit(format!("0/{total} nodes are available: {}.", reasons.join(", ")))
        }
    }
}

/// Nothing that matters for placing has changed; nodes report their health all the time.
pub fn looks_same(old: &Node, new: &Node) -> bool {
    let allocatable = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
    old.spec == new.spec
        && old.metadata.labels == new.metadata.labels
        && is_ready(old) == is_ready(new)
        && allocatable(old) == allocatable(new)
}

fn name_of(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}

fn claim_problem(name: &str, claim: Option<&PersistentVolumeClaim>) -> Option<String> {
    let Some(claim) = claim else { return Some(format!("persistentvolumeclaim {name:?} not found")) };
    if is_deleting(&claim.metadata) {
        return Some(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    (phase != Some("Bound")).then(|| format!("pod has unbound immediate PersistentVolumeClaims ({name:?})"))
}

fn node_problems(observed: &Observed, node: &Node) -> Vec<String> {
    let pod = &*observed.pod;
    let mut problems = Vec::new();
    if !is_ready(node) {
        problems.push("node(s) were not ready".to_owned());
    }
    problems.extend(taint_problem(pod, node));
    if !matches_node(pod, node) {
        problems.push("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    if ports_taken(observed, node) {
        problems.push("node(s) didn't have free ports for the requested pod ports".to_owned());
    }
    problems.extend(neighbours::problems(observed, node));
    problems.extend(lacking(observed, node));
    problems
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn taint_problem(pod: &Pod, node: &Node) -> Option<String> {
    let spec = node.spec.as_ref()?;
    let cordoned = Taint { key: UNSCHEDULABLE.into(), effect: "NoSchedule".into(), ..Taint::default() };
    if spec.unschedulable == Some(true) && !tolerates(pod, &cordoned) {
        return Some("node(s) were unschedulable".into());
    }
    let repelling = spec.taints.iter().flatten().filter(|taint| taint.effect != "PreferNoSchedule");
    let taint = repelling.into_iter().find(|taint| !tolerates(pod, taint))?;
    let value = taint.value.as_deref().unwrap_or_default();
    Some(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key))
}

fn tolerates(pod: &Pod, taint: &Taint) -> bool {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref());
    tolerations.into_iter().flatten().any(|toleration| covers(toleration, taint))
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        _ => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default()
        }
    }
}

/// Whether no taint of the node repels the pod.
pub fn tolerates_node(pod: &Pod, node: &Node) -> bool {
    taint_problem(pod, node).is_none()
}

/// Whether the node is one the pod selects.
pub fn matches_node(pod: &Pod, node: &Node) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let labels = node.metadata.labels.as_ref();
    let selected = spec.node_selector.as_ref().is_none_or(|wanted| selector::matches_map(wanted, labels));
    let required = spec.affinity.as_ref().and_then(|affinity| {
        affinity.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
    });
    selected
        && required
            .is_none_or(|required| required.node_selector_terms.iter().any(|term| meets_term(term, node)))
}

fn meets_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    // A term without any requirement matches no node.
    (!expressions.is_empty() || !fields.is_empty())
        && expressions
            .iter()
            .all(|requirement| meets(requirement, labels.get(&requirement.key).map(String::as_str)))
        && fields.iter().all(|field| field.key == "metadata.name" && meets(field, Some(name_of(node))))
}

fn meets(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let wanted = requirement.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| wanted.iter().any(|wanted| wanted == value));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let compare = number(value).zip(number(wanted.first().map(String::as_str)));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare.is_some_and(|(value, limit)| value > limit),
        "Lt" => compare.is_some_and(|(value, limit)| value < limit),
        _ => false,
    }
}

fn placed_on<'a>(observed: &'a Observed, node: &Node) -> impl Iterator<Item = &'a Pod> {
    let name = name_of(node).to_owned();
    observed.placed.iter().map(|pod| &**pod).filter(move |pod| pods::node_name(pod) == Some(&name))
}

fn ports_taken(observed: &Observed, node: &Node) -> bool {
    let wanted = host_ports(&observed.pod);
    !wanted.is_empty() && placed_on(observed, node).flat_map(host_ports).any(|taken| wanted.contains(&taken))
}

/// What the node has left of each resource, in thousandths.
fn free(observed: &Observed, node: &Node) -> Amounts {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let mut free: Amounts = allocatable
        .into_iter()
        .flatten()
        .map(|(name, quantity)| (name.clone(), milli(quantity).unwrap_or(0)))
        .collect();
    let mut taken = Amounts::new();
    for pod in placed_on(observed, node) {
        add(&mut taken, &requests(pod));
        *taken.entry(PODS.into()).or_default() += 1_000;
    }
    taken.iter().for_each(|(name, amount)| *free.entry(name.clone()).or_default() -= amount);
    free
}

fn lacking(observed: &Observed, node: &Node) -> Vec<String> {
    let free = free(observed, node);
    let room = |name: &str| free.get(name).copied().unwrap_or(0);
    let mut lacking = Vec::new();
    let states_pods =
        node.status.as_ref().and_then(|s| s.allocatable.as_ref()).is_some_and(|a| a.contains_key(PODS));
    if states_pods && room(PODS) < 1_000 {
        lacking.push("Too many pods".to_owned());
    }
    for (name, asked) in requests(&observed.pod) {
        if asked > 0 && asked > room(&name) {
            let (asked, room) = (shown(&name, asked), shown(&name, room(&name).max(0)));
            lacking.push(format!("Insufficient {name} (asks for {asked}, {room} left)"));
        }
    }
    lacking
}

fn shown(resource: &str, milli: i128) -> String {
    const MIB: i128 = 1_000 << 20;
    match resource {
        "cpu" => format!("{milli}m"),
        _ if milli >= MIB => format!("{}Mi", milli / MIB),
        _ => (milli / 1_000).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn node(extra: Value) -> Arc<Node> {
        let mut node = json!({
            "metadata": { "name": "n1", "labels": { "disk": "ssd" } },
            "status": {
                "allocatable": { "cpu": "2", "memory": "1Gi", "pods": "3" },
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        });
        merge(&mut node, extra);
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn merge(into: &mut Value, from: Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                from.into_iter()
                    .for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
            }
            (into, from) => *into = from,
        }
    }

    fn pod(spec: Value, memory: &str) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "c", "resources": { "requests": { "memory": memory } } }] },
        });
        merge(&mut pod["spec"], spec);
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[track_caller]
    fn check(node_extra: Value, spec: Value, placed: &[&str], expect: &str) {
        let on_node = |memory: &&str| pod(json!({ "nodeName": "n1" }), memory);
        let observed = Observed {
            pod: pod(spec, "512Mi"),
            nodes: vec![node(node_extra)],
            placed: placed.iter().map(on_node).collect(),
            claims: Vec::new(),
            namespaces: BTreeMap::new(),
        };
        let seen = match choose(&observed) {
            Verdict::Node(name) => name,
            Verdict::Gated => "gated".into(),
            Verdict::Unfit(text) => text.trim_start_matches("0/1 nodes are available: 1 ").into(),
        };
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_pod_that_fits_gets_the_node() {
        check(json!({}), json!({}), &["512Mi"], "n1");
    }

    #[test]
    fn a_full_node_is_told_by_resource_and_amount() {
        check(json!({}), json!({}), &["600Mi"], "Insufficient memory (asks for 512Mi, 424Mi left).");
    }

    #[test]
    fn too_many_pods_are_told_apart_from_memory() {
        check(json!({}), json!({}), &["1Mi", "1Mi", "1Mi"], "Too many pods.");
    }

    #[test]
    fn a_cordoned_node_takes_only_pods_that_tolerate_it() {
        let cordoned = json!({ "spec": { "unschedulable": true } });
        check(cordoned.clone(), json!({}), &[], "node(s) were unschedulable.");
        let toleration = json!({ "tolerations": [{ "key": UNSCHEDULABLE, "operator": "Exists" }] });
        check(cordoned, toleration, &[], "n1");
    }

    #[test]
    fn a_taint_repels_unless_key_and_value_are_tolerated() {
        let tainted =
            json!({ "spec": { "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] } });
        check(tainted.clone(), json!({}), &[], "node(s) had untolerated taint {gpu: yes}.");
        check(tainted, json!({ "tolerations": [{ "key": "gpu", "value": "yes" }] }), &[], "n1");
    }

    #[test]
    fn a_node_that_is_not_ready_takes_nothing() {
        let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
        check(unready, json!({}), &[], "node(s) were not ready.");
    }

    #[test]
    fn selector_and_affinity_are_honoured() {
        let expect = "node(s) didn't match Pod's node affinity/selector.";
        check(json!({}), json!({ "nodeSelector": { "disk": "hdd" } }), &[], expect);
        check(json!({}), json!({ "nodeSelector": { "disk": "ssd" } }), &[], "n1");
        let affinity = json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "disk", "operator": "NotIn", "values": ["ssd"] }] },
            ] },
        } } });
        check(json!({}), affinity, &[], expect);
    }

    #[test]
    fn a_gated_pod_waits() {
        check(json!({}), json!({ "schedulingGates": [{ "name": "wait" }] }), &[], "gated");
    }
}
