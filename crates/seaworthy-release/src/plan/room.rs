//! Is there room for the pods? Quotas of their namespaces, and what the nodes have left.
//!
//! Only tells, never stops: limits may be raised, nodes may come. What the cluster does not let us see is left out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::finding::{Finding, Problem};
use super::namespaces;
use crate::apply::Applier;
use crate::manifest::Object;

/// Thousandths: of a processor, of a byte, of a pod.
type Amounts = BTreeMap<String, i128>;

pub(super) async fn find(applier: &Applier, objects: &[Object]) -> Vec<Finding> {
    let mut needs = Vec::new();
    for object in objects {
        let Some((replicas, pod)) = pods_of(&object.value) else { continue };
        let live = applier.live(object).await.ok().flatten();
        let before = live.as_ref().and_then(pods_of).unwrap_or((0, Amounts::new()));
        needs.push((object, pod, replicas, before));
    }
    if needs.is_empty() {
        return Vec::new();
    }
    let mut findings = of_nodes(&applier.client, &needs).await;
    for namespace in namespaces(applier, objects) {
        let here: Vec<_> = needs
            .iter()
            .filter(|(object, ..)| object.namespace().unwrap_or(&applier.namespace) == namespace)
            .collect();
        findings.extend(of_quotas(&applier.client, namespace, &here).await);
    }
    findings
}

type Need<'a> = (&'a Object, Amounts, i128, (i128, Amounts));

/// What one need adds to what runs already.
fn added((_, pod, replicas, before): &Need<'_>) -> Amounts {
    let mut added = times(pod, *replicas);
    added.insert("pods".into(), replicas * 1000);
    let mut was = times(&before.1, before.0);
    was.insert("pods".into(), before.0 * 1000);
    for (resource, amount) in was {
        *added.entry(resource).or_default() -= amount;
    }
    added
}

fn times(pod: &Amounts, replicas: i128) -> Amounts {
    pod.iter().map(|(resource, amount)| (resource.clone(), amount * replicas)).collect()
}

async fn of_nodes(client: &Client, needs: &[Need<'_>]) -> Vec<Finding> {
    let Ok(nodes) = Api::<Node>::all(client.clone()).list(&ListParams::default()).await else {
        return Vec::new();
    };
    let allocatable: Vec<Amounts> = nodes
        .items
        .iter()
        .filter(|node| node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true)))
        .map(|node| quantities(node.status.as_ref().and_then(|status| status.allocatable.as_ref())))
        .collect();
    if allocatable.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (object, pod, ..) in needs.iter().filter(|(_, _, replicas, _)| *replicas > 0) {
        for resource in ["cpu", "memory"] {
            let largest =
                allocatable.iter().filter_map(|node| node.get(resource)).max().copied().unwrap_or(0);
            let needed = pod.get(&format!("requests.{resource}")).copied().unwrap_or(0);
            if needed > largest {
                let problem = Problem::TooLarge {
                    resource: resource.into(),
                    needed: shown(resource, needed),
                    largest: shown(resource, largest),
                };
                findings.push(Finding::about(object, problem));
            }
        }
    }
    if findings.is_empty() {
        findings.extend(of_all_nodes(client, &allocatable, needs).await);
    }
    findings
}

async fn of_all_nodes(client: &Client, allocatable: &[Amounts], needs: &[Need<'_>]) -> Option<Finding> {
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await.ok()?;
    let is_over = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    };
    let mut used = Amounts::new();
    for pod in pods.items.iter().filter(is_over) {
        let spec = serde_json::to_value(&pod.spec).unwrap_or_default();
        for (resource, amount) in of_pod(&spec) {
            *used.entry(resource).or_default() += amount;
        }
    }
    for resource in ["cpu", "memory"] {
        let key = format!("requests.{resource}");
        let all: i128 = allocatable.iter().filter_map(|node| node.get(resource)).sum();
        let left = (all - used.get(&key).copied().unwrap_or(0)).max(0);
        let needed: i128 = needs.iter().map(|need| added(need).get(&key).copied().unwrap_or(0)).sum();
        if needed > left {
            let (object, ..) = needs.iter().max_by_key(|need| added(need).get(&key).copied().unwrap_or(0))?;
            let problem = Problem::Full {
                resource: resource.into(),
                needed: shown(resource, needed),
                left: shown(resource, left),
            };
            return Some(Finding::about(object, problem));
        }
    }
    None
}

