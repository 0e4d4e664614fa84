//! What objects count for under a ResourceQuota.
//!
//! For the API, which refuses what does not fit, and for the controller, which writes down what is used. Pure: both
//! ask the same questions of the same object. Start at [`Counted::of`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kubernetes_quantity::Quantity;
use serde_json::Value;

use crate::pod::resources::{self, Amounts, amounts};
use crate::qos_class;
use crate::read::{flag, list, number, text, texts};

/// Kinds that a quota may also name without `count/`.
const PLAIN_NAMES: [&str; 4] = ["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];
const POD_RESOURCES: [&str; 10] = [
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "pods",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
/// Resources that every container has to state when a quota restricts them.
const STATED: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
const BY_CLASS: &str = ".storageclass.storage.k8s.io/";

/// A kind, as quotas count its objects.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'k> {
    group: &'k str,
    plural: &'k str,
}

impl<'k> Counted<'k> {
    pub fn of(group: &'k str, plural: &'k str) -> Self {
        Self { group, plural }
    }

    /// `count/pods`, `count/deployments.apps`
    pub fn count_name(self) -> String {
        match self.group {
            "" => format!("count/{}", self.plural),
            group => format!("count/{}.{group}", self.plural),
        }
    }

    fn is_core(self, plural: &str) -> bool {
        self.group.is_empty() && self.plural == plural
    }

    /// Whether a resource of a quota says something about objects of this kind.
    pub fn concerns(self, resource: &str) -> bool {
        if resource == self.count_name() {
            return true;
        }
        match self.plural {
            "pods" if self.is_core("pods") => {
                POD_RESOURCES.contains(&resource)
                    || resource.starts_with("hugepages-")
                    || resource
                        .strip_prefix("requests.")
                        .is_some_and(|name| name.contains('/') || name.starts_with("hugepages-"))
            }
            "services" if self.is_core("services") => {
                matches!(resource, "services" | "services.loadbalancers" | "services.nodeports")
            }
            "persistentvolumeclaims" if self.is_core("persistentvolumeclaims") => {
                let names = ["persistentvolumeclaims", "requests.storage"];
                let bare = resource.split_once(BY_CLASS).map_or(resource, |(_, bare)| bare);
                names.contains(&bare)
            }
            plural => self.group.is_empty() && resource == plural && PLAIN_NAMES.contains(&plural),
        }
    }

    /// What an object uses, by the names that quotas use.
    pub fn usage(self, object: &Value, now: Timestamp) -> Amounts {
        let mut used: Amounts = [(self.count_name(), Quantity::count(1))].into();
        if self.is_core("pods") {
            pod_usage(object, now, &mut used);
        } else if self.is_core("services") {
            service_usage(object, &mut used);
        } else if self.is_core("persistentvolumeclaims") {
            claim_usage(object, &mut used);
        } else if self.group.is_empty() && PLAIN_NAMES.contains(&self.plural) {
            used.insert(self.plural.to_owned(), Quantity::count(1));
        }
        used
    }

    /// Whether `quota` counts `object`: it restricts something of its kind, and the object is in all of its scopes.
    pub fn is_counted_by(self, quota: &Value, object: &Value) -> bool {
        let restricts = hard(quota).keys().any(|resource| self.concerns(resource));
        restricts && scopes(quota).iter().all(|scope| self.is_in(scope, object))
    }

    fn is_in(self, scope: &Scope<'_>, object: &Value) -> bool {
        if self.is_core("pods") {
            return pod_is_in(scope, object);
        }
        // Claims have one scope, all other kinds have none.
        self.is_core("persistentvolumeclaims")
            && scope.name == "VolumeAttributesClass"
            && scope.accepts(text(object, "/spec/volumeAttributesClassName"))
    }

    /// What a new object has to state and does not: `must specify limits.cpu for: a`.
    pub fn unstated(self, quota: &Value, object: &Value) -> Option<String> {
        if !self.is_core("pods") || object.pointer("/spec/resources").is_some_and(has_amounts) {
            return None;
        }
        let hard = hard(quota);
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for container in list(object, "/spec/containers").iter().chain(list(object, "/spec/initContainers")) {
            let stated =
                with_prefixes(&resources::of(container, "requests"), &resources::of(container, "limits"));
            for resource in
                STATED.iter().filter(|name| hard.contains_key(**name) && !stated.contains_key(**name))
            {
                missing.entry(resource).or_default().insert(text(container, "/name"));
            }
        }
        let part = |(resource, containers): (&str, BTreeSet<&str>)| {
            format!("{resource} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
        };
        let parts: Vec<String> = missing.into_iter().map(part).collect();
        (!parts.is_empty()).then(|| format!("must specify {}", parts.join("; ")))
    }
}

/// The bounds of a quota.
pub fn hard(quota: &Value) -> Amounts {
    amounts(quota, "/spec/hard")
}

struct Scope<'q> {
    name: &'q str,
    operator: &'q str,
    values: Vec<&'q str>,
}

impl Scope<'_> {
    /// For scopes that compare a name.
    fn accepts(&self, name: &str) -> bool {
        match self.operator {
            "In" => self.values.contains(&name),
            "NotIn" => !self.values.contains(&name),
            "DoesNotExist" => name.is_empty(),
            _ => !name.is_empty(),
        }
    }
}

