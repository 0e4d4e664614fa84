//! `pods/resize`: what may change of a pod that runs is what its containers may use.
//!
//! Start at [`merge`], which takes nothing else over, and [`validate`].

use serde_json::{Map, Value};

use super::{is_sidecar, qos_class, validate as checks};
use crate::field::{FieldError, Path};
use crate::read::{list, text};

const RESIZABLE: [&str; 2] = ["cpu", "memory"];
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// The pod as it is, with the resources and resize policies of `wanted`. Where containers were added, taken away,
/// renamed or moved, `wanted` stays as it is, for the checks to refuse.
pub fn merge(wanted: Value, live: &Value) -> Value {
    let names = |pod: &Value, field: &str| {
        let containers = pod["spec"][field].as_array().into_iter().flatten();
        containers.map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    if LISTS.iter().any(|field| names(&wanted, field) != names(live, field)) {
        return wanted;
    }
    let mut merged = live.clone();
    for field in LISTS {
        let from = list(&wanted["spec"], &format!("/{field}"));
        let to = merged["spec"][field].as_array_mut().into_iter().flatten();
        for (to, from) in to.zip(from) {
            for part in ["resources", "resizePolicy"] {
                match from.get(part) {
                    Some(value) => to[part] = value.clone(),
                    None => drop(to.as_object_mut().and_then(|to| to.remove(part))),
                }
            }
        }
    }
    merged["metadata"]["managedFields"] = wanted["metadata"]["managedFields"].clone();
    merged
}

/// Checks a resized pod.
pub(super) fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = checks::pod_spec(&new["spec"], &path);
    let Some(old) = old else { return errors };
    if text(old, "/spec/os/name") == "windows" {
        return vec![FieldError::forbidden(&Path::root(""), "windows pods cannot be resized")];
    }
    let class = match text(old, "/status/qosClass") {
        "" => qos_class(old),
        class => class,
    };
    if class != qos_class(new) {
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(&path, text(new, "/status/qosClass"), why));
    }
    if !is_supported(old) {
        errors.push(FieldError::forbidden(&path, "Pod running on node without support for resize"));
    }
    let moved = moved(new, old, &path);
    if !moved.is_empty() {
        errors.extend(moved);
        return errors;
    }
    for (field, list_path) in LISTS.map(|field| (field, path.child(field))) {
        let pairs =
            list(&new["spec"], &format!("/{field}")).iter().zip(list(&old["spec"], &format!("/{field}")));
        for (index, (new, old)) in pairs.enumerate() {
            errors.extend(container(new, old, field == "initContainers", &list_path.index(index), &path));
        }
    }
    errors
}

/// A node that can resize says what containers have.
fn is_supported(pod: &Value) -> bool {
    let mut running =
        list(pod, "/status/containerStatuses").iter().filter(|status| status["state"]["running"].is_object());
    running.next().is_none_or(|status| status["resources"].is_object())
}

fn moved(new: &Value, old: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in LISTS {
        let (new, old) = (list(&new["spec"], &format!("/{field}")), list(&old["spec"], &format!("/{field}")));
        let at = path.child(field);
        if new.len() != old.len() {
            let why = format!("{field} may not be added or removed on resize");
            errors.push(FieldError::forbidden(&at, why));
            continue;
        }
        let renamed = new.iter().zip(old).enumerate().filter(|(_, (new, old))| new["name"] != old["name"]);
        errors.extend(renamed.map(|(index, _)| {
            let why = format!("{field} may not be renamed or reordered on resize");
            FieldError::forbidden(&at.index(index).child("name"), why)
        }));
    }
    errors
}

fn container(new: &Value, old: &Value, is_init: bool, path: &Path, spec: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if is_init && !is_sidecar(old) {
        if new != old {
            let why = "resources for non-sidecar init containers are immutable";
            errors.push(FieldError::forbidden(spec, why));
        }
        return errors;
    }
    for side in ["requests", "limits"] {
        let amounts =
            |container: &Value| container["resources"][side].as_object().cloned().unwrap_or_default();
        let (new, old) = (amounts(new), amounts(old));
        if old.keys().any(|name| !new.contains_key(name)) {
            let why = format!("resource {side} cannot be removed");
            errors.push(FieldError::forbidden(&path.child("resources").child(side), why));
        }
    }
    if fixed(new) != fixed(old) {
        errors.push(match is_init {
            true => {
                let why = "only cpu and memory resources for init or sidecar containers are mutable";
                FieldError::forbidden(path, why)
            }
            false => FieldError::forbidden(spec, "only cpu and memory resources are mutable"),
        });
    }
    errors
}

/// A container without what may change of it.
fn fixed(container: &Value) -> Value {
    let mut fixed = container.clone();
    let kept = |side: &str| {
        let amounts = container["resources"][side].as_object().into_iter().flatten();
        let kept = amounts.filter(|(name, _)| !RESIZABLE.contains(&name.as_str()));
        Value::Object(kept.map(|(name, amount)| (name.clone(), amount.clone())).collect::<Map<_, _>>())
    };
    fixed["resources"] = Value::Array(vec![kept("limits"), kept("requests")]);
    fixed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(container: Value) -> Value {
        let mut full = json!({ "name": "c", "image": "example/c:1", "imagePullPolicy": "Always",
            "resources": { "requests": { "cpu": "100m" } }, "terminationMessagePolicy": "File" });
        container.as_object().unwrap().iter().for_each(|(key, value)| full[key] = value.clone());
        let mut pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [full] } });
        super::super::default(&mut pod);
        pod
    }

    #[track_caller]
    fn check(change: Value, expect: &[&str]) {
        let live = pod(json!({}));
        let merged = merge(pod(change), &live);
        let errors: Vec<String> = validate(&merged, Some(&live)).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expect);
    }

    #[test]
    fn only_resources_are_taken_over() {
        let changed = json!({ "image": "other", "resources": { "requests": { "cpu": "200m" } } });
        let merged = merge(pod(changed), &pod(json!({})));
        let container = &merged["spec"]["containers"][0];
        assert_eq!(
            (&container["image"], &container["resources"]["requests"]["cpu"]),
            (&json!("example/c:1"), &json!("200m"))
        );
    }

    #[test]
    fn amounts_may_change_but_not_go_and_not_make_another_class() {
        check(json!({ "resources": { "requests": { "cpu": "200m", "memory": "1Mi" } } }), &[]);
        check(
            json!({ "resources": {} }),
            &[
                "spec: Invalid value: \"\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ],
        );
        check(
            json!({ "resources": { "requests": { "cpu": "1", "ephemeral-storage": "1Gi" } } }),
            &["spec: Forbidden: only cpu and memory resources are mutable"],
        );
    }

    #[test]
    fn containers_stay_where_and_what_they_are() {
        check(
            json!({ "name": "d" }),
            &["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"],
        );
    }

    #[test]
    fn a_node_that_says_nothing_about_resources_cannot_resize() {
        let mut live = pod(json!({}));
        live["status"] = json!({ "containerStatuses": [{ "name": "c", "state": { "running": {} } }] });
        let errors = validate(&live.clone(), Some(&live));
        assert_eq!(errors[0].to_string(), "spec: Forbidden: Pod running on node without support for resize");
    }
}
