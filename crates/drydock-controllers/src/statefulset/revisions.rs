//! The history of a StatefulSet's template, as `kubectl rollout history` and `undo` read it. Pure.
//!
//! Start at [`Revisions`].

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use super::plan::{first_ordinal, revision_of};
use super::{Error, Observed};
use crate::hash::short_hash;
use crate::owner;

const HASH_LABEL: &str = "controller.kubernetes.io/hash";
const DEFAULT_HISTORY: i32 = 10;

/// The revision all pods came from, and the one they are going to.
pub struct Revisions {
    pub current: Arc<ControllerRevision>,
    pub update: Arc<ControllerRevision>,
}

impl Revisions {
    pub fn new(observed: &Observed, update: Arc<ControllerRevision>) -> Revisions {
        let name = observed.set.status.as_ref().and_then(|status| status.current_revision.as_ref());
        let current = observed.revisions.iter().find(|revision| revision.metadata.name.as_ref() == name);
        Revisions { current: current.filter(|_| name.is_some()).unwrap_or(&update).clone(), update }
    }

    pub fn update_name(&self) -> String {
        self.update.metadata.name.clone().unwrap_or_default()
    }

    pub fn current_name(&self) -> String {
        self.current.metadata.name.clone().unwrap_or_default()
    }

    /// Name and template of the revision that a new pod of this ordinal gets. Below the partition,
    /// and while an update has not reached it, a pod comes back as it was.
    pub fn template_for(
        &self,
        observed: &Observed,
        ordinal: i32,
    ) -> Result<(String, PodTemplateSpec), Error> {
        if self.update_name() == self.current_name() || !self.stays_current(observed, ordinal) {
            return Ok((self.update_name(), observed.spec().template.clone()));
        }
        let name = self.current_name();
        match template_in(&self.current) {
            Ok(template) => Ok((name, template)),
            Err(source) => Err(Error::BadRevision { name, source }),
        }
    }

    fn stays_current(&self, observed: &Observed, ordinal: i32) -> bool {
        let strategy = observed.spec().update_strategy.clone().unwrap_or_default();
        if strategy.type_.as_deref() == Some("OnDelete") {
            return false;
        }
        let partition = strategy.rolling_update.and_then(|rolling| rolling.partition);
        let still_current =
            observed.set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
        ordinal
            < first_ordinal(observed).saturating_add(partition.filter(|p| *p > 0).unwrap_or(still_current))
    }
}

/// A revision for the present template, numbered after all known ones.
pub fn of_template(observed: &Observed) -> ControllerRevision {
    let set: &StatefulSet = &observed.set;
    let template = &observed.spec().template;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = short_hash(template, collisions);
    let mut labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.insert(HASH_LABEL.into(), hash.clone());
    let newest = observed.revisions.iter().map(|revision| revision.revision).max().unwrap_or(0);
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", set.metadata.name.as_deref().unwrap_or_default())),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![owner::reference(set)]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data(template))),
        revision: newest + 1,
    }
}

/// The form that `kubectl rollout undo` applies as a strategic merge patch.
fn data(template: &PodTemplateSpec) -> Value {
    // Serialising our own typed structs cannot fail.
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = json!("replace");
    json!({ "spec": { "template": template } })
}

fn template_in(revision: &ControllerRevision) -> Result<PodTemplateSpec, serde_json::Error> {
    let data = revision.data.as_ref().map(|data| data.0.clone()).unwrap_or_default();
    serde_json::from_value(data["spec"]["template"].clone())
}

pub fn same(a: &ControllerRevision, b: &ControllerRevision) -> bool {
    match (template_in(a), template_in(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// Old revisions beyond the limit that neither the set nor a pod refers to, oldest first.
pub fn beyond_history(observed: &Observed, revisions: &Revisions) -> Vec<Arc<ControllerRevision>> {
    let limit = observed.spec().revision_history_limit.unwrap_or(DEFAULT_HISTORY);
    let mut live: HashSet<String> =
        observed.pods.iter().filter_map(|pod| revision_of(pod).cloned()).collect();
    live.extend([revisions.update_name(), revisions.current_name()]);
    let is_live = |revision: &Arc<ControllerRevision>| {
        live.contains(revision.metadata.name.as_deref().unwrap_or_default())
    };
    let history: Vec<_> = observed.revisions.iter().filter(|revision| !is_live(revision)).cloned().collect();
    let surplus = history.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    history[..surplus].to_vec()
}
