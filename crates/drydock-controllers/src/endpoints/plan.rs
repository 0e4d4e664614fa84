//! Which slices to create, change and delete. Pure: start at [`plan`].

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::backends::{Backend, backends};
use super::{Observed, legacy, trigger};
use crate::owner;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Upstream's limit of endpoints in one slice.
const SLICE_SIZE: usize = 100;

/// What one pass intends to change. Empty means everything is published already.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub create: Vec<EndpointSlice>,
    pub replace: Vec<EndpointSlice>,
    pub delete: Vec<EndpointSlice>,
    /// Without a resource version it is to be created.
    pub endpoints: Option<Endpoints>,
}

pub fn plan(observed: &Observed) -> Plan {
    let backends = backends(&observed.service, observed.pods.iter().map(|pod| &**pod));
    let mut plan = Plan::default();
    let mut unused: Vec<EndpointSlice> = observed.slices.iter().map(|slice| (**slice).clone()).collect();
    for (ports, endpoints) in groups(&backends) {
        let wanted = slice(observed, ports, endpoints);
        // The slice with the same ports first: consumers see an update, not a move.
        let same_ports = unused.iter().position(|slice| slice.ports == wanted.ports);
        match same_ports.or_else(|| (!unused.is_empty()).then_some(0)) {
            Some(index) => plan.replace.extend(changed(observed, unused.remove(index), wanted)),
            None => plan.create.push(wanted),
        }
    }
    plan.delete = unused;
    plan.endpoints = legacy::changed(observed, &backends);
    plan
}

/// The endpoints by their ports, in pieces that fit a slice. No endpoints still make one slice,
/// so that a consumer can tell "none" from "not known yet".
fn groups(backends: &[Backend]) -> Vec<(Vec<EndpointPort>, Vec<Endpoint>)> {
    let mut groups: Vec<(Vec<EndpointPort>, Vec<Endpoint>)> = Vec::new();
    for backend in backends {
        let fits = |(ports, endpoints): &&mut (Vec<EndpointPort>, Vec<Endpoint>)| {
            *ports == backend.ports && endpoints.len() < SLICE_SIZE
        };
        match groups.iter_mut().find(fits) {
            Some((_, endpoints)) => endpoints.push(backend.endpoint.clone()),
            None => groups.push((backend.ports.clone(), vec![backend.endpoint.clone()])),
        }
    }
    if groups.is_empty() {
        groups.push((Vec::new(), Vec::new()));
    }
    groups
}

fn slice(observed: &Observed, ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let service = &*observed.service;
    let name = service.metadata.name.clone().unwrap_or_default();
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    let mut metadata = ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels),
        owner_references: Some(vec![owner::reference(service)]),
        ..ObjectMeta::default()
    };
    trigger::stamp(observed, &mut metadata);
    EndpointSlice {
        metadata,
        address_type: "IPv4".into(),
        ports: (!ports.is_empty()).then_some(ports),
        endpoints: Some(endpoints),
    }
}

