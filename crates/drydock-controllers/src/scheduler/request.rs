//! What a pod asks of a node: CPU, memory and the like, and host ports. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::quantity::milli;

/// Amounts in thousandths by resource name.
pub type Amounts = BTreeMap<String, i128>;

/// The room a pod takes: all containers and sidecars together, or the largest init step if that
/// is more. Upstream: PodRequests.
pub fn requests(pod: &Pod) -> Amounts {
    let Some(spec) = &pod.spec else { return Amounts::new() };
    let mut running = Amounts::new();
    spec.containers.iter().for_each(|container| add(&mut running, &asked(container)));
    let mut sidecars = Amounts::new();
    let mut largest = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let own = asked(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &own);
            raise(&mut largest, &sidecars);
        } else {
            let mut step = sidecars.clone();
            add(&mut step, &own);
            raise(&mut largest, &step);
        }
    }
    add(&mut running, &sidecars);
    raise(&mut running, &largest);
    for (name, quantity) in spec.overhead.iter().flatten() {
        *running.entry(name.clone()).or_default() += milli(quantity).unwrap_or(0);
    }
    running
}

fn asked(container: &Container) -> Amounts {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    requests
        .into_iter()
        .flatten()
        .map(|(name, quantity)| (name.clone(), milli(quantity).unwrap_or(0)))
        .collect()
}

pub fn add(total: &mut Amounts, more: &Amounts) {
    more.iter().for_each(|(name, amount)| *total.entry(name.clone()).or_default() += amount);
}

fn raise(total: &mut Amounts, floor: &Amounts) {
    for (name, amount) in floor {
        let slot = total.entry(name.clone()).or_default();
        *slot = (*slot).max(*amount);
    }
}

/// Ports of the node itself that the pod wants.
pub fn host_ports(pod: &Pod) -> Vec<(i32, String)> {
    let containers = |spec: &PodSpec| spec.containers.clone();
    let ports =
        pod.spec.iter().flat_map(containers).flat_map(|container| container.ports.unwrap_or_default());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            Some((number, port.protocol.unwrap_or_else(|| "TCP".into())))
        })
        .collect()
}
