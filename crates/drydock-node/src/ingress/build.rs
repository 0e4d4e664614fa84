//! From Ingresses, Services and EndpointSlices to a routing [`Table`].
//!
//! Pure. An Ingress is ours when its class's controller is [`CONTROLLER`], or when it names no class.
//! A backend that cannot be reached stays in the table with the reason, so that the answer can say it.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressClass};

use super::routes::{Backend, PathType, Table};

/// The class's `spec.controller` that makes an Ingress ours.
pub const CONTROLLER: &str = "seaworthy.dev/drydock-ingress";
const LEGACY_CLASS: &str = "kubernetes.io/ingress.class";
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The objects a table is made from.
pub struct Inputs {
    pub classes: Vec<Arc<IngressClass>>,
    pub ingresses: Vec<Arc<Ingress>>,
    pub services: Vec<Arc<Service>>,
    pub slices: Vec<Arc<EndpointSlice>>,
}

impl Inputs {
    /// The Ingresses this controller serves, oldest first: on a conflict the older one keeps its path.
    pub fn ours(&self) -> Vec<&Arc<Ingress>> {
        let classes: HashSet<&str> = self
            .classes
            .iter()
            .filter(|c| c.spec.as_ref().is_some_and(|s| s.controller.as_deref() == Some(CONTROLLER)))
            .filter_map(|c| c.metadata.name.as_deref())
            .collect();
        let mut ours: Vec<_> = self
            .ingresses
            .iter()
            .filter(|i| class_of(i).is_none_or(|class| classes.contains(class)))
            .filter(|i| i.metadata.deletion_timestamp.is_none())
            .collect();
        ours.sort_by_key(|i| {
            let meta = &i.metadata;
            (meta.creation_timestamp.clone(), meta.namespace.clone(), meta.name.clone())
        });
        ours
    }

    pub fn table(&self) -> Table {
        let mut table = Table::default();
        let services: HashMap<_, _> = self
            .services
            .iter()
            .filter_map(|s| Some(((s.metadata.namespace.as_deref()?, s.metadata.name.as_deref()?), s)))
            .collect();
        for ingress in self.ours() {
            let namespace = ingress.metadata.namespace.as_deref().unwrap_or("default");
            let Some(spec) = &ingress.spec else { continue };
            let resolve = |backend: &IngressBackend| {
                let name = backend.service.as_ref().map_or("", |s| s.name.as_str());
                Arc::new(self.backend(namespace, backend, services.get(&(namespace, name)).copied()))
            };
            for rule in spec.rules.iter().flatten() {
                for path in rule.http.iter().flat_map(|http| &http.paths) {
                    let path_type =
                        if path.path_type == "Exact" { PathType::Exact } else { PathType::Prefix };
                    let text = path.path.as_deref().unwrap_or("/");
                    table.add(rule.host.as_deref(), text, path_type, resolve(&path.backend));
                }
            }
            if let Some(backend) = &spec.default_backend {
                table.set_default(resolve(backend));
            }
        }
        table
    }

    fn backend(&self, namespace: &str, backend: &IngressBackend, service: Option<&Arc<Service>>) -> Backend {
        let Some(wanted) = &backend.service else {
            let problem = "the Ingress names a resource backend, which drydock does not serve".to_owned();
            return Backend { service: format!("{namespace}/?"), endpoints: vec![], problem };
        };
        let port_text = match wanted.port.as_ref() {
            Some(port) => port.name.clone().unwrap_or_else(|| port.number.unwrap_or_default().to_string()),
            None => "?".to_owned(),
        };
        let label = format!("{namespace}/{}:{port_text}", wanted.name);
        let broken = |problem: String| Backend { service: label.clone(), endpoints: vec![], problem };
        let Some(service) = service else {
            return broken(format!("service `{namespace}/{}` does not exist", wanted.name));
        };
        let ports = service.spec.as_ref().and_then(|s| s.ports.as_deref()).unwrap_or_default();
        let port = ports.iter().find(|p| match wanted.port.as_ref() {
            Some(port) if port.name.is_some() => port.name == p.name,
            Some(port) => port.number == Some(p.port),
            None => false,
        });
        let Some(port) = port else {
            return broken(format!("service `{namespace}/{}` has no port `{port_text}`", wanted.name));
        };
        let endpoints = self.endpoints(namespace, &wanted.name, port);
        if endpoints.is_empty() {
            return broken(format!("service `{namespace}/{}` has no ready endpoint", wanted.name));
        }
        Backend { service: label, endpoints, problem: String::new() }
    }

