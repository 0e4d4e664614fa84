//! Checks of services: types and what each allows, ports, addresses, families, traffic policies.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::endpointslice::outside;
use crate::field::{FieldError, Path};
use crate::meta::{immutable, labels};
use crate::pod::template::{self, choice};
use crate::read::{flag, list, number, text, texts};
use crate::rules::{self, check};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const DAY_S: i64 = 86_400;

pub(super) fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let kind = text(new, "/spec/type");
    let headless = text(new, "/spec/clusterIP") == "None";
    let mut errors = Vec::new();
    if list(new, "/spec/ports").is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    errors.extend(by_type(new, kind, headless, &path));
    errors.extend(ports(new, kind, &path.child("ports")));
    errors.extend(labels(new, "/spec/selector", &path.child("selector")));
    errors.extend(affinity(new, &path));
    errors.extend(external_ips(new, &path.child("externalIPs")));
    if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &TYPES));
    }
    errors.extend(node_ports(new, kind, &path.child("ports")));
    errors.extend(source_ranges(new, kind, &path.child("LoadBalancerSourceRanges")));
    errors.extend(families(new, kind, &path));
    errors.extend(cluster_ips(new, &path));
    errors.extend(traffic(new, kind, &path));
    errors.extend(load_balancer(new, old, kind, &path));
    errors.extend(old.map(|old| kept_address(new, old, &path)).unwrap_or_default());
    errors
}

fn by_type(new: &Value, kind: &str, headless: bool, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match kind {
        "NodePort" | "LoadBalancer" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", detail));
        }
        "ExternalName" => {
            if !list(new, "/spec/clusterIPs").is_empty() {
                let detail = "may not be set for ExternalName services";
                errors.push(FieldError::forbidden(&path.child("clusterIPs"), detail));
            }
            for field in ["ipFamilies", "ipFamilyPolicy"] {
                if new["spec"].get(field).is_some() {
                    let detail = "may not be set for ExternalName services";
                    errors.push(FieldError::forbidden(&path.child(field), detail));
                }
            }
            let (name, at) =
                (text(new, "/spec/externalName").trim_end_matches('.'), path.child("externalName"));
            match name {
                "" => errors.push(FieldError::required(&at, "")),
                name => errors.extend(check(rules::subdomain, name, &at)),
            }
        }
        _ => {}
    }
    errors
}