pub fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The existing slice as it should be, if it is not so already.
fn changed(observed: &Observed, existing: EndpointSlice, wanted: EndpointSlice) -> Option<EndpointSlice> {
    let empty = |list: &Option<Vec<Endpoint>>| list.clone().unwrap_or_default();
    let same = empty(&existing.endpoints) == empty(&wanted.endpoints)
        && existing.ports.clone().unwrap_or_default() == wanted.ports.clone().unwrap_or_default()
        && existing.metadata.labels == wanted.metadata.labels;
    if same {
        return None;
    }
    let mut metadata = ObjectMeta { labels: wanted.metadata.labels, ..existing.metadata };
    trigger::stamp(observed, &mut metadata);
    Some(EndpointSlice { metadata, ports: wanted.ports, endpoints: wanted.endpoints, ..existing })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    /// `pods`: last byte of the address, `!` unready, `~` terminating, `x` finished, `?` no address,
    /// `h` other http port.
    fn observed(target: serde_json::Value, unready: bool, pods: &str) -> Observed {
        let service = json!({
            "metadata": { "name": "web", "namespace": "ns", "uid": "s" },
            "spec": {
                "selector": { "app": "web" }, "publishNotReadyAddresses": unready,
                "ports": [{ "name": "http", "port": 80, "targetPort": target }],
            },
        });
        Observed {
            service: Arc::new(serde_json::from_value(service).unwrap()),
            pods: pods.split_whitespace().map(pod).collect(),
            slices: Vec::new(),
            endpoints: None,
        }
    }

    fn pod(text: &str) -> Arc<k8s_openapi::api::core::v1::Pod> {
        let is = |mark| text.contains(mark);
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let mut pod = json!({
            "metadata": { "name": format!("web-{number}"), "namespace": "ns" },
            "spec": { "containers": [{ "name": "c", "ports": [
                { "name": "http", "containerPort": if is('h') { 9000 } else { 8000 } },
            ] }] },
            "status": {
                "phase": if is('x') { "Failed" } else { "Running" },
                "conditions": [{ "type": "Ready", "status": if is('!') { "False" } else { "True" } }],
            },
        });
        if !is('?') {
            pod["status"]["podIP"] = json!(format!("10.0.0.{number}"));
        }
        if is('~') {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn shown(slice: &EndpointSlice) -> String {
        let ports: Vec<String> =
            slice.ports.iter().flatten().map(|port| port.port.unwrap_or(0).to_string()).collect();
        let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
            let conditions = endpoint.conditions.clone().unwrap();
            let mark = |is: Option<bool>, mark| if is == Some(true) { mark } else { "" };
            format!(
                "{}{}{}{}",
                endpoint.addresses[0].trim_start_matches("10.0.0."),
                mark(conditions.ready, "r"),
                mark(conditions.serving, "s"),
                mark(conditions.terminating, "t")
            )
        });
        format!("{}:[{}]", ports.join("+"), endpoints.collect::<Vec<_>>().join(" "))
    }

    #[track_caller]
    fn check(target: serde_json::Value, unready: bool, pods: &str, expect: &str) {
        let plan = plan(&observed(target, unready, pods));
        assert_eq!(plan.create.iter().map(shown).collect::<Vec<_>>().join(" "), expect);
    }

    #[test]
    fn ready_pods_are_ready_and_serving() {
        check(json!(8000), false, "1 2", "8000:[1rs 2rs]");
    }

    #[test]
    fn an_unready_pod_is_listed_but_not_ready() {
        check(json!(8000), false, "1!", "8000:[1]");
    }

    #[test]
    fn a_terminating_pod_keeps_serving_but_is_not_ready() {
        check(json!(8000), false, "1~", "8000:[1st]");
    }

    #[test]
    fn publishing_unready_addresses_makes_all_ready() {
        check(json!(8000), true, "1!", "8000:[1r]");
    }

    #[test]
    fn pods_without_address_and_finished_pods_are_left_out() {
        check(json!(8000), false, "1? 2x", ":[]");
    }

    #[test]
    fn a_named_target_port_is_looked_up_in_each_pod() {
        check(json!("http"), false, "1 2h", "8000:[1rs] 9000:[2rs]");
    }

    #[test]
    fn nothing_is_written_when_everything_is_published() {
        let mut observed = observed(json!(8000), false, "1 2");
        let first = plan(&observed);
        observed.slices = first.create.into_iter().map(Arc::new).collect();
        observed.endpoints = first.endpoints.map(Arc::new);
        assert_eq!(plan(&observed), Plan::default());
    }

    #[test]
    fn a_changed_pod_updates_the_slice_in_place() {
        let mut before = observed(json!(8000), false, "1 2");
        before.slices = plan(&before).create.into_iter().map(Arc::new).collect();
        before.pods = vec![pod("1"), pod("2!")];
        let after = plan(&before);
        assert!(after.create.is_empty() && after.delete.is_empty());
        assert_eq!(shown(&after.replace[0]), "8000:[1rs 2]");
    }
}
