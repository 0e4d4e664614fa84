//! When claims go with the set or with a pod that was scaled away. Pure.
//!
//! The default keeps them. Deleting is left to the garbage collector: a claim that shall go gets
//! an owner, one that shall stay loses it. Start at [`changes`].

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::Observed;
use super::identity::{claim_ordinal, ordinal};
use super::plan::wanted;
use crate::owner;

#[derive(Debug)]
pub struct Change {
    pub claim: Arc<PersistentVolumeClaim>,
    pub owners: Vec<OwnerReference>,
}

pub fn changes(observed: &Observed, claims: &[Arc<PersistentVolumeClaim>]) -> Vec<Change> {
    let policy = observed.spec().persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    let deletes = |policy: Option<&str>| policy == Some("Delete");
    let when_deleted = deletes(policy.when_deleted.as_deref());
    let when_scaled = deletes(policy.when_scaled.as_deref());
    let change = |claim: &Arc<PersistentVolumeClaim>| {
        let number = claim_ordinal(&observed.set, claim)?;
        let scaled_away = !wanted(observed).contains(&number);
        let pod = observed.pods.iter().find(|pod| ordinal(&observed.set, pod) == Some(number));
        let mut wanted = Vec::new();
        if when_deleted && !(when_scaled && scaled_away) {
            wanted.push(not_managing(owner::reference(&*observed.set)));
        }
        if let (true, true, Some(pod)) = (when_scaled, scaled_away, pod) {
            wanted.push(not_managing(owner::reference(&**pod)));
        }
        let has = claim.metadata.owner_references.clone().unwrap_or_default();
        let is_ours = |reference: &OwnerReference| matches!(reference.kind.as_str(), "StatefulSet" | "Pod");
        // A claim whose pod is gone keeps the reference that is about to collect it.
        if when_scaled && scaled_away && pod.is_none() {
            return None;
        }
        let mut owners: Vec<_> = has.iter().filter(|reference| !is_ours(reference)).cloned().collect();
        owners.extend(wanted);
        (owners != has).then(|| Change { claim: claim.clone(), owners })
    };
    claims.iter().filter_map(change).collect()
}

/// Claims are not managed by what they go with.
fn not_managing(reference: OwnerReference) -> OwnerReference {
    OwnerReference { controller: None, block_owner_deletion: None, ..reference }
}
