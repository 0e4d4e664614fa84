//! What a pod demands of the pods around it: affinity, anti-affinity and even spreading. Pure.
//!
//! Only what is required is checked, by the rules of the default scheduler. Preferences are not weighed: nodes are few.
//!
//! Start at [`problems`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod, PodAffinityTerm, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::Observed;
use super::fit::{matches_node, tolerates_node};
use crate::owner::is_deleting;
use crate::{pods, selector};

/// In which words the pods around speak against this node.
pub fn problems(observed: &Observed, node: &Node) -> Vec<String> {
    let mut problems = Vec::new();
    if !finds_company(observed, node) {
        problems.push("node(s) didn't match pod affinity rules".to_owned());
    }
    if meets_shunned(observed, node) {
        problems.push("node(s) didn't match pod anti-affinity rules".to_owned());
    }
    if is_shunned(observed, node) {
        problems.push("node(s) didn't satisfy existing pods anti-affinity rules".to_owned());
    }
    problems.extend(spread_problem(observed, node));
    problems
}

/// Whether the pod cares about others at all, so that others matter to it while it waits.
pub fn has_demands(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    !company(pod).is_empty() || spec.is_some_and(|spec| spec.topology_spread_constraints.is_some())
}

fn company(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.pod_affinity.as_ref());
    affinity
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
}

fn shunned(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.pod_anti_affinity.as_ref());
    affinity
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
}

fn finds_company(observed: &Observed, node: &Node) -> bool {
    let terms = company(&observed.pod);
    let has_keys = terms.iter().all(|term| topology(node, &term.topology_key).is_some());
    let found = terms.iter().all(|term| is_met_near(observed, term, node));
    // The first of a group that wants to be together cannot wait for the others.
    let nobody_yet = || {
        let own = |term: &PodAffinityTerm| is_meant(observed, &observed.pod, term, &observed.pod);
        let any = |term: &PodAffinityTerm| {
            observed.placed.iter().any(|pod| is_meant(observed, &observed.pod, term, pod))
        };
        terms.iter().all(own) && !terms.iter().any(any)
    };
    has_keys && (found || nobody_yet())
}

fn meets_shunned(observed: &Observed, node: &Node) -> bool {
    shunned(&observed.pod).iter().any(|term| is_met_near(observed, term, node))
}

/// Anti-affinity holds in both directions.
fn is_shunned(observed: &Observed, node: &Node) -> bool {
    observed.placed.iter().any(|pod| {
        shunned(pod).iter().any(|term| {
            is_near(observed, &term.topology_key, pod, node) && is_meant(observed, pod, term, &observed.pod)
        })
    })
}

fn is_met_near(observed: &Observed, term: &PodAffinityTerm, node: &Node) -> bool {
    observed.placed.iter().any(|pod| {
        is_near(observed, &term.topology_key, pod, node) && is_meant(observed, &observed.pod, term, pod)
    })
}

/// Whether `pod` runs in the same place as `node`, in the sense of a topology key.
fn is_near(observed: &Observed, key: &str, pod: &Pod, node: &Node) -> bool {
    let place = topology(node, key);
    place.is_some() && place == place_of(observed, key, pod)
}

fn place_of<'a>(observed: &'a Observed, key: &str, pod: &Pod) -> Option<&'a str> {
    let name = pods::node_name(pod)?;
    let node = observed.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(name))?;
    topology(node, key)
}

fn topology<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// Whether a term of `owner` means `other`.
fn is_meant(observed: &Observed, owner: &Pod, term: &PodAffinityTerm, other: &Pod) -> bool {
    let Some(selector) = &term.label_selector else { return false };
    let keys = term.match_label_keys.as_deref().unwrap_or_default();
    let other_keys = term.mismatch_label_keys.as_deref().unwrap_or_default();
    let selector = narrowed(selector, owner, &[(keys, "In"), (other_keys, "NotIn")]);
    means_namespace(observed, owner, term, other)
        && selector::matches(&selector, other.metadata.labels.as_ref())
}

fn means_namespace(observed: &Observed, owner: &Pod, term: &PodAffinityTerm, other: &Pod) -> bool {
    let namespace = other.metadata.namespace.clone().unwrap_or_default();
    let named = term.namespaces.as_deref().unwrap_or_default();
    if named.is_empty() && term.namespace_selector.is_none() {
        return owner.metadata.namespace == other.metadata.namespace;
    }
    let labels = observed.namespaces.get(&namespace);
    named.contains(&namespace)
        || term.namespace_selector.as_ref().is_some_and(|wanted| selector::matches(wanted, labels))
}

/// The selector with the owner's own values for some keys.
fn narrowed(selector: &LabelSelector, owner: &Pod, keys: &[(&[String], &str)]) -> LabelSelector {
    let mut selector = selector.clone();
    let labels = owner.metadata.labels.as_ref();
    for (keys, operator) in keys {
        let own = keys.iter().filter_map(|key| Some((key, labels?.get(key)?)));
        let requirements = own.map(|(key, value)| LabelSelectorRequirement {
            key: key.clone(),
            operator: (*operator).to_owned(),
            values: Some(vec![value.clone()]),
        });
        selector.match_expressions.get_or_insert_default().extend(requirements);
    }
    selector
}

fn spread_problem(observed: &Observed, node: &Node) -> Option<String> {
    const PROBLEM: &str = "node(s) didn't match pod topology spread constraints";
    let constraints = observed.pod.spec.as_ref()?.topology_spread_constraints.as_deref()?;
    for constraint in constraints.iter().filter(|constraint| constraint.when_unsatisfiable == "DoNotSchedule")
    {
        let Some(here) = topology(node, &constraint.topology_key) else {
            return Some(format!("{PROBLEM} (missing required label)"));
        };
        if skew(observed, constraint, here) > constraint.max_skew {
            return Some(PROBLEM.to_owned());
        }
    }
    None
}

