//! Who owns whom: controller references, and claiming children by label.
//!
//! Start at [`sort_children`], which decides what a controller owns, adopts and lets go.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use serde_json::json;

use crate::cache::Meta;
use crate::key::Key;
use crate::kind::{Kind, Object, WriteError};
use crate::queue::Queue;
use crate::selector;

/// The owner that manages this object, if any.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller_of(metadata).is_some_and(|owner| owner.uid == uid)
}

/// The reference a child carries to its managing owner.
pub fn reference<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: uid(owner.meta()).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

pub fn uid(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

pub fn is_deleting(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some()
}

/// Candidates for children, told apart.
#[derive(Debug)]
pub struct Children<C> {
    pub own: Vec<Arc<C>>,
    /// Matching, and managed by nobody.
    pub adopt: Vec<Arc<C>>,
    /// Ours, but no longer matching.
    pub release: Vec<Arc<C>>,
}

pub fn sort_children<C: Meta>(
    owner: &ObjectMeta,
    labels: &LabelSelector,
    candidates: impl IntoIterator<Item = Arc<C>>,
) -> Children<C> {
    let mut children = Children { own: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    for candidate in candidates {
        let meta = candidate.meta();
        let matches = selector::matches(labels, meta.labels.as_ref());
        match controller_of(meta) {
            Some(reference) if reference.uid == uid(owner) => {
                let list = if matches { &mut children.own } else { &mut children.release };
                list.push(candidate);
            }
            None if matches && !is_deleting(meta) && !is_deleting(owner) => children.adopt.push(candidate),
            _ => {}
        }
    }
    children
}

/// Takes in and lets go of children, and returns all that are owned afterwards.
pub async fn claim<P: Object, C: Object>(
    parent: &P,
    kind: &Kind<C>,
    children: Children<C>,
) -> Result<Vec<Arc<C>>, WriteError> {
    let mut own = children.own;
    for child in children.adopt {
        let mut owners = child.meta().owner_references.clone().unwrap_or_default();
        owners.push(reference(parent));
        own.push(set_owners(kind, &child, owners).await?);
    }
    for child in children.release {
        if is_deleting(child.meta()) {
            continue;
        }
        let mut owners = child.meta().owner_references.clone().unwrap_or_default();
        owners.retain(|owner| owner.uid != uid(parent.meta()));
        set_owners(kind, &child, owners).await?;
    }
    Ok(own)
}

async fn set_owners<C: Object>(
    kind: &Kind<C>,
    child: &C,
    owners: Vec<OwnerReference>,
) -> Result<Arc<C>, WriteError> {
    let meta = child.meta();
    let patch = json!({ "metadata": { "uid": meta.uid, "ownerReferences": owners } });
    kind.patch(&Key::of(meta), patch).await
}

/// Wakes the managing owner of a changed child when it is a `kind`.
pub fn wake_owner<C: Meta>(queue: &Queue, kind: &str, old: Option<&Arc<C>>, new: Option<&Arc<C>>) {
    for meta in [old, new].into_iter().flatten().map(|child| child.meta()) {
        if let Some(owner) = controller_of(meta).filter(|owner| owner.kind == kind) {
            queue.add(Key::new(meta.namespace.clone().unwrap_or_default(), &owner.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    /// `pods`: `name:label:owner`, any part may be empty.
    #[track_caller]
    fn check(pods: &str, expect: &str) {
        let owner = ObjectMeta { uid: Some("me".into()), ..Default::default() };
        let labels = LabelSelector {
            match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
            ..Default::default()
        };
        let children = sort_children(&owner, &labels, pods.split(' ').map(|pod| Arc::new(parse(pod))));
        let names = |pods: &[Arc<Pod>]| {
            pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>().join(",")
        };
        let seen = format!(
            "own {} adopt {} release {}",
            names(&children.own),
            names(&children.adopt),
            names(&children.release)
        );
        assert_eq!(seen, expect);
    }

    fn parse(text: &str) -> Pod {
        let parts: Vec<&str> = text.split(':').collect();
        let owner = OwnerReference { uid: parts[2].into(), controller: Some(true), ..Default::default() };
        let metadata = ObjectMeta {
            name: Some(parts[0].into()),
            labels: Some([("app".to_owned(), parts[1].to_owned())].into()),
            owner_references: (!parts[2].is_empty()).then(|| vec![owner]),
            ..Default::default()
        };
        Pod { metadata, ..Default::default() }
    }

    #[test]
    fn a_matching_pod_without_owner_is_adopted() {
        check("a:web: b:web:me", "own b adopt a release ");
    }

    #[test]
    fn a_pod_whose_labels_moved_away_is_released() {
        check("a:other:me b:other:", "own  adopt  release a");
    }

    #[test]
    fn a_pod_of_somebody_else_is_left_alone() {
        check("a:web:you", "own  adopt  release ");
    }
}