fn scopes(quota: &Value) -> Vec<Scope<'_>> {
    let plain =
        texts(quota, "/spec/scopes").map(|name| Scope { name, operator: "Exists", values: Vec::new() });
    let selected = list(quota, "/spec/scopeSelector/matchExpressions").iter().map(|expression| Scope {
        name: text(expression, "/scopeName"),
        operator: text(expression, "/operator"),
        values: texts(expression, "/values").collect(),
    });
    plain.chain(selected).collect()
}

fn pod_is_in(scope: &Scope<'_>, pod: &Value) -> bool {
    let ends = pod.pointer("/spec/activeDeadlineSeconds").is_some();
    match scope.name {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => qos_class(pod) == "BestEffort",
        "NotBestEffort" => qos_class(pod) != "BestEffort",
        "PriorityClass" => scope.accepts(text(pod, "/spec/priorityClassName")),
        "CrossNamespacePodAffinity" => reaches_other_namespaces(pod),
        _ => false,
    }
}

fn reaches_other_namespaces(pod: &Value) -> bool {
    let reaches =
        |term: &Value| !list(term, "/namespaces").is_empty() || term.get("namespaceSelector").is_some();
    ["podAffinity", "podAntiAffinity"].iter().any(|side| {
        let affinity = &pod["spec"]["affinity"][*side];
        list(affinity, "/requiredDuringSchedulingIgnoredDuringExecution").iter().any(reaches)
            || list(affinity, "/preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|weighted| reaches(&weighted["podAffinityTerm"]))
    })
}

fn has_amounts(resources: &Value) -> bool {
    ["/requests", "/limits"].iter().any(|side| !amounts(resources, side).is_empty())
}

fn with_prefixes(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut named = Amounts::new();
    for (name, amount) in requests {
        let plain =
            matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
        if plain {
            named.insert(name.clone(), *amount);
        }
        named.insert(format!("requests.{name}"), *amount);
    }
    for (name, amount) in limits {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            named.insert(format!("limits.{name}"), *amount);
        }
    }
    named
}

/// A pod that is over uses nothing but its place among the objects.
fn pod_usage(pod: &Value, now: Timestamp, used: &mut Amounts) {
    if is_over(pod, now) {
        return;
    }
    used.insert("pods".to_owned(), Quantity::count(1));
    let spec = &pod["spec"];
    let [requests, limits] = ["requests", "limits"].map(|side| resources::total_with_overhead(spec, side));
    used.extend(with_prefixes(&requests, &limits));
}

fn is_over(pod: &Value, now: Timestamp) -> bool {
    if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") {
        return true;
    }
    // Deleted long enough ago that its node should have ended it.
    let deleted = text(pod, "/metadata/deletionTimestamp").parse::<Timestamp>();
    deleted.is_ok_and(|at| {
        now.as_second() > at.as_second() + number(pod, "/metadata/deletionGracePeriodSeconds")
    })
}