async fn of_quotas(client: &Client, namespace: &str, needs: &[&Need<'_>]) -> Vec<Finding> {
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    let Ok(quotas) = quotas.list(&ListParams::default()).await else { return Vec::new() };
    let mut findings = Vec::new();
    for quota in &quotas.items {
        let spec = quota.spec.as_ref();
        if spec.is_some_and(|spec| spec.scopes.is_some() || spec.scope_selector.is_some()) {
            continue;
        }
        let hard = quantities(spec.and_then(|spec| spec.hard.as_ref()));
        let used = quantities(quota.status.as_ref().and_then(|status| status.used.as_ref()));
        for (resource, limit) in hard {
            let key = match resource.as_str() {
                "cpu" | "memory" => format!("requests.{resource}"),
                _ => resource.clone(),
            };
            let needed: i128 = needs.iter().map(|need| added(need).get(&key).copied().unwrap_or(0)).sum();
            let left = limit - used.get(&resource).copied().unwrap_or(0);
            let Some((object, ..)) = needs.first() else { continue };
            if needed > left.max(0) {
                let problem = Problem::QuotaOfPods {
                    quota: quota.name_any(),
                    needed: shown(&resource, needed),
                    left: shown(&resource, left.max(0)),
                    resource,
                };
                findings.push(Finding::about(object, problem));
            }
        }
    }
    findings
}

/// How many pods a workload makes, and what one of them asks for.
fn pods_of(object: &Value) -> Option<(i128, Amounts)> {
    let spec = &object["spec"];
    let replicas = || spec["replicas"].as_i64().unwrap_or(1);
    Some(match object["kind"].as_str()? {
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            (i128::from(replicas()), of_pod(&spec["template"]["spec"]))
        }
        "Job" => (i128::from(spec["parallelism"].as_i64().unwrap_or(1)), of_pod(&spec["template"]["spec"])),
        "Pod" => (1, of_pod(spec)),
        _ => return None,
    })
}

fn of_pod(spec: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    for container in spec["containers"].as_array().into_iter().flatten() {
        for field in ["requests", "limits"] {
            for (resource, amount) in container["resources"][field].as_object().into_iter().flatten() {
                let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
                *amounts.entry(format!("{field}.{resource}")).or_default() += milli(&text);
            }
        }
        // What has a limit and no request requests its limit.
        for (resource, amount) in container["resources"]["limits"].as_object().into_iter().flatten() {
            if container["resources"]["requests"][resource].is_null() {
                let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
                *amounts.entry(format!("requests.{resource}")).or_default() += milli(&text);
            }
        }
    }
    amounts
}

fn quantities(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    list.into_iter().flatten().map(|(resource, amount)| (resource.clone(), milli(&amount.0))).collect()
}

/// A quantity in thousandths. What cannot be read counts as nothing: the API will say so itself.
fn milli(text: &str) -> i128 {
    kubernetes_quantity::Quantity::parse(text.trim()).map_or(0, kubernetes_quantity::Quantity::milli)
}

fn shown(resource: &str, milli: i128) -> String {
    if resource.ends_with("memory") || resource.ends_with("storage") {
        return format!("{} MiB", milli / 1000 / 1_048_576);
    }
    match milli % 1000 {
        0 => (milli / 1000).to_string(),
        _ => format!("{milli}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, expect: i128) {
        assert_eq!(milli(text), expect);
    }

    #[test]
    fn quantities_are_read_in_all_their_forms() {
        check("250m", 250);
        check("2", 2_000);
        check("1Ki", 1_024_000);
        check("1.5G", 1_500_000_000_000);
        check("1e3", 1_000_000);
        check("many", 0);
    }

    #[test]
    fn a_limit_without_a_request_is_the_request() {
        let spec = json!({ "containers": [{ "resources": { "limits": { "cpu": "1" } } }, { "resources": { "requests": { "cpu": 2 } } }] });
        assert_eq!(of_pod(&spec)["requests.cpu"], 3_000);
    }

    #[test]
    fn only_what_is_new_is_needed() {
        let object = Object { value: json!({}), source_file: String::new(), line: None };
        let pod = Amounts::from([("requests.cpu".to_owned(), 500)]);
        let need = (&object, pod.clone(), 3, (2, pod));
        assert_eq!(added(&need)["requests.cpu"], 500);
        assert_eq!(added(&need)["pods"], 1_000);
    }
}
