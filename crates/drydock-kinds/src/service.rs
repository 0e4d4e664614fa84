//! Service: one name and address for a set of pods.
//!
//! Addresses and node ports are given out by the API server, which alone knows which are free; here is only what
//! follows from the object itself.

use std::collections::HashSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::cells::{label_map, or_none};
use crate::edit::{carry_over, each, ensure, fill, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::meta::{immutable, labels};
use crate::names;
use crate::pod::template;
use crate::read::{list, number, text, texts};
use crate::{Column, KindSpec, NameRule, Selectable};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITY_SECONDS: i64 = 3 * 60 * 60;

pub const KIND: KindSpec = KindSpec::namespaced::<Service>()
    .short_names(&["svc"])
    .categories(&["all"])
    .with_status()
    .named(NameRule::Label1035)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate)
    .selectable(&[
        Selectable::at("spec.clusterIP", &["/spec/clusterIP"]),
        Selectable::at("spec.type", &["/spec/type"]),
    ])
    .columns(&[
        Column::at("Type", "/spec/type"),
        Column::compute("Cluster-IP", |service, _| or_none(text(service, "/spec/clusterIP"))),
        Column::compute("External-IP", |service, _| Value::from(external(service))),
        Column::compute("Port(s)", |service, _| or_none(&ports(service))),
        Column::age(),
        Column::compute("Selector", |service, _| Value::from(label_map(service.pointer("/spec/selector"))))
            .wide(),
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    fill_at(object, "/spec", json!({ "sessionAffinity": "None", "type": "ClusterIP" }));
    if text(object, "/spec/sessionAffinity") == "ClientIP" {
        fill_at(object, "/spec/sessionAffinityConfig", json!({}));
        fill_at(
            object,
            "/spec/sessionAffinityConfig/clientIP",
            json!({ "timeoutSeconds": AFFINITY_SECONDS }),
        );
    }
    for port in each(object, "/spec/ports") {
        let number = port.get("port").cloned().unwrap_or_default();
        fill(port, "protocol", "TCP");
        if port["targetPort"] == "" || port["targetPort"] == 0 {
            port["targetPort"] = Value::Null;
        }
        fill(port, "targetPort", number);
    }
    let kind = text(object, "/spec/type").to_owned();
    if kind != "ExternalName" {
        let families = json!({ "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack" });
        fill_at(object, "/spec", families);
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill_at(object, "/spec", json!({ "externalTrafficPolicy": "Cluster" }));
    }
    if kind == "LoadBalancer" {
        fill_at(object, "/spec", json!({ "allocateLoadBalancerNodePorts": true }));
    }
    one_cluster_ip(object);
}

/// The single and the plural field say the same.
fn one_cluster_ip(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    let address = text(spec, "/clusterIP").to_owned();
    if address.is_empty() {
        let first = texts(spec, "/clusterIPs").next().map(str::to_owned);
        if let Some(first) = first {
            spec["clusterIP"] = Value::from(first);
        }
    } else {
        fill(spec, "clusterIPs", json!([address]));
    }
}

/// An update may leave out what was allocated; turning into an external name gives it up.
fn prepare(new: &mut Value, old: Option<&Value>) {
    start_status(new, old, json!({ "loadBalancer": {} }));
    let Some(old) = old else { return };
    if text(new, "/spec/type") == "ExternalName" {
        return;
    }
    carry_over(new, old, "/spec", "clusterIP");
    carry_over(new, old, "/spec", "clusterIPs");
    if matches!(text(new, "/spec/type"), "NodePort" | "LoadBalancer") {
        carry_over_node_ports(new, old);
    }
}

fn carry_over_node_ports(new: &mut Value, old: &Value) {
    let before = list(old, "/spec/ports");
    for port in each(new, "/spec/ports") {
        let same = before
            .iter()
            .find(|known| known["port"] == port["port"] && known["protocol"] == port["protocol"]);
        if let (0, Some(node_port)) =
            (number(port, "/nodePort"), same.and_then(|known| known.get("nodePort")))
        {
            port["nodePort"] = node_port.clone();
        }
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let kind = text(new, "/spec/type");
    let mut errors = labels(new, "/spec/selector", &path.child("selector"));
    if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &TYPES));
    }
    let affinity = text(new, "/spec/sessionAffinity");
    if !["ClientIP", "None"].contains(&affinity) {
        errors.push(FieldError::not_supported(
            &path.child("sessionAffinity"),
            affinity,
            &["ClientIP", "None"],
        ));
    }
    let headless = text(new, "/spec/clusterIP") == "None";
    if kind == "ExternalName" {
        errors.extend(external_name(new, &path));
    } else if list(new, "/spec/ports").is_empty() && !headless {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    errors.extend(validate_ports(new, &path.child("ports")));
    errors.extend(cluster_ip(new, old, &path));
    errors
}