    /// Ready addresses of one service port, sorted and without doubles.
    fn endpoints(&self, namespace: &str, service: &str, port: &ServicePort) -> Vec<SocketAddrV4> {
        let wanted_port = port.name.as_deref().unwrap_or_default();
        let mut found = Vec::new();
        for slice in &self.slices {
            let label = slice.metadata.labels.as_ref().and_then(|l| l.get(SERVICE_LABEL));
            if slice.metadata.namespace.as_deref() != Some(namespace)
                || label.map(String::as_str) != Some(service)
            {
                continue;
            }
            let number = slice
                .ports
                .iter()
                .flatten()
                .find(|p| p.name.as_deref().unwrap_or_default() == wanted_port)
                .and_then(|p| u16::try_from(p.port?).ok());
            let Some(number) = number else { continue };
            for endpoint in slice.endpoints.iter().flatten() {
                if endpoint.conditions.as_ref().and_then(|c| c.ready) != Some(false) {
                    let addresses = endpoint.addresses.iter().filter_map(|a| a.parse::<Ipv4Addr>().ok());
                    found.extend(addresses.map(|ip| SocketAddrV4::new(ip, number)));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

fn class_of(ingress: &Ingress) -> Option<&str> {
    let named = ingress.spec.as_ref().and_then(|s| s.ingress_class_name.as_deref());
    named.or_else(|| ingress.metadata.annotations.as_ref()?.get(LEGACY_CLASS).map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::super::routes::Found;
    use super::*;
    use serde_json::{Value, json};

    fn object<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn ingress(class: Option<&str>, service: &str, port: Value) -> Arc<Ingress> {
        object(json!({
            "metadata": {"name": "i", "namespace": "shop"},
            "spec": {"ingressClassName": class, "rules": [{"host": "shop.localhost", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": port}}}]}}]}
        }))
    }

    fn inputs(ingress: Arc<Ingress>, ready: bool) -> Inputs {
        Inputs {
            classes: vec![object(
                json!({"metadata": {"name": "drydock"}, "spec": {"controller": CONTROLLER}}),
            )],
            ingresses: vec![ingress],
            services: vec![object(json!({"metadata": {"name": "web", "namespace": "shop"},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 3000}]}}))],
            slices: vec![object(json!({"metadata": {"name": "web-1", "namespace": "shop",
                    "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4", "ports": [{"name": "http", "port": 3000}],
                "endpoints": [{"addresses": ["10.244.0.3"], "conditions": {"ready": ready}}]}))],
        }
    }

    #[track_caller]
    fn check(inputs: Inputs, expect: &str) {
        let found = match inputs.table().find("shop.localhost", "/") {
            Found::Backend(b) if b.problem.is_empty() => format!("{} {:?}", b.service, b.endpoints),
            Found::Backend(b) => b.problem.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn a_port_is_found_by_number_and_by_name() {
        check(
            inputs(ingress(Some("drydock"), "web", json!({"number": 80})), true),
            "shop/web:80 [10.244.0.3:3000]",
        );
        check(inputs(ingress(None, "web", json!({"name": "http"})), true), "shop/web:http [10.244.0.3:3000]");
    }
    #[test]
    fn an_ingress_of_another_class_is_left_alone() {
        check(inputs(ingress(Some("nginx"), "web", json!({"number": 80})), true), "UnknownHost([])");
    }
    #[test]
    fn a_backend_that_cannot_answer_says_why() {
        check(
            inputs(ingress(None, "web", json!({"number": 80})), false),
            "service `shop/web` has no ready endpoint",
        );
        check(
            inputs(ingress(None, "web", json!({"number": 81})), true),
            "service `shop/web` has no port `81`",
        );
        check(inputs(ingress(None, "api", json!({"number": 80})), true), "service `shop/api` does not exist");
    }
}
