//! Gives the node's packet filter the cluster's Services.
//!
//! Reads: Service, EndpointSlice (through their mirrors). Writes: the node's rules, always all at once.
//! Event-driven: a change is applied as soon as the previous application has ended, so a burst costs one.
//!
//! Start at [`follow`]; the translation is [`rules`], which is pure.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio_util::sync::CancellationToken;

use crate::client::NodeClient;
use crate::mirror::Mirror;
use crate::protocol::{Protocol, ServiceRule};

pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Pause after the node refused a set of rules; the next change tries at once.
const RETRY: Duration = Duration::from_secs(1);
/// Addresses of one rule. The kernel's map allows more; a person does not mean more on one machine.
const ENDPOINTS_MAX: usize = 1024;

/// A rule that stands whatever the objects say of its address, such as the API's: without endpoints, because the daemon
/// itself answers there.
pub type FixedRule = ServiceRule;

/// Applies the rules until `stop` or the node is gone.
pub async fn follow(
    node: NodeClient,
    mut services: Mirror<Service>,
    mut slices: Mirror<EndpointSlice>,
    fixed: Vec<FixedRule>,
    stop: CancellationToken,
) {
    if !(services.synced().await && slices.synced().await) {
        return;
    }
    let mut applied: Option<Vec<ServiceRule>> = None;
    loop {
        let (all_services, all_slices) = (services.all(), slices.all());
        let mut wanted = rules(all_services.iter().map(|s| &**s), all_slices.iter().map(|s| &**s));
        wanted.retain(|rule| !fixed.iter().any(|fixed| same_address(fixed, rule)));
        wanted.extend(fixed.iter().cloned());
        let mut retry = false;
        if applied.as_ref() != Some(&wanted) {
            match node.apply_services(wanted.clone()).await {
                Ok(()) => applied = Some(wanted),
                Err(error) => {
                    tracing::warn!(%error, "the node did not take the service rules, trying again");
                    retry = true;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.closed() => return,
            alive = services.changed() => if !alive { return },
            alive = slices.changed() => if !alive { return },
            () = tokio::time::sleep(RETRY), if retry => {}
        }
    }
}

fn same_address(a: &ServiceRule, b: &ServiceRule) -> bool {
    a.cluster_ip == b.cluster_ip && a.port == b.port && a.protocol == b.protocol
}

/// One rule per cluster address, port and protocol, sorted; a service without ready endpoints refuses.
pub fn rules<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
) -> Vec<ServiceRule> {
    let mut by_service: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices {
        let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
        if let (Some(namespace), Some(service)) = (slice.metadata.namespace.as_deref(), service) {
            by_service.entry((namespace, service)).or_default().push(slice);
        }
    }
    let mut rules = Vec::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let addresses: Vec<Ipv4Addr> = cluster_ips(service);
        let (namespace, name) = (service.metadata.namespace.as_deref(), service.metadata.name.as_deref());
        let slices = by_service.get(&(namespace.unwrap_or_default(), name.unwrap_or_default()));
        for port in spec.ports.iter().flatten() {
            let Some((number, protocol)) = numbers(port) else { continue };
            let endpoints = slices.map(|slices| endpoints(slices, port)).unwrap_or_default();
            for cluster_ip in &addresses {
                rules.push(ServiceRule {
                    cluster_ip: *cluster_ip,
                    port: number,
                    protocol,
                    endpoints: endpoints.clone(),
                    affinity: spec.session_affinity.as_deref() == Some("ClientIP"),
                });
            }
        }
    }
    rules.sort();
    rules
}

fn cluster_ips(service: &Service) -> Vec<Ipv4Addr> {
    let Some(spec) = &service.spec else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let mut ips: Vec<Ipv4Addr> = spec.cluster_ip.iter().filter_map(|ip| ip.parse().ok()).collect();
    ips.extend(spec.external_ips.iter().flatten().filter_map(|ip| ip.parse::<Ipv4Addr>().ok()));
    ips.dedup();
    ips
}

