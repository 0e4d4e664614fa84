//! From a Service to one of the ready pods behind it.
//!
//! For whoever has to reach a Service without being inside the node's network: the proxy and webhooks. Only addresses that
//! are pods of ours are given out; which of several is left to chance, as a Service does.

use rand::RngExt as _;
use serde_json::Value;

use crate::meta;
use crate::node::PodRef;
use crate::server::Server;
use crate::status::ApiError;
use crate::stored;

/// A port of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub pod: PodRef,
    pub ip: String,
    pub port: u16,
}

/// A ready pod behind `port` of a Service, which is a number, a name, or empty for the port that has no name.
pub(crate) fn of_service(
    server: &Server,
    namespace: &str,
    service: &str,
    port: &str,
) -> Result<Endpoint, ApiError> {
    let port_name = match port.parse::<u64>() {
        Ok(number) => name_of_port(&find(server, "services", namespace, service)?, number)?,
        Err(_) => port.to_owned(),
    };
    let endpoints = find(server, "endpoints", namespace, service)?;
    let mut all = ready(&endpoints, &port_name);
    let nobody = || ApiError::unavailable(format!("no endpoints available for service {service:?}"));
    while !all.is_empty() {
        let (address, port) = all.swap_remove(rand::rng().random_range(0..all.len()));
        if let Some(endpoint) = of_address(server, namespace, address, port) {
            return Ok(endpoint);
        }
    }
    Err(nobody())
}

fn find(server: &Server, plural: &str, namespace: &str, name: &str) -> Result<Value, ApiError> {
    let entry = server.store.get(&format!("core/{plural}/{namespace}/{name}"));
    let entry = entry.ok_or_else(|| ApiError::not_found("", plural, name))?;
    Ok(stored::decode(&entry)?.value)
}

fn name_of_port(service: &Value, number: u64) -> Result<String, ApiError> {
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let found = ports.find(|port| port["port"] == number).ok_or_else(|| {
        let name = meta::name(service);
        ApiError::unavailable(format!("no service port {number} found for service {name:?}"))
    })?;
    Ok(found["name"].as_str().unwrap_or("").to_owned())
}

/// Addresses and port numbers of what is ready behind a port.
fn ready<'e>(endpoints: &'e Value, port_name: &str) -> Vec<(&'e Value, u16)> {
    let subsets = endpoints["subsets"].as_array().into_iter().flatten();
    let of_subset = subsets.filter_map(|subset| {
        let mut ports = subset["ports"].as_array()?.iter();
        let port = ports.find(|port| port["name"].as_str().unwrap_or("") == port_name)?;
        let number = u16::try_from(port["port"].as_u64()?).ok()?;
        Some((subset["addresses"].as_array()?, number))
    });
    of_subset.flat_map(|(addresses, port)| addresses.iter().map(move |address| (address, port))).collect()
}

/// `None` when the address is not the one of the pod it names: nobody is led elsewhere by what endpoints say.
fn of_address(server: &Server, namespace: &str, address: &Value, port: u16) -> Option<Endpoint> {
    let (target, ip) = (&address["targetRef"], address["ip"].as_str()?);
    if target["kind"] != "Pod" || target["namespace"].as_str().is_some_and(|home| home != namespace) {
        return None;
    }
    let pod = find(server, "pods", namespace, target["name"].as_str()?).ok()?;
    (pod["status"]["podIP"] == ip).then(|| Endpoint { pod: PodRef::of(&pod), ip: ip.to_owned(), port })
}
