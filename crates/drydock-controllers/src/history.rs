//! The history of a pod template as ControllerRevisions, for the kinds whose `kubectl rollout` reads them.
//!
//! Shared by StatefulSet and DaemonSet. Start at [`History::of`].

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use crate::cx::Cx;
use crate::hash::short_hash;
use crate::key::Key;
use crate::kind::{Object, WriteError};
use crate::owner;

/// How many old revisions are kept when nothing else is said.
const KEPT: i32 = 10;

/// The revisions of one owner, oldest first.
#[derive(Debug, Default)]
pub struct History {
    pub revisions: Vec<Arc<ControllerRevision>>,
}

impl History {
    pub fn of<P: Object>(cx: &Cx, owner: &P) -> History {
        let mut revisions = cx.kinds.revisions.cache.in_namespace(&Key::of(owner.meta()).namespace);
        revisions.retain(|revision| owner::is_controlled_by(&revision.metadata, owner::uid(owner.meta())));
        revisions.sort_by_key(|revision| (revision.revision, revision.metadata.name.clone()));
        History { revisions }
    }

    fn newest(&self) -> i64 {
        self.revisions.last().map_or(0, |revision| revision.revision)
    }

    /// Makes sure the present template has a revision, and that it is the newest one. `hash_label` carries its hash.
    pub async fn keep<P: Object>(
        &self,
        cx: &Cx,
        owner: &P,
        template: &PodTemplateSpec,
        hash_label: &str,
        collisions: i32,
    ) -> Result<Arc<ControllerRevision>, WriteError> {
        let wanted = self.next(owner, template, hash_label, collisions);
        match self.revisions.iter().rev().find(|known| same(known, &wanted)) {
            Some(known) if known.revision == self.newest() => Ok(known.clone()),
            Some(known) => {
                // A rollback: an old revision becomes the newest again.
                let key = Key::of(&known.metadata);
                cx.kinds.revisions.patch(&key, json!({ "revision": wanted.revision })).await
            }
            None => match cx.kinds.revisions.create(&wanted).await {
                Err(error) if error.is_already_exists() => {
                    let there = cx.kinds.revisions.fetch(&Key::of(&wanted.metadata)).await?;
                    there.map(Arc::new).ok_or(error)
                }
                other => other,
            },
        }
    }

    /// A revision for the template, numbered after all known ones.
    fn next<P: Object>(
        &self,
        owner: &P,
        template: &PodTemplateSpec,
        hash_label: &str,
        collisions: i32,
    ) -> ControllerRevision {
        let hash = short_hash(template, collisions);
        let mut labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
        labels.insert(hash_label.to_owned(), hash.clone());
        let key = Key::of(owner.meta());
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", key.name)),
                namespace: Some(key.namespace),
                labels: Some(labels),
                annotations: owner.meta().annotations.clone(),
                owner_references: Some(vec![owner::reference(owner)]),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(data(template))),
            revision: self.newest() + 1,
        }
    }

    /// Old revisions beyond the limit that nothing in `live` names, oldest first.
    pub fn surplus(&self, limit: Option<i32>, live: &HashSet<String>) -> Vec<Arc<ControllerRevision>> {
        let is_live = |revision: &Arc<ControllerRevision>| live.contains(name_of(revision));
        let old: Vec<_> = self.revisions.iter().filter(|revision| !is_live(revision)).cloned().collect();
        let surplus = old.len().saturating_sub(usize::try_from(limit.unwrap_or(KEPT)).unwrap_or(0));
        old[..surplus].to_vec()
    }
}

pub fn name_of(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

/// The template that a revision holds.
pub fn template_in(revision: &ControllerRevision) -> Result<PodTemplateSpec, serde_json::Error> {
    let data = revision.data.as_ref().map(|data| data.0.clone()).unwrap_or_default();
    serde_json::from_value(data["spec"]["template"].clone())
}

/// The form that `kubectl rollout undo` applies as a strategic merge patch.
fn data(template: &PodTemplateSpec) -> Value {
    // Serialising our own typed structs cannot fail.
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = json!("replace");
    json!({ "spec": { "template": template } })
}

fn same(a: &ControllerRevision, b: &ControllerRevision) -> bool {
    match (template_in(a), template_in(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
