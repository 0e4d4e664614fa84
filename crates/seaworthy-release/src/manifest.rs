//! The objects of a manifest, each with the template it came from, and the order in which they go.

use std::collections::BTreeMap;

use seaworthy_template::yaml;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::origin;

const KEEP: &str = "helm.sh/resource-policy";

/// Kinds in the order in which Helm deletes them; others follow by name.
const UNINSTALL_ORDER: [&str; 38] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

/// One object as the chart wants it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub value: Value,
    /// `todo/templates/backend/deployment.yaml`, from the manifest's own comment.
    pub source_file: String,
    /// The line of the template, where the template is known.
    pub line: Option<usize>,
}

impl Object {
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    pub fn group(&self) -> &str {
        self.api_version().rsplit_once('/').map_or("", |(group, _)| group)
    }

    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// Empty when the cluster is to make one up.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
    }

    /// As people name it: `Deployment/backend`.
    pub fn title(&self) -> String {
        match self.name() {
            "" => format!(
                "{}/{}*",
                self.kind(),
                self.value["metadata"]["generateName"].as_str().unwrap_or_default()
            ),
            name => format!("{}/{name}", self.kind()),
        }
    }

    /// As Helm names what it left: `[Deployment] backend`.
    pub fn bracketed(&self) -> String {
        format!("[{}] {}", self.kind(), self.name())
    }

    /// `todo/templates/web.yaml:12`.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.source_file),
            None => self.source_file.clone(),
        }
    }

    /// Whether the chart wants it to stay when the release goes.
    pub fn is_kept(&self) -> bool {
        is_kept(&self.value["metadata"])
    }

    pub fn is_definition(&self) -> bool {
        self.kind() == "CustomResourceDefinition"
    }

    /// Whether both mean the same object of the cluster. The version of the API does not matter.
    pub fn is_same(&self, other: &Object) -> bool {
        (self.kind(), self.name(), self.namespace(), self.group())
            == (other.kind(), other.name(), other.namespace(), other.group())
    }
}

/// Whether annotations say that the object stays.
pub(crate) fn is_kept(metadata: &Value) -> bool {
    let policy = metadata["annotations"][KEEP].as_str().unwrap_or_default();
    policy.trim().eq_ignore_ascii_case("keep")
}

