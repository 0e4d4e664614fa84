//! Single objects: names, selectors, annotations of lists, CRDs. Pure; the sentences are those of Helm and Kubernetes.

use serde_json::Value as Json;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
    and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
    start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', \
    regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

fn text<'o>(object: &'o Json, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

/// The object's name against the rules of its kind.
pub(super) fn name(object: &Json) -> Result<(), String> {
    let name = text(object, "/metadata/name");
    let wrong = complaints(&text(object, "/kind").to_lowercase(), name);
    let each = |wrong: &String| format!("metadata.name: Invalid value: {name:?}: {wrong}");
    let told: Vec<String> = wrong.iter().map(each).collect();
    match told.as_slice() {
        [] => Ok(()),
        [one] => {
            Err(format!("object name does not conform to Kubernetes naming requirements: {name:?}: {one}"))
        }
        many => Err(format!(
            "object name does not conform to Kubernetes naming requirements: {name:?}: [{}]",
            many.join(", ")
        )),
    }
}

fn complaints(kind: &str, name: &str) -> Vec<String> {
    match kind {
        "certificatesigningrequest" => Vec::new(),
        "role" | "clusterrole" | "rolebinding" | "clusterrolebinding" => path_segment(name),
        "service" => dns(name, 63, LABEL_1035, |name| {
            is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase())
        }),
        "namespace" => dns(name, 63, LABEL, is_label),
        _ => dns(name, 253, SUBDOMAIN, |name| name.split('.').all(is_label)),
    }
}

fn dns(name: &str, longest: usize, rule: &str, valid: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > longest {
        wrong.push(format!("must be no more than {longest} bytes"));
    }
    if !valid(name) {
        wrong.push(rule.to_owned());
    }
    wrong
}

fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(edge) && text.ends_with(edge) && text.chars().all(|c| edge(c) || c == '-')
}

fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// Workloads need a selector somewhere in their file.
pub(super) fn selector(object: &Json, file: &str) -> Result<(), String> {
    let kind = text(object, "/kind");
    let needs = matches!(kind, "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet");
    if !needs || file.contains("matchLabels") || file.contains("matchExpressions") {
        return Ok(());
    }
    let name = text(object, "/metadata/name");
    Err(format!("a {kind} must contain matchLabels or matchExpressions, and {name:?} does not"))
}

/// Policies inside a List have no effect.
pub(super) fn list_annotations(object: &Json, first_of_file: &Json) -> Result<(), String> {
    let items = first_of_file["items"].as_array().into_iter().flatten();
    let mut annotated =
        items.filter(|item| item["metadata"]["annotations"].get("helm.sh/resource-policy").is_some());
    match text(object, "/kind") == "List" && annotated.next().is_some() {
        true => Err("annotation 'helm.sh/resource-policy' within List objects are ignored".into()),
        false => Ok(()),
    }
}

pub(super) fn crd_api(object: &Json) -> Result<(), String> {
    match text(object, "/apiVersion").starts_with("apiextensions.k8s.io") {
        true => Ok(()),
        false => Err("apiVersion is not in 'apiextensions.k8s.io'".into()),
    }
}

pub(super) fn crd_kind(object: &Json) -> Result<(), String> {
    match text(object, "/kind") == "CustomResourceDefinition" {
        true => Ok(()),
        false => Err("object kind is not 'CustomResourceDefinition'".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(kind: &str, bad: &str, good: &str) {
        let object = |name: &str| json!({"kind": kind, "metadata": {"name": name}});
        assert!(name(&object(bad)).is_err(), "{kind} {bad}");
        assert_eq!(name(&object(good)), Ok(()), "{kind} {good}");
    }

    #[test]
    fn each_kind_has_its_rule_for_names() {
        check("Service", "1web", "web-1");
        check("Namespace", "a.b", "a-b");
        check("ConfigMap", "A", "a.b");
        check("Role", "a/b", "system:a");
    }
}
