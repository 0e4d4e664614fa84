//! The downward API: what a pod may learn about itself. Pure.

use k8s_openapi::api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector};

use super::objects::ConfigError;
use super::quantity;

/// What the node adds to the pod's own knowledge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub node_name: String,
    pub host_ip: String,
    /// Empty until the sandbox has one.
    pub pod_ip: String,
    /// Of the machine; limits that a container does not set fall back to these.
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

/// The text of a field such as `metadata.labels['app']`.
pub fn field(pod: &Pod, facts: &Facts, selector: &ObjectFieldSelector) -> Result<String, ConfigError> {
    let path = selector.field_path.as_str();
    let meta = &pod.metadata;
    let labels = meta.labels.as_ref();
    let annotations = meta.annotations.as_ref();
    if let Some((map, key)) = subscript(path) {
        let found = match map {
            "metadata.labels" => labels.and_then(|m| m.get(key)),
            "metadata.annotations" => annotations.and_then(|m| m.get(key)),
            _ => return Err(unknown(path)),
        };
        return Ok(found.cloned().unwrap_or_default());
    }
    let text = match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(labels),
        "metadata.annotations" => lines(annotations),
        "spec.nodeName" => facts.node_name.clone(),
        "spec.serviceAccountName" => {
            pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_else(|| "default".into())
        }
        "status.hostIP" | "status.hostIPs" => facts.host_ip.clone(),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        _ => return Err(unknown(path)),
    };
    Ok(text)
}

fn unknown(path: &str) -> ConfigError {
    ConfigError::Invalid(format!("unsupported fieldPath: {path}"))
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once('[')?;
    Some((map, rest.strip_suffix(']')?.trim_matches(['\'', '"'])))
}

/// One `key="value"` per line, sorted, quoted as Go quotes.
fn lines(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of a resource such as `limits.memory`; `own` is the container the reference stands in.
pub fn resource(
    pod: &Pod,
    own: &Container,
    facts: &Facts,
    selector: &ResourceFieldSelector,
) -> Result<String, ConfigError> {
    let containers = pod.spec.iter().flat_map(|s| s.init_containers.iter().flatten().chain(&s.containers));
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => containers
            .into_iter()
            .find(|c| c.name == name)
            .ok_or_else(|| ConfigError::Invalid(format!("container {name} not found")))?,
        None => own,
    };
    let resources = container.resources.clone().unwrap_or_default();
    let (list, name) = selector.resource.split_once('.').ok_or_else(|| {
        ConfigError::Invalid(format!("unsupported container resource: {}", selector.resource))
    })?;
    let limit = resources.limits.as_ref().and_then(|l| l.get(name));
    let stated = match list {
        "limits" => limit,
        "requests" => resources.requests.as_ref().and_then(|r| r.get(name)).or(limit),
        _ => None,
    };
    let value = match (stated.and_then(quantity::number), list, name) {
        (Some(value), ..) => value,
        (None, "limits", "cpu") => facts.cpu_millis as f64 / 1000.0,
        (None, "limits", "memory") => facts.memory_bytes as f64,
        _ => 0.0,
    };
    Ok(quantity::divided(value, selector.divisor.as_ref().filter(|d| d.0 != "0")).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web-0", "namespace": "shop", "uid": "u1", "labels": {"app": "web", "tier": "a\"b"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}}}]},
        }))
        .unwrap()
    }

    fn facts() -> Facts {
        Facts {
            node_name: "n".into(),
            pod_ip: "10.244.0.9".into(),
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            ..Facts::default()
        }
    }

    #[track_caller]
    fn check(path: &str, expect: &str) {
        let selector = ObjectFieldSelector { field_path: path.into(), api_version: None };
        let found = field(&pod(), &facts(), &selector).unwrap_or_else(|error| error.to_string());
        assert_eq!(found, expect);
    }

    #[track_caller]
    fn check_resource(resource_name: &str, divisor: Option<&str>, expect: &str) {
        let selector: ResourceFieldSelector =
            serde_json::from_value(json!({"resource": resource_name, "divisor": divisor})).unwrap();
        let own = pod().spec.unwrap().containers[0].clone();
        assert_eq!(resource(&pod(), &own, &facts(), &selector).unwrap(), expect);
    }

    #[test]
    fn a_pod_knows_its_name_and_address() {
        check("metadata.name", "web-0");
        check("status.podIP", "10.244.0.9");
        check("spec.serviceAccountName", "default");
    }
    #[test]
    fn one_label_or_all_of_them() {
        check("metadata.labels['app']", "web");
        check("metadata.labels['none']", "");
        check("metadata.labels", "app=\"web\"\ntier=\"a\\\"b\"");
    }
    #[test]
    fn an_unknown_field_is_named() {
        check("spec.secret", "unsupported fieldPath: spec.secret");
    }
    #[test]
    fn resources_fall_back_to_the_machine() {
        check_resource("limits.memory", Some("1Mi"), "64");
        check_resource("limits.cpu", None, "2");
        check_resource("requests.cpu", Some("1m"), "250");
        check_resource("requests.memory", None, "67108864");
    }
}
