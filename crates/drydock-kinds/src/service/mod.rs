//! Service: one name and address for a set of pods.
//!
//! Addresses and node ports are given out by the API server, which alone knows which are free; here is only what
//! follows from the object itself.

mod validate;

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::cells::{label_map, or_none};
use crate::edit::{carry_over, each, ensure, fill, fill_at, start_status};
use crate::read::{list, number, text, texts};
use crate::{Column, KindSpec, NameRule, Selectable};

const AFFINITY_SECONDS: i64 = 3 * 60 * 60;

pub const KIND: KindSpec = KindSpec::namespaced::<Service>()
    .short_names(&["svc"])
    .categories(&["all"])
    .with_status()
    .named(NameRule::Label)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate::validate)
    .warn_with(warnings)
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
        fill_at(object, "/spec", json!({ "internalTrafficPolicy": "Cluster" }));
    }
    if text(object, "/spec/sessionAffinity") != "ClientIP"
        && let Some(Value::Object(spec)) = object.get_mut("spec")
    {
        spec.remove("sessionAffinityConfig");
    }
    let external = kind == "ClusterIP" && !list(object, "/spec/externalIPs").is_empty();
    if external || matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill_at(object, "/spec", json!({ "externalTrafficPolicy": "Cluster" }));
    }
    if kind == "LoadBalancer" {
        fill_at(object, "/spec", json!({ "allocateLoadBalancerNodePorts": true }));
    }
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
    if text(new, "/spec/type") != "ExternalName" {
        fill_at(new, "/spec", json!({ "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack" }));
    }
    one_cluster_ip(new);
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

fn warnings(service: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if !list(service, "/spec/externalIPs").is_empty() {
        warnings.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        );
    }
    if text(service, "/spec/trafficDistribution") == "PreferClose" {
        warnings.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned(),
        );
    }
    warnings
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

    use crate::field::FieldError;

    #[track_caller]
    fn check(spec: Value, old: Option<Value>, expect: &[&str]) {
        let mut old = old.map(service);
        if let Some(old) = &mut old {
            prepare(old, None);
        }
        let mut new = service(spec);
        prepare(&mut new, old.as_ref());
        let errors = KIND.check(&new, old.as_ref());
        let texts: Vec<String> = errors.iter().map(FieldError::to_string).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn the_target_port_is_the_port_unless_said() {
        let mut object = service(json!({"ports": [{"port": 80}, {"port": 81, "targetPort": "http"}]}));
        prepare(&mut object, None);
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
