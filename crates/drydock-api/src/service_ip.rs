//! Addresses and node ports of Services, given out once each.
//!
//! Callers hold `Server::service_addresses` from [`assign`] until the Service is stored.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use drydock_store::List;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::server::Server;
use crate::stored;

/// An IPv4 network by its base address and prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub base: Ipv4Addr,
    pub prefix: u8,
}

impl Default for Network {
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 96, 0, 0), prefix: 12 }
    }
}

impl Network {
    /// The first address is the API's own, `kubernetes.default`.
    pub fn api_address(self) -> Ipv4Addr {
        self.at(1)
    }

    fn size(self) -> u32 {
        1_u32.checked_shl(32 - u32::from(self.prefix)).unwrap_or(u32::MAX)
    }

    fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits().wrapping_add(offset))
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits().wrapping_sub(self.base.to_bits()) < self.size()
    }
}

const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;
/// Addresses below this offset are left to those who ask for a particular one, such as the cluster's DNS.
const RESERVED: u32 = 256;

#[derive(Default)]
struct Taken {
    addresses: HashSet<String>,
    ports: HashSet<u64>,
}

/// Gives `service` what its type needs and it does not have. `old` is the stored Service on an update.
pub(crate) fn assign(server: &Server, service: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    let taken = taken_by_others(server, service);
    let mut errors = Vec::new();
    let dual =
        service["spec"]["ipFamilyPolicy"] == "RequireDualStack" && service["spec"]["clusterIP"] != "None";
    if dual {
        let path = Path::root("spec").child("ipFamilyPolicy");
        let detail = "this cluster is not configured for dual-stack services";
        return vec![FieldError::invalid(&path, "RequireDualStack", detail)];
    }
    let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
    if kind != "ExternalName" {
        errors.extend(assign_address(server.config.service_network, service, old, &taken));
    }
    let wants_ports = service["spec"]["allocateLoadBalancerNodePorts"] != false;
    if kind == "NodePort" || (kind == "LoadBalancer" && wants_ports) {
        errors.extend(assign_ports(service, old, &taken));
    }
    errors
}

fn taken_by_others(server: &Server, service: &Value) -> Taken {
    let mut taken = Taken::default();
    let page = server.store.list(List { prefix: "core/services/", ..List::default() });
    for item in page.map(|page| page.items).unwrap_or_default() {
        let Ok(other) = stored::decode(&item.entry) else { continue };
        let same = |field: &str| other.value["metadata"][field] == service["metadata"][field];
        if same("name") && same("namespace") {
            continue;
        }
        taken.addresses.extend(other.value["spec"]["clusterIP"].as_str().map(str::to_owned));
        let ports = other.value["spec"]["ports"].as_array();
        taken.ports.extend(ports.into_iter().flatten().filter_map(|port| port["nodePort"].as_u64()));
    }
    taken
}

fn assign_address(
    network: Network,
    service: &mut Value,
    old: Option<&Value>,
    taken: &Taken,
) -> Option<FieldError> {
    let path = Path::root("spec").child("clusterIPs");
    let wanted = service["spec"]["clusterIP"].as_str().unwrap_or("").to_owned();
    let kept = old.and_then(|old| old["spec"]["clusterIP"].as_str()).unwrap_or("");
    let address = match wanted.as_str() {
        "None" => return set_address(service, "None"),
        "" if !kept.is_empty() => kept.to_owned(),
        "" => match free_address(network, taken) {
            Some(address) => address,
            None => {
                return Some(FieldError::invalid(&path, json!([]), "failed to allocate: the range is full"));
            }
        },
        wanted => wanted.to_owned(),
    };
    let why = match address.parse::<Ipv4Addr>() {
        Ok(parsed) if !network.contains(parsed) => {
            Some("the provided network does not match the current range".to_owned())
        }
        Ok(_) if taken.addresses.contains(&address) => Some("provided IP is already allocated".to_owned()),
        Ok(_) => None,
        Err(_) => Some("must be a valid IPv4 address".to_owned()),
    };
    match why {
        Some(why) => {
            let detail = format!("failed to allocate IP {address}: {why}");
            Some(FieldError::invalid(&path, json!([address]), detail))
        }
        None => set_address(service, &address),
    }
}

fn set_address(service: &mut Value, address: &str) -> Option<FieldError> {
    service["spec"]["clusterIP"] = address.into();
    service["spec"]["clusterIPs"] = json!([address]);
    None
}

fn free_address(network: Network, taken: &Taken) -> Option<String> {
    let last = network.size().saturating_sub(1);
    let first = RESERVED.min(last);
    let start = rand::rng().random_range(first..last.max(first + 1));
    let candidates = (start..last).chain(first..start);
    candidates.map(|offset| network.at(offset).to_string()).find(|address| !taken.addresses.contains(address))
}

fn assign_ports(service: &mut Value, old: Option<&Value>, taken: &Taken) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut used = taken.ports.clone();
    let kept: Vec<Value> = old.and_then(|old| old["spec"]["ports"].as_array()).cloned().unwrap_or_default();
    let Some(ports) = service["spec"]["ports"].as_array_mut() else { return errors };
    for (index, port) in ports.iter_mut().enumerate() {
        let path = Path::root("spec").child("ports").index(index).child("nodePort");
        let before =
            kept.iter().find(|old| old["port"] == port["port"] && old["protocol"] == port["protocol"]);
        let wanted = port["nodePort"].as_u64().filter(|port| *port != 0);
        let number =
            wanted.or_else(|| before.and_then(|old| old["nodePort"].as_u64()).filter(|port| *port != 0));
        let number = match number {
            Some(number) if taken.ports.contains(&number) => {
                errors.push(FieldError::invalid(&path, number, "provided port is already allocated"));
                continue;
            }
            Some(number) if !u16::try_from(number).is_ok_and(|port| NODE_PORTS.contains(&port)) => {
                errors.push(FieldError::invalid(
                    &path,
                    number,
                    "provided port is not in the valid range. The range of valid ports is 30000-32767",
                ));
                continue;
            }
            Some(number) => Some(number),
            None => NODE_PORTS.map(u64::from).find(|port| !used.contains(port)),
        };
        match number {
            Some(number) => {
                used.insert(number);
                port["nodePort"] = number.into();
            }
            None => errors.push(FieldError::invalid(&path, 0, "failed to allocate: the range is full")),
        }
    }
    errors
}
