//! Pod: containers that share an address and a life.
//!
//! The defaults and checks of pod specifications serve every kind with a pod template; see [`template`].

mod columns;
mod defaults;
pub(crate) mod resize;
pub mod resources;
pub(crate) mod template;
mod validate;
pub(crate) mod warnings;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::edit::{ensure, fill, start_status};
use crate::field::{FieldError, Path};
use crate::read::{flag, list, number, text};
use crate::{Generation, KindSpec, Selectable};

pub const KIND: KindSpec = KindSpec::namespaced::<Pod>()
    .short_names(&["po"])
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate)
    .validate_through("resize", resize::validate)
    .warn_with(|pod| [warnings::name(pod), warnings::of(pod, "/spec", "spec")].concat())
    .columns(columns::COLUMNS)
    .selectable(&[
        Selectable::at("spec.nodeName", &["/spec/nodeName"]),
        Selectable::at("spec.restartPolicy", &["/spec/restartPolicy"]),
        Selectable::at("spec.schedulerName", &["/spec/schedulerName"]),
        Selectable::at("spec.serviceAccountName", &["/spec/serviceAccountName"]),
        Selectable::at("spec.hostNetwork", &["/spec/hostNetwork"]).or("false"),
        Selectable::at("status.phase", &["/status/phase"]),
        Selectable::at("status.podIP", &["/status/podIP"]),
        Selectable::at("status.podIPs", &["/status/podIP"]),
        Selectable::at("status.nominatedNodeName", &["/status/nominatedNodeName"]),
    ]);

fn default(pod: &mut Value) {
    ensure(pod, "/spec");
    let Some(spec) = pod.get_mut("spec") else { return };
    defaults::pod_spec(spec);
    defaults::host_ports(spec);
    // Negative values were once meaningful and now ask for the smallest grace there is.
    if number(spec, "/terminationGracePeriodSeconds") < 0 {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    fill(spec, "enableServiceLinks", true);
    if list(spec, "/containers").iter().chain(list(spec, "/initContainers")).any(has_limits) {
        defaults::requests_from_limits(spec);
    }
}

fn has_limits(container: &Value) -> bool {
    container.pointer("/resources/limits").is_some()
}

fn prepare(new: &mut Value, old: Option<&Value>) {
    let class = qos_class(new);
    start_status(new, old, json!({ "phase": "Pending", "qosClass": class }));
}

/// Guaranteed when every container's limits equal its requests, best effort when nothing is said, else burstable.
pub fn qos_class(pod: &Value) -> &'static str {
    if let Some(spec) = pod.get("spec").filter(|spec| spec.get("resources").is_some()) {
        return class_of(std::slice::from_ref(spec));
    }
    let all: Vec<Value> =
        list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers")).cloned().collect();
    class_of(&all)
}

fn class_of(holders: &[Value]) -> &'static str {
    let containers = || holders.iter();
    let amount = |container: &Value, side: &str, name: &str| container["resources"][side][name].clone();
    let names = ["cpu", "memory"];
    let says_something = |container: &Value| {
        names
            .iter()
            .any(|name| ["limits", "requests"].iter().any(|side| !amount(container, side, name).is_null()))
    };
    let guaranteed = |container: &Value| {
        names.iter().all(|name| {
            let (limit, request) = (amount(container, "limits", name), amount(container, "requests", name));
            !limit.is_null() && (request.is_null() || request == limit)
        })
    };
    match (containers().any(says_something), containers().all(guaranteed)) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = validate::pod_spec(&new["spec"], &path);
    match old {
        Some(old) => errors.extend(immutable_spec(new, old, &path)),
        None => errors.extend(validate::new_pod(&new["spec"], &path)),
    }
    errors
}

/// A running pod keeps its specification, apart from images, the deadline, tolerations and the binding to a node.
fn immutable_spec(new: &Value, old: &Value, path: &Path) -> Option<FieldError> {
    (fixed_part(new) != fixed_part(old) || rebound(new, old)).then(|| {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`, \
                      `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions \
                      to existing tolerations), `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
                      was previously negative)";
        FieldError::forbidden(path, detail)
    })
}

fn rebound(new: &Value, old: &Value) -> bool {
    let before = text(old, "/spec/nodeName");
    !before.is_empty() && before != text(new, "/spec/nodeName")
}

fn fixed_part(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        for free in
            ["activeDeadlineSeconds", "tolerations", "nodeName", "ephemeralContainers", "schedulingGates"]
        {
            fields.remove(free);
        }
    }
    for list in ["/containers", "/initContainers"] {
        for container in crate::edit::each(&mut spec, list) {
            container["image"] = Value::Null;
        }
    }
    spec
}

/// A sidecar is an init container that keeps running.
pub(crate) fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

pub(crate) fn is_started(status: &Value) -> bool {
    flag(status, "/started")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_resources(resources: &[Value]) -> Value {
        let containers: Vec<Value> =
            resources.iter().map(|resources| json!({ "resources": resources })).collect();
        json!({ "spec": { "containers": containers } })
    }

    #[track_caller]
    fn check(resources: &[Value], expect: &str) {
        assert_eq!(qos_class(&with_resources(resources)), expect);
    }

    #[test]
    fn a_pod_without_resources_is_best_effort() {
        check(&[json!({})], "BestEffort");
    }

    #[test]
    fn a_pod_whose_limits_equal_its_requests_is_guaranteed() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        check(&[json!({"limits": both, "requests": both})], "Guaranteed");
        check(&[json!({"limits": both})], "Guaranteed");
    }

    #[test]
    fn one_unbounded_container_makes_a_pod_burstable() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        check(&[json!({"limits": both, "requests": both}), json!({})], "Burstable");
    }

    #[test]
    fn a_bound_pod_may_change_its_image_but_not_its_node() {
        let pod = |image: &str, node: &str| json!({"spec": {"nodeName": node, "containers": [{"name": "a", "image": image}]}});
        assert_eq!(immutable_spec(&pod("b", "n"), &pod("a", "n"), &Path::root("spec")), None);
        assert_eq!(immutable_spec(&pod("a", "n"), &pod("a", ""), &Path::root("spec")), None);
        assert!(immutable_spec(&pod("a", "m"), &pod("a", "n"), &Path::root("spec")).is_some());
    }
}