fn numbers(port: &ServicePort) -> Option<(u16, Protocol)> {
    let protocol = match port.protocol.as_deref().unwrap_or("TCP") {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        _ => return None,
    };
    Some((u16::try_from(port.port).ok()?, protocol))
}

/// Ready addresses; when there are none, those that still serve while they terminate, as kube-proxy does.
fn endpoints(slices: &[&EndpointSlice], port: &ServicePort) -> Vec<SocketAddrV4> {
    let mut ready = Vec::new();
    let mut leaving = Vec::new();
    let wanted = port.name.as_deref().unwrap_or_default();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let number = slice
            .ports
            .iter()
            .flatten()
            .filter(|p| p.protocol.as_deref().unwrap_or("TCP") == port.protocol.as_deref().unwrap_or("TCP"))
            .find(|p| p.name.as_deref().unwrap_or_default() == wanted)
            .and_then(|p| u16::try_from(p.port?).ok());
        let Some(number) = number else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let list = match (conditions.ready, conditions.serving, conditions.terminating) {
                (Some(true) | None, _, _) => &mut ready,
                (_, Some(true), Some(true)) => &mut leaving,
                _ => continue,
            };
            let ips = endpoint.addresses.iter().filter_map(|a| a.parse::<Ipv4Addr>().ok());
            list.extend(ips.map(|ip| SocketAddrV4::new(ip, number)));
        }
    }
    let mut chosen = if ready.is_empty() { leaving } else { ready };
    chosen.sort();
    chosen.dedup();
    chosen.truncate(ENDPOINTS_MAX);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Conditions are one of `ready`, `unready`, `leaving`.
    #[track_caller]
    fn check(spec: Value, endpoints: &[(&str, &str)], expect: &str) {
        let service: Service =
            serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}))
                .unwrap();
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|(ip, state)| {
                let conditions = json!({"ready": *state == "ready", "serving": *state != "unready",
                                        "terminating": *state == "leaving"});
                json!({"addresses": [ip], "conditions": conditions})
            })
            .collect();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {SERVICE_LABEL: "web"}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "protocol": "TCP", "port": 3000}, {"name": "dns", "protocol": "UDP", "port": 5353}],
        }))
        .unwrap();
        let shown: Vec<String> = rules([&service], [&slice])
            .iter()
            .map(|r| format!("{}:{} {:?} {:?}", r.cluster_ip, r.port, r.protocol, r.endpoints))
            .collect();
        assert_eq!(shown.join("; "), expect);
    }

    fn http() -> Value {
        json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]})
    }

    #[test]
    fn a_cluster_ip_leads_to_the_ready_endpoints() {
        check(
            http(),
            &[("10.244.0.3", "ready"), ("10.244.0.2", "ready"), ("10.244.0.4", "unready")],
            "10.96.0.7:80 Tcp [10.244.0.2:3000, 10.244.0.3:3000]",
        );
    }
    #[test]
    fn a_service_without_endpoints_refuses() {
        check(http(), &[], "10.96.0.7:80 Tcp []");
    }
    #[test]
    fn terminating_endpoints_serve_only_when_nobody_else_does() {
        check(http(), &[("10.244.0.3", "leaving")], "10.96.0.7:80 Tcp [10.244.0.3:3000]");
        check(
            http(),
            &[("10.244.0.3", "leaving"), ("10.244.0.4", "ready")],
            "10.96.0.7:80 Tcp [10.244.0.4:3000]",
        );
    }
    #[test]
    fn headless_services_and_external_names_need_no_rule() {
        check(
            json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}),
            &[("10.244.0.3", "ready")],
            "",
        );
        check(json!({"type": "ExternalName", "externalName": "x.org", "ports": [{"port": 80}]}), &[], "");
    }
    #[test]
    fn each_protocol_has_its_own_rule() {
        check(
            json!({"clusterIP": "10.96.0.7", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"},
                                                       {"name": "http", "port": 80, "protocol": "SCTP"}]}),
            &[("10.244.0.3", "ready")],
            "10.96.0.7:53 Udp [10.244.0.3:5353]",
        );
    }
}