/// How far this place would be ahead of the emptiest one with the pod in it.
fn skew(observed: &Observed, constraint: &TopologySpreadConstraint, here: &str) -> i32 {
    let pod = &*observed.pod;
    let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
    let selector =
        constraint.label_selector.as_ref().map(|selector| narrowed(selector, pod, &[(keys, "In")]));
    let means =
        |other: &Pod| selector.as_ref().is_some_and(|s| selector::matches(s, other.metadata.labels.as_ref()));
    let counts: BTreeMap<&str, i32> = places(observed, constraint)
        .into_iter()
        .map(|place| {
            let there = |other: &&std::sync::Arc<Pod>| {
                other.metadata.namespace == pod.metadata.namespace
                    && !is_deleting(&other.metadata)
                    && means(other)
                    && place_of(observed, &constraint.topology_key, other) == Some(place)
            };
            (place, observed.placed.iter().filter(there).count() as i32)
        })
        .collect();
    let too_few = constraint.min_domains.is_some_and(|wanted| (counts.len() as i32) < wanted);
    let emptiest = if too_few { 0 } else { counts.values().copied().min().unwrap_or(0) };
    counts.get(here).copied().unwrap_or(0) + i32::from(means(pod)) - emptiest
}

/// The places that count: by default those of nodes the pod may run on by its own wish, whatever their taints.
fn places<'a>(observed: &'a Observed, constraint: &TopologySpreadConstraint) -> BTreeSet<&'a str> {
    let honours =
        |policy: &Option<String>, default| policy.as_deref().map_or(default, |policy| policy == "Honor");
    let affinity = honours(&constraint.node_affinity_policy, true);
    let taints = honours(&constraint.node_taints_policy, false);
    let counts = |node: &&std::sync::Arc<Node>| {
        (!affinity || matches_node(&observed.pod, node)) && (!taints || tolerates_node(&observed.pod, node))
    };
    observed.nodes.iter().filter(counts).filter_map(|node| topology(node, &constraint.topology_key)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    const HOST: &str = "kubernetes.io/hostname";

    /// `placed`: `node:app`, nodes are `a` and `b`; the pod is of app `web`. Says where it may not run, and why.
    #[track_caller]
    fn check(spec: Value, placed: &str, expect: &[(&str, &str)]) {
        let node = |name: &str| {
            Arc::new(
                serde_json::from_value(json!({ "metadata": { "name": name, "labels": { HOST: name } } }))
                    .unwrap(),
            )
        };
        let pod = |app: &str, spec: Value| {
            let pod = json!({ "metadata": { "name": "p", "namespace": "ns", "labels": { "app": app } }, "spec": spec });
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let observed = Observed {
            placed: placed
                .split_whitespace()
                .map(|text| text.split_once(':').unwrap())
                .map(|(node, app)| {
                    let shy = json!({ "nodeName": node, "containers": [], "affinity": { "podAntiAffinity": required("web") } });
                    let plain = json!({ "nodeName": node, "containers": [] });
                    pod(app, if app == "shy" { shy } else { plain })
                })
                .collect(),
            pod: pod("web", spec),
            nodes: vec![node("a"), node("b")],
            claims: Vec::new(),
            namespaces: BTreeMap::new(),
        };
        let found: Vec<(String, String)> = observed
            .nodes
            .iter()
            .flat_map(|node| {
                let name = node.metadata.name.clone().unwrap();
                problems(&observed, node).into_iter().map(move |problem| (name.clone(), problem))
            })
            .collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(node, why)| (node.as_str(), why.as_str())).collect();
        assert_eq!(found, expect);
    }

    fn required(app: &str) -> Value {
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": HOST, "labelSelector": { "matchLabels": { "app": app } } },
        ] })
    }

    #[test]
    fn a_pod_keeps_away_from_those_it_shuns() {
        let spec = json!({ "containers": [], "affinity": { "podAntiAffinity": required("web") } });
        check(spec.clone(), "", &[]);
        check(spec.clone(), "a:web", &[("a", "node(s) didn't match pod anti-affinity rules")]);
        check(spec, "a:db", &[]);
    }

    #[test]
    fn a_pod_keeps_away_from_those_that_shun_it() {
        let why = "node(s) didn't satisfy existing pods anti-affinity rules";
        check(json!({ "containers": [] }), "b:shy", &[("b", why)]);
    }

    #[test]
    fn a_pod_goes_where_its_company_is() {
        let why = "node(s) didn't match pod affinity rules";
        let spec = json!({ "containers": [], "affinity": { "podAffinity": required("db") } });
        check(spec.clone(), "a:db", &[("b", why)]);
        check(spec, "", &[("a", why), ("b", why)]);
        let own = json!({ "containers": [], "affinity": { "podAffinity": required("web") } });
        check(own, "", &[]);
    }

    #[test]
    fn pods_spread_evenly_where_they_must() {
        let spread = |max_skew: i32| {
            json!({ "containers": [], "topologySpreadConstraints": [{ "maxSkew": max_skew, "topologyKey": HOST,
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "web" } } }] })
        };
        let why = "node(s) didn't match pod topology spread constraints";
        check(spread(1), "a:web", &[("a", why)]);
        check(spread(2), "a:web", &[]);
        check(spread(1), "a:web b:web", &[]);
    }
}
