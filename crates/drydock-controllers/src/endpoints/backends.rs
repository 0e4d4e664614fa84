//! Pods as the backends of a service: addresses, conditions, ports. Pure: start at [`backends`].

use k8s_openapi::api::core::v1::{ContainerPort, ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::owner::is_deleting;
use crate::pods;

/// One pod behind a service. Pods may differ in ports when target ports are named.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    pub endpoint: Endpoint,
    pub ports: Vec<EndpointPort>,
}

pub fn backends<'a>(service: &Service, pods: impl IntoIterator<Item = &'a Pod>) -> Vec<Backend> {
    let mut backends: Vec<Backend> = pods.into_iter().filter_map(|pod| backend(service, pod)).collect();
    backends.sort_by(|a, b| a.endpoint.addresses.cmp(&b.endpoint.addresses));
    backends
}

fn backend(service: &Service, pod: &Pod) -> Option<Backend> {
    if pods::is_finished(pod) {
        return None;
    }
    let ip = pod.status.as_ref()?.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    let publish_unready =
        service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    let (serving, terminating) = (pods::is_ready(pod), is_deleting(&pod.metadata));
    let endpoint = Endpoint {
        addresses: vec![ip],
        conditions: Some(EndpointConditions {
            ready: Some(publish_unready || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        node_name: pods::node_name(pod).map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    };
    Some(Backend { endpoint, ports: ports(service, pod) })
}

/// Pods with a name of their own below the service, as StatefulSets make them.
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    (spec.subdomain == service.metadata.name).then(|| spec.hostname.clone())?.filter(|name| !name.is_empty())
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let wanted = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    wanted
        .filter_map(|port| {
            Some(EndpointPort {
                // The Go type always writes the name; an absent one would never compare equal.
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(target(port, pod)?),
                protocol: Some(protocol(port).to_owned()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(pod, name, protocol(port)),
    }
}

fn named_port(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let is_it = |port: &&ContainerPort| {
        port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol
    };
    ports.into_iter().find(is_it).map(|port| port.container_port)
}
