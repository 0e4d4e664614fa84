//! Whom a proxied request means: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.

use std::net::IpAddr;

use serde_json::Value;

use crate::endpoint::{self, Endpoint};
use crate::node::PodRef;
use crate::request::ResourcePath;
use crate::server::Cx;
use crate::status::ApiError;

/// The three parts of a name; scheme and port may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub scheme: String,
    pub name: String,
    pub port: String,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub endpoint: Endpoint,
    /// Encrypted; whom the certificate names is not asked, as in any cluster.
    pub tls: bool,
}

impl Name {
    pub fn parse(path: &ResourcePath) -> Result<Self, ApiError> {
        let parts: Vec<&str> = path.name().split(':').collect();
        let (scheme, name, port) = match parts.as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => ("", "", ""),
        };
        if name.is_empty() || !matches!(scheme, "" | "http" | "https") {
            let what = path.plural.trim_end_matches('s');
            return Err(ApiError::bad_request(format!("invalid {what} request {:?}", path.name())));
        }
        Ok(Self { scheme: scheme.to_owned(), name: name.to_owned(), port: port.to_owned() })
    }

    fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

pub(super) fn find(cx: &Cx, name: &Name) -> Result<Target, ApiError> {
    let endpoint = match cx.kind.is("", "services") {
        true => {
            let namespace = cx.path.namespace.as_deref().unwrap_or("");
            endpoint::of_service(&cx.server, namespace, &name.name, &name.port)?
        }
        false => of_pod(&pod(cx, name)?, name)?,
    };
    Ok(Target { endpoint, tls: name.is_https() })
}

fn pod(cx: &Cx, name: &Name) -> Result<Value, ApiError> {
    let mut cx = cx.clone();
    cx.path.name = Some(name.name.clone());
    Ok(cx.load()?.value)
}

fn of_pod(pod: &Value, name: &Name) -> Result<Endpoint, ApiError> {
    let ip = pod["status"]["podIP"].as_str().unwrap_or("");
    if !ip.parse::<IpAddr>().is_ok_and(is_of_a_pod) {
        return Err(ApiError::bad_request("address not allowed"));
    }
    let port = port(pod, name).ok_or_else(|| {
        ApiError::unavailable(format!("error trying to reach service: pod has no port {:?}", name.port))
    })?;
    Ok(Endpoint { pod: PodRef::of(pod), ip: ip.to_owned(), port })
}

fn is_of_a_pod(ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !local && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified()
}

/// A port by number or by the name a container gives it; without either the first a container declares.
fn port(pod: &Value, name: &Name) -> Option<u16> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut declared = containers.flat_map(|one| one["ports"].as_array().into_iter().flatten());
    let number = |port: &Value| u16::try_from(port["containerPort"].as_u64()?).ok();
    if name.port.is_empty() {
        return declared.next().and_then(number).or(Some(if name.is_https() { 443 } else { 80 }));
    }
    match name.port.parse() {
        Ok(number) => Some(number),
        Err(_) => declared.find(|port| port["name"] == name.port.as_str()).and_then(number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        let pod = json!({
            "metadata": { "name": "web", "namespace": "a", "uid": "u" }, "status": { "podIP": "10.244.0.5" },
            "spec": { "containers": [{ "name": "side" }, { "name": "c", "ports": [
                { "containerPort": 8080 }, { "containerPort": 9090, "name": "metrics" }] }] },
        });
        let path =
            ResourcePath { plural: "pods".into(), name: Some(name.to_owned()), ..ResourcePath::default() };
        let found = Name::parse(&path).and_then(|name| Ok((name.is_https(), of_pod(&pod, &name)?.port)));
        let seen = found.map_or_else(
            |error| error.message,
            |(tls, port)| format!("{}:{port}", if tls { "https" } else { "http" }),
        );
        assert_eq!(seen, expect, "{name}");
    }

    #[test]
    fn a_name_says_scheme_and_port_or_leaves_them_to_the_pod() {
        check("web", "http:8080");
        check("web:9090", "http:9090");
        check("web:metrics", "http:9090");
        check("https:web:8443", "https:8443");
        check("http:web:", "http:8080");
    }

    #[test]
    fn names_that_make_no_sense_are_refused() {
        check("ftp:web:80", "invalid pod request \"ftp:web:80\"");
        check(":80", "invalid pod request \":80\"");
        check("a:b:c:d", "invalid pod request \"a:b:c:d\"");
        check("web:nothing", "error trying to reach service: pod has no port \"nothing\"");
    }

    #[test]
    fn only_addresses_of_pods_are_passed_on_to() {
        let refused = |ip: &str| !is_of_a_pod(ip.parse().unwrap());
        assert!(
            ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "::1", "fe80::1"]
                .into_iter()
                .all(refused)
        );
        assert!(!refused("10.244.0.9"));
    }
}
