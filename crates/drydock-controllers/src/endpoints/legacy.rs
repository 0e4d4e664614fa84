//! The same backends as core/v1 Endpoints, which older clients still read. Pure.
//!
//! Start at [`changed`]. Terminating pods are left out: the old form cannot express them.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::backends::Backend;
use super::plan::is_headless;
use super::{Observed, trigger};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Upstream's limit; beyond it clients have to read slices.
const MOST_ADDRESSES: usize = 1000;

pub fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

/// The Endpoints as they should be, if they are not so already.
pub fn changed(observed: &Observed, backends: &[Backend]) -> Option<Endpoints> {
    let service = &observed.service.metadata;
    let mut labels = service.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if is_headless(&observed.service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    let subsets = subsets(backends);
    let wanted = (!subsets.is_empty()).then_some(subsets);
    let base = match observed.endpoints.as_deref() {
        Some(existing)
            if existing.subsets == wanted && existing.metadata.labels.as_ref() == Some(&labels) =>
        {
            return None;
        }
        Some(existing) => existing.metadata.clone(),
        None => ObjectMeta {
            name: service.name.clone(),
            namespace: service.namespace.clone(),
            ..ObjectMeta::default()
        },
    };
    let mut metadata = ObjectMeta { labels: Some(labels), ..base };
    trigger::stamp(observed, &mut metadata);
    Some(Endpoints { metadata, subsets: wanted })
}

fn subsets(backends: &[Backend]) -> Vec<EndpointSubset> {
    let mut subsets: Vec<EndpointSubset> = Vec::new();
    for backend in backends.iter().take(MOST_ADDRESSES) {
        let conditions = backend.endpoint.conditions.clone().unwrap_or_default();
        let ready = conditions.ready == Some(true);
        if conditions.terminating == Some(true) && !ready {
            continue;
        }
        let ports = ports(backend);
        let index = subsets.iter().position(|subset| subset.ports == ports).unwrap_or_else(|| {
            subsets.push(EndpointSubset { ports, ..EndpointSubset::default() });
            subsets.len() - 1
        });
        let subset = &mut subsets[index];
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address(backend));
    }
    subsets
}

fn address(backend: &Backend) -> EndpointAddress {
    EndpointAddress {
        ip: backend.endpoint.addresses.first().cloned().unwrap_or_default(),
        hostname: backend.endpoint.hostname.clone(),
        node_name: backend.endpoint.node_name.clone(),
        target_ref: backend.endpoint.target_ref.clone(),
    }
}

fn ports(backend: &Backend) -> Option<Vec<EndpointPort>> {
    let ports = backend.ports.iter().map(|port| EndpointPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        port: port.port.unwrap_or_default(),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
    });
    let ports: Vec<EndpointPort> = ports.collect();
    (!ports.is_empty()).then_some(ports)
}
