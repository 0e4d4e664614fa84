//! Which ReplicaSet is the current one, how revisions are numbered, and what history to keep. Pure.
//!
//! `kubectl rollout history` and `undo` read what is written here. Start at [`Sets::of`].

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Observed, proportion};
use crate::hash::short_hash;
use crate::owner;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that say nothing about its ReplicaSets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];
const DEFAULT_HISTORY: i32 = 10;

/// The ReplicaSets of a Deployment, oldest first, told apart by template.
pub struct Sets {
    pub new: Option<Arc<ReplicaSet>>,
    pub old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    pub fn of(observed: &Observed) -> Sets {
        let mut old = observed.sets.clone();
        old.sort_by_key(|set| (set.metadata.creation_timestamp.clone(), set.metadata.name.clone()));
        let current = observed.spec().and_then(|spec| {
            // Of several equal ones the oldest wins: a new twin must not start another rollout.
            old.iter().position(|set| has_template(set, &spec.template))
        });
        Sets { new: current.map(|index| old.remove(index)), old }
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(self.new.as_ref())
    }

    /// The revision that the current template has, or gets.
    pub fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0) + 1
    }
}

pub fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

pub fn number(metadata: &ObjectMeta, annotation: &str) -> Option<i32> {
    metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

fn revision(metadata: &ObjectMeta) -> i64 {
    let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether the set runs this template, apart from the hash label that we add.
pub fn has_template(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    let Some(own) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else { return false };
    without_hash(own) == without_hash(template)
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

/// The ReplicaSet for a template that has none yet.
pub fn new_set(observed: &Observed, sets: &Sets) -> Option<ReplicaSet> {
    let deployment = &observed.deployment;
    let spec = observed.spec()?;
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = short_hash(&spec.template, collisions);
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(TEMPLATE_HASH.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH.into(), hash.clone());
    let mut annotations = copied_annotations(deployment);
    annotations.insert(REVISION.into(), sets.next_revision().to_string());
    annotations.extend(proportion::size_annotations(spec));
    let metadata = ObjectMeta {
        name: Some(format!("{}-{hash}", deployment.metadata.name.as_deref().unwrap_or_default())),
        namespace: deployment.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![owner::reference(&**deployment)]),
        ..ObjectMeta::default()
    };
    let spec = ReplicaSetSpec {
        replicas: Some(proportion::new_set_size(observed, sets)),
        min_ready_seconds: spec.min_ready_seconds,
        selector,
        template: Some(template),
    };
    Some(ReplicaSet { metadata, spec: Some(spec), status: None })
}

fn copied_annotations(deployment: &Deployment) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !NOT_COPIED.contains(&name.as_str()));
    annotations
}

/// Annotations the current set lacks. A set that becomes current again (an undo) gets the next
/// revision and remembers its former one.
pub fn missing_annotations(observed: &Observed, sets: &Sets, set: &ReplicaSet) -> BTreeMap<String, String> {
    let has = set.metadata.annotations.clone().unwrap_or_default();
    let mut wanted = copied_annotations(&observed.deployment);
    let (now, next) = (revision(&set.metadata), sets.next_revision());
    if now < next {
        wanted.insert(REVISION.into(), next.to_string());
        if now > 0 {
            let former = has.get(REVISION_HISTORY).map(|history| format!("{history},")).unwrap_or_default();
            wanted.insert(REVISION_HISTORY.into(), format!("{former}{now}"));
        }
    }
    wanted.retain(|name, value| has.get(name) != Some(value));
    wanted
}

/// Old sets beyond `revisionHistoryLimit`, oldest revisions first; only such as run nothing.
pub fn beyond_history(observed: &Observed, sets: &Sets) -> Vec<Arc<ReplicaSet>> {
    let limit = observed.spec().and_then(|spec| spec.revision_history_limit).unwrap_or(DEFAULT_HISTORY);
    let mut old: Vec<_> = sets.old.iter().filter(|set| !owner::is_deleting(&set.metadata)).cloned().collect();
    old.sort_by_key(|set| Reverse(revision(&set.metadata)));
    let kept = usize::try_from(limit).unwrap_or(0).min(old.len());
    old.drain(..kept);
    old.retain(|set| replicas(set) == 0 && set.status.as_ref().is_none_or(|status| status.replicas == 0));
    old.reverse();
    old
}
