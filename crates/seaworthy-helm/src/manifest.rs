//! Rendered files to manifests and hooks: splitting, ordering, annotations. Pure.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use seaworthy_template::yaml;

use crate::metadata::scalar_text;

/// Kinds in the order in which they are created.
pub const INSTALL_ORDER: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Where a kind stands in an order: known kinds first, unknown ones after them by name.
fn rank<'k>(order: &[&str], kind: &'k str) -> (usize, &'k str) {
    match order.iter().position(|known| *known == kind) {
        Some(position) => (position, ""),
        None => (order.len(), kind),
    }
}

/// One document of a rendered file.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The template it came from, for example `todo/templates/backend/deployment.yaml`.
    pub source: String,
    /// The text as rendered.
    pub yaml: String,
    /// The parsed object; `null` when the document holds only comments.
    pub object: Json,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookEvent {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    Test,
}

impl HookEvent {
    /// As annotations and stored releases write it.
    pub fn as_str(self) -> &'static str {
        match self {
            HookEvent::PreInstall => "pre-install",
            HookEvent::PostInstall => "post-install",
            HookEvent::PreDelete => "pre-delete",
            HookEvent::PostDelete => "post-delete",
            HookEvent::PreUpgrade => "pre-upgrade",
            HookEvent::PostUpgrade => "post-upgrade",
            HookEvent::PreRollback => "pre-rollback",
            HookEvent::PostRollback => "post-rollback",
            HookEvent::Test => "test",
        }
    }

    /// Reads an annotation's word; `test-success` is Helm 2's name for a test.
    pub fn parse(word: &str) -> Option<HookEvent> {
        use HookEvent::*;
        if word == "test-success" {
            return Some(Test);
        }
        let all = [
            PreInstall,
            PostInstall,
            PreDelete,
            PostDelete,
            PreUpgrade,
            PostUpgrade,
            PreRollback,
            PostRollback,
            Test,
        ];
        all.into_iter().find(|event| event.as_str() == word)
    }
}

/// An object that runs at an event instead of belonging to the release.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub name: String,
    pub kind: String,
    pub manifest: Manifest,
    pub events: Vec<HookEvent>,
    pub weight: i64,
    /// `before-hook-creation`, `hook-succeeded`, `hook-failed`, as written.
    pub delete_policies: Vec<String>,
    pub output_log_policies: Vec<String>,
}

/// Why rendered text is not a set of objects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("YAML parse error on {file}")]
    Yaml { file: String, source: yaml::Error },
    #[error(
        "YAML parse error on {file}: error unmarshaling JSON: while decoding JSON: \
         json: cannot unmarshal {found} into Go value of type util.SimpleHead"
    )]
    NotAnObject { file: String, found: &'static str },
    #[error("`{file}`: annotation `{annotation}` must be a text")]
    Annotation { file: String, annotation: String },
}

/// Splits and orders the documents of all files, in install order.
pub fn sort(files: &BTreeMap<String, String>) -> Result<(Vec<Hook>, Vec<Manifest>), Error> {
    let (mut hooks, mut manifests) = (Vec::new(), Vec::new());
    for (file, text) in files {
        let partial = file.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
        if partial || text.trim().is_empty() {
            continue;
        }
        for document in split(text) {
            let source = |source| Error::Yaml { file: file.clone(), source };
            let object = yaml::read(&document).map_err(source)?;
            if !object.is_object() && !object.is_null() {
                return Err(Error::NotAnObject { file: file.clone(), found: json_kind(&object) });
            }
            let manifest = Manifest { source: file.clone(), yaml: document, object };
            let annotations = annotations(&manifest)?;
            match annotations.get("helm.sh/hook") {
                None => manifests.push(manifest),
                // A hook with an event nobody knows is left out altogether, as in Helm.
                Some(events) => hooks.extend(hook(events, &annotations, manifest)),
            }
        }
    }
    hooks.sort_by(|a: &Hook, b: &Hook| rank(&INSTALL_ORDER, &a.kind).cmp(&rank(&INSTALL_ORDER, &b.kind)));
    manifests.sort_by(|a, b| rank(&INSTALL_ORDER, a.kind()).cmp(&rank(&INSTALL_ORDER, b.kind())));
    Ok((hooks, manifests))
}

fn json_kind(value: &Json) -> &'static str {
    match value {
        Json::Array(_) => "array",
        Json::String(_) => "string",
        Json::Bool(_) => "bool",
        _ => "number",
    }
}

impl Manifest {
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// Parts between lines that begin with `---`, without leading blanks.
pub fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.trim_start().split_inclusive('\n') {
        let Some(rest) = line.strip_prefix("---") else {
            if let Some(part) = parts.last_mut() {
                part.push_str(line);
            }
            continue;
        };
        parts.push(rest.trim_start_matches([' ', '\t']).to_owned());
    }
    parts.iter().filter(|part| !part.trim().is_empty()).map(|part| part.trim_start().to_owned()).collect()
}

fn annotations(manifest: &Manifest) -> Result<BTreeMap<String, String>, Error> {
    let mut texts = BTreeMap::new();
    let Some(map) = manifest.object["metadata"]["annotations"].as_object() else { return Ok(texts) };
    for (name, value) in map {
        let text = scalar_text(value)
            .ok_or_else(|| Error::Annotation { file: manifest.source.clone(), annotation: name.clone() })?;
        texts.insert(name.clone(), text);
    }
    Ok(texts)
}

fn words(list: Option<&String>) -> Vec<String> {
    list.map(|list| list.split(',').map(|word| word.trim().to_lowercase()).collect()).unwrap_or_default()
}

fn hook(events: &str, annotations: &BTreeMap<String, String>, manifest: Manifest) -> Option<Hook> {
    let events = events
        .split(',')
        .map(|word| HookEvent::parse(&word.trim().to_lowercase()))
        .collect::<Option<Vec<_>>>()?;
    Some(Hook {
        name: manifest.name().to_owned(),
        kind: manifest.kind().to_owned(),
        events,
        weight: annotations.get("helm.sh/hook-weight").and_then(|weight| weight.parse().ok()).unwrap_or(0),
        delete_policies: words(annotations.get("helm.sh/hook-delete-policy")),
        output_log_policies: words(annotations.get("helm.sh/hook-output-log-policy")),
        manifest,
    })
}