/// Objects in the order of the manifest, which is the order in which Helm installs them.
pub(crate) fn objects(release: &str, manifest: &str) -> Result<Vec<Object>> {
    let broken = |reason: String| Error::Manifest { release: release.to_owned(), reason };
    let mut objects = Vec::new();
    let mut source_file = String::new();
    for document in yaml::split_documents(manifest) {
        // A post-renderer may have taken the comments away.
        if let Some(named) = document.lines().find_map(|line| line.strip_prefix("# Source: ")) {
            source_file = named.trim().to_owned();
        }
        let value = yaml::read(&document).map_err(|error| broken(format!("{source_file}: {error}")))?;
        if value.is_null() {
            continue;
        }
        for value in flattened(value) {
            let object = Object { value, source_file: source_file.clone(), line: None };
            let is_named = !object.name().is_empty() || object.value["metadata"]["generateName"].is_string();
            if object.kind().is_empty() || !is_named || object.api_version().is_empty() {
                return Err(broken(format!(
                    "{}: an object needs `apiVersion`, `kind` and `metadata.name`",
                    object.source_file
                )));
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

/// The items of a `List`, which is how some charts write several objects as one.
fn flattened(value: Value) -> Vec<Value> {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value["items"].as_array() {
        Some(items) if is_list => items.clone(),
        _ => vec![value],
    }
}

/// The same, each with its line, for whoever has the templates.
pub(crate) fn placed(
    release: &str,
    manifest: &str,
    templates: &BTreeMap<String, String>,
) -> Result<Vec<Object>> {
    let mut objects = objects(release, manifest)?;
    origin::find_lines(&mut objects, templates);
    Ok(objects)
}

/// What `old` had and `new` has no more, in the order in which it goes. What is to be kept stays.
pub(crate) fn gone<'a>(old: &'a [Object], new: &[Object]) -> Vec<&'a Object> {
    let mut gone: Vec<&Object> =
        old.iter().filter(|object| !new.iter().any(|kept| kept.is_same(object))).collect();
    gone.retain(|object| !object.is_kept());
    gone.sort_by(|a, b| rank(a).cmp(&rank(b)));
    gone
}

/// Objects of custom kinds go before their definitions, which would take them along; the rest in Helm's order.
fn rank(object: &Object) -> (usize, &str) {
    match UNINSTALL_ORDER.iter().position(|kind| *kind == object.kind()) {
        Some(position) => (position + 1, ""),
        None if object.group().contains('.') && !object.group().ends_with(".k8s.io") => (0, object.kind()),
        None => (UNINSTALL_ORDER.len() + 1, object.kind()),
    }
}

/// The objects of several revisions, oldest first: what any of them may have left in the cluster, as the newest one
/// that names it wants it.
pub(crate) fn joined(revisions: impl IntoIterator<Item = Vec<Object>>) -> Vec<Object> {
    let mut all: Vec<Object> = Vec::new();
    for objects in revisions {
        for object in objects {
            match all.iter_mut().find(|known| known.is_same(&object)) {
                Some(known) => *known = object,
                None => all.push(object),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "---\n# Source: todo/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\n# Source: todo/templates/b.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name: b\n  annotations:\n    helm.sh/resource-policy: keep\n";

    fn of_kinds(kinds: &[(&str, &str)]) -> Vec<Object> {
        let value = |(api, kind): &(&str, &str)| serde_json::json!({ "apiVersion": api, "kind": kind, "metadata": { "name": "x" } });
        kinds
            .iter()
            .map(|kind| Object { value: value(kind), source_file: String::new(), line: None })
            .collect()
    }

    #[test]
    fn each_object_knows_its_template() {
        let objects = objects("todo", TWO).unwrap();
        let told: Vec<String> =
            objects.iter().map(|object| format!("{} {}", object.title(), object.source_file)).collect();
        assert_eq!(told, ["ConfigMap/a todo/templates/a.yaml", "Secret/b todo/templates/b.yaml"]);
    }

    #[test]
    fn what_left_the_manifest_goes_unless_it_is_to_be_kept() {
        let old = objects("todo", TWO).unwrap();
        let gone = gone(&old, &[]);
        assert_eq!(gone.iter().map(|object| object.name()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn objects_go_in_helms_order_but_custom_ones_before_their_definition() {
        let old = of_kinds(&[
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("v1", "ConfigMap"),
            ("example.com/v1", "Mooring"),
            ("apps/v1", "Deployment"),
            ("v1", "Service"),
        ]);
        let kinds: Vec<&str> = gone(&old, &[]).iter().map(|object| object.kind()).collect();
        assert_eq!(kinds, ["Mooring", "Service", "Deployment", "CustomResourceDefinition", "ConfigMap"]);
    }

    #[test]
    fn the_newest_revision_says_how_an_object_was_wanted() {
        let mut newer = of_kinds(&[("v1", "ConfigMap")]);
        newer[0].value["data"] = serde_json::json!({ "a": "2" });
        let all = joined([of_kinds(&[("v1", "ConfigMap"), ("v1", "Secret")]), newer]);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].value["data"]["a"], "2");
    }

    #[test]
    fn a_list_is_its_items() {
        let list =
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n";
        assert_eq!(objects("todo", list).unwrap()[0].title(), "Secret/a");
    }

    #[test]
    fn an_object_without_a_name_is_refused_with_its_place() {
        let error = objects("todo", "---\n# Source: x.yaml\nkind: A\n").unwrap_err();
        assert!(error.to_string().contains("x.yaml: an object needs"), "{error}");
    }
}