fn external_name(new: &Value, path: &Path) -> Option<FieldError> {
    let name = text(new, "/spec/externalName").trim_end_matches('.');
    let path = path.child("externalName");
    if name.is_empty() {
        return Some(FieldError::required(&path, ""));
    }
    names::subdomain(name).map(|complaint| FieldError::invalid(&path, name, complaint))
}

fn validate_ports(new: &Value, path: &Path) -> Vec<FieldError> {
    let ports = list(new, "/spec/ports");
    let mut errors = Vec::new();
    let (mut seen_names, mut seen) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = text(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !name.is_empty() {
            let complaint = names::label(name).map(|text| FieldError::invalid(&at.child("name"), name, text));
            errors.extend(complaint);
            if !seen_names.insert(name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
        }
        errors.extend(template::port_number(number(port, "/port"), &at.child("port")));
        errors.extend(template::port_or_name(&port["targetPort"], &at.child("targetPort")));
        let protocol = text(port, "/protocol");
        if !["SCTP", "TCP", "UDP"].contains(&protocol) {
            errors.push(FieldError::not_supported(&at.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        if !seen.insert((protocol, number(port, "/port"))) {
            errors.push(FieldError::duplicate(&at, json!({ "port": port["port"], "protocol": protocol })));
        }
    }
    errors
}

fn cluster_ip(new: &Value, old: Option<&Value>, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let address = text(new, "/spec/clusterIP");
    if !matches!(address, "" | "None") && address.parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), address, detail));
    }
    let external = |object: &Value| text(object, "/spec/type") == "ExternalName";
    let Some(old) = old.filter(|old| !external(old) && !external(new)) else { return errors };
    let before = text(old, "/spec/clusterIP");
    if !before.is_empty() && before != address {
        let at = path.child("clusterIPs").index(0);
        let mut error = immutable(&at, &Value::from(list(new, "/spec/clusterIPs")));
        error.detail = "may not change once set".to_owned();
        errors.push(error);
    }
    errors
}

fn external(service: &Value) -> String {
    let fixed: Vec<&str> = texts(service, "/spec/externalIPs").collect();
    match text(service, "/spec/type") {
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let given = list(service, "/status/loadBalancer/ingress").iter();
            let address = |entry| {
                [text(entry, "/ip"), text(entry, "/hostname")].into_iter().find(|text| !text.is_empty())
            };
            let all: Vec<&str> = given.filter_map(address).chain(fixed).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ if fixed.is_empty() => "<none>".to_owned(),
        _ => fixed.join(","),
    }
}

fn ports(service: &Value) -> String {
    let port = |port: &Value| {
        let node = match number(port, "/nodePort") {
            0 => String::new(),
            node => format!(":{node}"),
        };
        format!("{}{node}/{}", number(port, "/port"), text(port, "/protocol"))
    };
    list(service, "/spec/ports").iter().map(port).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(spec: Value) -> Value {
        let mut object = json!({"metadata": {"name": "web", "namespace": "b"}, "spec": spec});
        default(&mut object);
        object
    }

    #[track_caller]
    fn check(spec: Value, old: Option<Value>, expect: &[&str]) {
        let old = old.map(service);
        let mut new = service(spec);
        prepare(&mut new, old.as_ref());
        let errors = KIND.check(&new, old.as_ref());
        let texts: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn the_target_port_is_the_port_unless_said() {
        let object = service(json!({"ports": [{"port": 80}, {"port": 81, "targetPort": "http"}]}));
        assert_eq!(object["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
        assert_eq!(object["spec"]["ports"][1]["targetPort"], "http");
        assert_eq!(object["spec"]["ipFamilies"], json!(["IPv4"]));
    }

    #[test]
    fn several_ports_need_names() {
        check(
            json!({"ports": [{"port": 80}, {"port": 81}]}),
            None,
            &["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
        );
    }

    #[test]
    fn a_service_needs_ports_unless_it_is_headless() {
        check(json!({}), None, &["spec.ports: Required value"]);
        check(json!({"clusterIP": "None"}), None, &[]);
    }

    #[test]
    fn an_update_keeps_the_address_it_does_not_mention() {
        let old = json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]});
        check(json!({"ports": [{"port": 80}]}), Some(old.clone()), &[]);
        check(
            json!({"clusterIP": "10.96.0.8", "ports": [{"port": 80}]}),
            Some(old),
            &[r#"spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set"#],
        );
    }
}