fn service_usage(service: &Value, used: &mut Amounts) {
    let ports = list(service, "/spec/ports");
    let with_node_port = ports.iter().filter(|port| number(port, "/nodePort") != 0).count();
    let without = service.pointer("/spec/allocateLoadBalancerNodePorts").is_some()
        && !flag(service, "/spec/allocateLoadBalancerNodePorts");
    let (balancers, node_ports) = match text(service, "/spec/type") {
        "NodePort" => (0, ports.len()),
        "LoadBalancer" if without => (1, with_node_port),
        "LoadBalancer" => (1, ports.len()),
        _ => (0, 0),
    };
    used.insert("services".to_owned(), Quantity::count(1));
    used.insert("services.loadbalancers".to_owned(), Quantity::count(balancers));
    used.insert(
        "services.nodeports".to_owned(),
        Quantity::count(i64::try_from(node_ports).unwrap_or(i64::MAX)),
    );
}

fn claim_usage(claim: &Value, used: &mut Amounts) {
    let class = text(claim, "/spec/storageClassName");
    let asked = amounts(claim, "/spec/resources/requests").remove("storage").map(Quantity::rounded_up);
    let given = amounts(claim, "/status/allocatedResources").remove("storage");
    let mut count = |name: &str, amount: Quantity| {
        used.insert(name.to_owned(), amount);
        if !class.is_empty() {
            used.insert(format!("{class}{BY_CLASS}{name}"), amount);
        }
    };
    count("persistentvolumeclaims", Quantity::count(1));
    if let Some(asked) = asked {
        count("requests.storage", given.map_or(asked, |given| asked.max(given)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PODS: Counted<'static> = Counted { group: "", plural: "pods" };

    fn pod(resources: Value) -> Value {
        json!({"spec": {"containers": [{"name": "a", "resources": resources}]}})
    }

    fn used(counted: Counted<'_>, object: &Value) -> String {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let used = counted.usage(object, now);
        used.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn a_pod_counts_once_and_with_what_it_asks_for() {
        let pod = pod(json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}}));
        let expect =
            "count/pods=1,cpu=100m,limits.cpu=1,memory=64Mi,pods=1,requests.cpu=100m,requests.memory=64Mi";
        assert_eq!(used(PODS, &pod), expect);
    }

    #[test]
    fn a_pod_that_is_over_counts_only_as_an_object() {
        let mut pod = pod(json!({"requests": {"cpu": "1"}}));
        pod["status"] = json!({"phase": "Succeeded"});
        assert_eq!(used(PODS, &pod), "count/pods=1");
    }

    #[test]
    fn a_claim_counts_for_its_class_too() {
        let claim =
            json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
        let all = used(Counted::of("", "persistentvolumeclaims"), &claim);
        assert!(all.contains("fast.storageclass.storage.k8s.io/requests.storage=1Gi"), "{all}");
        assert!(
            Counted::of("", "persistentvolumeclaims")
                .concerns("fast.storageclass.storage.k8s.io/requests.storage")
        );
    }

    #[test]
    fn a_balancer_uses_node_ports() {
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}});
        let expect = "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2";
        assert_eq!(used(Counted::of("", "services"), &service), expect);
    }

    #[test]
    fn a_quota_of_other_scopes_or_kinds_does_not_count() {
        let counted = |quota: Value, pod: &Value| PODS.is_counted_by(&quota, pod);
        let plain = pod(json!({}));
        assert!(counted(json!({"spec": {"hard": {"pods": "1"}}}), &plain));
        assert!(!counted(json!({"spec": {"hard": {"secrets": "1"}}}), &plain));
        assert!(counted(json!({"spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}}), &plain));
        assert!(!counted(json!({"spec": {"hard": {"pods": "1"}, "scopes": ["NotBestEffort"]}}), &plain));
        let high = json!({"scopeName": "PriorityClass", "operator": "In", "values": ["high"]});
        let selective =
            json!({"spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [high]}}});
        assert!(!counted(selective.clone(), &plain));
        let mut important = plain;
        important["spec"]["priorityClassName"] = "high".into();
        assert!(counted(selective, &important));
    }

    #[test]
    fn what_a_quota_restricts_has_to_be_stated() {
        let quota = json!({"spec": {"hard": {"limits.cpu": "1", "requests.memory": "1Gi", "pods": "3"}}});
        let plain = pod(json!({"requests": {"memory": "1Mi"}}));
        assert_eq!(PODS.unstated(&quota, &plain).as_deref(), Some("must specify limits.cpu for: a"));
        let whole = pod(json!({"requests": {"memory": "1Mi"}, "limits": {"cpu": "1"}}));
        assert_eq!(PODS.unstated(&quota, &whole), None);
    }
}