fn ports(new: &Value, _kind: &str, path: &Path) -> Vec<FieldError> {
    let ports = list(new, "/spec/ports");
    let mut errors = Vec::new();
    let (mut seen_names, mut seen) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = text(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !name.is_empty() {
            errors.extend(check(rules::label, name, &at.child("name")));
            if !seen_names.insert(name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
        }
        errors.extend(template::port_number(number(port, "/port"), &at.child("port")));
        errors.extend(choice(port, &at, "protocol", &PROTOCOLS));
        errors.extend(template::port_or_name(&port["targetPort"], &at.child("targetPort")));
        if let Some(protocol) = port.get("appProtocol").and_then(Value::as_str) {
            errors.extend(check(rules::qualified, protocol, &at.child("appProtocol")));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = text(port, "/protocol");
        if !seen.insert((protocol, number(port, "/port"))) {
            let shown = [
                ("Name", "".into()),
                ("Protocol", protocol.into()),
                ("AppProtocol", Value::Null),
                ("Port", port["port"].clone()),
                ("TargetPort", 0.into()),
                ("NodePort", 0.into()),
            ];
            errors.push(FieldError::duplicate(&path.index(index), Value::Null).showing(&shown));
        }
    }
    errors
}

fn node_ports(new: &Value, kind: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, port) in list(new, "/spec/ports").iter().enumerate() {
        let (found, at) = (number(port, "/nodePort"), path.index(index).child("nodePort"));
        if found == 0 {
            continue;
        }
        if kind == "ClusterIP" {
            errors.push(FieldError::forbidden(&at, "may not be used when `type` is 'ClusterIP'"));
        } else if !seen.insert((found, text(port, "/protocol"))) {
            errors.push(FieldError::duplicate(&at, found));
        }
    }
    errors
}

fn affinity(new: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (affinity, known) = (text(new, "/spec/sessionAffinity"), ["ClientIP", "None"]);
    if !known.contains(&affinity) {
        errors.push(FieldError::not_supported(&path.child("sessionAffinity"), affinity, &known));
    }
    let seconds = new.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds").and_then(Value::as_i64);
    if let Some(seconds) = seconds.filter(|seconds| *seconds <= 0 || *seconds > DAY_S) {
        let at = path.child("sessionAffinityConfig.clientIP.timeoutSeconds");
        let detail = format!("must be greater than 0 and less than {DAY_S}");
        errors.push(FieldError::invalid(&at, seconds, detail));
    }
    errors
}

fn external_ips(new: &Value, path: &Path) -> Vec<FieldError> {
    let check_one = |(index, address): (usize, &str)| {
        let at = path.index(index);
        match address.parse::<IpAddr>() {
            Err(_) => check(rules::ip, address, &at),
            Ok(parsed) => outside(address, parsed, &at).into_iter().collect(),
        }
    };
    texts(new, "/spec/externalIPs").enumerate().flat_map(check_one).collect()
}

fn source_ranges(new: &Value, kind: &str, path: &Path) -> Vec<FieldError> {
    let ranges: Vec<&str> = texts(new, "/spec/loadBalancerSourceRanges").collect();
    if !ranges.is_empty() && kind != "LoadBalancer" {
        return vec![FieldError::forbidden(path, "may only be used when `type` is 'LoadBalancer'")];
    }
    let all = ranges.iter().enumerate();
    all.flat_map(|(index, range)| check(rules::cidr, range.trim(), &path.index(index))).collect()
}

/// The cluster has IPv4 only, as most have one family only.
fn families(new: &Value, kind: &str, path: &Path) -> Vec<FieldError> {
    if kind == "ExternalName" {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    errors.extend(choice(&new["spec"], path, "ipFamilyPolicy", &policies));
    let at = path.child("ipFamilies");
    let mut seen = HashSet::new();
    for (index, family) in texts(new, "/spec/ipFamilies").enumerate() {
        if !["IPv4", "IPv6"].contains(&family) {
            errors.push(FieldError::not_supported(&at.index(index), family, &["IPv4", "IPv6"]));
        } else if !seen.insert(family) {
            errors.push(FieldError::duplicate(&at.index(index), family));
        }
    }
    errors
}

fn cluster_ips(new: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path.child("clusterIPs");
    let all: Vec<&str> = texts(new, "/spec/clusterIPs").collect();
    let first = text(new, "/spec/clusterIP");
    if !first.is_empty() && !all.is_empty() && all[0] != first {
        let shown = new["spec"]["clusterIPs"].clone();
        errors.push(FieldError::invalid(&at, shown, "first value must match `clusterIP`"));
        return errors;
    }
    let wanted: Vec<&str> = texts(new, "/spec/ipFamilies").collect();
    for (index, address) in all.iter().enumerate() {
        if matches!(*address, "" | "None") {
            continue;
        }
        match address.parse::<IpAddr>() {
            Err(_) => {
                let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                errors.push(FieldError::invalid(&at.index(index), *address, detail));
            }
            Ok(parsed) => {
                let family = wanted.get(index).copied().unwrap_or("");
                let found = if parsed.is_ipv4() { "IPv4" } else { "IPv6" };
                if matches!(family, "IPv4" | "IPv6") && family != found {
                    let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
                    errors.push(FieldError::invalid(&at.index(index), *address, detail));
                }
            }
        }
    }
    errors
}

fn traffic(new: &Value, kind: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let policies = ["Cluster", "Local"];
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !list(new, "/spec/externalIPs").is_empty());
    if let Some(policy) = new["spec"].get("externalTrafficPolicy").and_then(Value::as_str) {
        let at = path.child("externalTrafficPolicy");
        if !external {
            let detail = "may only be set for externally-accessible services";
            errors.push(FieldError::invalid(&at, policy, detail));
        } else if !policies.contains(&policy) {
            errors.push(FieldError::not_supported(&at, policy, &policies));
        }
    }
    let health = number(new, "/spec/healthCheckNodePort");
    let local = kind == "LoadBalancer" && text(new, "/spec/externalTrafficPolicy") == "Local";
    if health != 0 && !local {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(&path.child("healthCheckNodePort"), health, detail));
    }
    errors.extend(choice(&new["spec"], path, "internalTrafficPolicy", &policies));
    let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    errors.extend(choice(&new["spec"], path, "trafficDistribution", &distributions));
    errors
}

fn load_balancer(new: &Value, old: Option<&Value>, kind: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let detail = "may only be used when `type` is 'LoadBalancer'";
    let at = path.child("allocateLoadBalancerNodePorts");
    if kind != "LoadBalancer" && flag(new, "/spec/allocateLoadBalancerNodePorts") {
        errors.push(FieldError::forbidden(&at, detail));
    }
    let at = path.child("loadBalancerClass");
    let class = new["spec"].get("loadBalancerClass");
    if kind != "LoadBalancer" && class.is_some() {
        errors.push(FieldError::forbidden(&at, detail));
    } else if let Some(name) = class.and_then(Value::as_str) {
        errors.extend(check(rules::qualified, name, &at));
    }
    let before = old.filter(|old| text(old, "/spec/type") == "LoadBalancer" && kind == "LoadBalancer");
    if before.is_some_and(|old| old["spec"].get("loadBalancerClass") != class) {
        let mut error = immutable(&at, class.unwrap_or(&Value::Null));
        error.detail = "may not change once set".to_owned();
        errors.push(error);
    }
    errors
}

/// An address stays as long as the service has one.
fn kept_address(new: &Value, old: &Value, path: &Path) -> Vec<FieldError> {
    let external = |object: &Value| text(object, "/spec/type") == "ExternalName";
    if external(old) || external(new) {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let changed = |field: &str| {
        let before = list(old, &format!("/spec/{field}")).first().cloned();
        before.is_some() && before != list(new, &format!("/spec/{field}")).first().cloned()
    };
    for field in ["clusterIPs", "ipFamilies"] {
        if changed(field) {
            let mut error = immutable(&path.child(field).index(0), &new["spec"][field]);
            error.detail = "may not change once set".to_owned();
            errors.push(error);
        }
    }
    errors
}
