//! What a claim needs next. Pure: start at [`plan`].

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{BIND_COMPLETED, IN_USE, IS_DEFAULT, Observed, PROVISIONER, is_living};
use crate::owner::{self, is_deleting};
use crate::quantity::milli;
use crate::selector;

#[derive(Debug, PartialEq)]
pub enum Plan {
    Nothing,
    /// Being deleted, and no pod uses it any more.
    Release,
    /// It names no class: take the default one.
    UseClass(String),
    Provision(Arc<StorageClass>),
    Bind(Arc<PersistentVolume>),
    Wait {
        reason: &'static str,
        message: String,
        warn: bool,
    },
    Lost,
}

pub fn plan(observed: &Observed) -> Plan {
    let claim = &observed.claim;
    if is_deleting(&claim.metadata) {
        let held = claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == IN_USE);
        return if held && !observed.in_use { Plan::Release } else { Plan::Nothing };
    }
    let Some(spec) = &claim.spec else { return Plan::Nothing };
    if let Some(name) = spec.volume_name.as_deref().filter(|name| !name.is_empty()) {
        return plan_named(observed, name);
    }
    if let Some(volume) = best_volume(observed, spec) {
        return Plan::Bind(volume.clone());
    }
    plan_new(observed, spec)
}

pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

pub fn is_claimed_by(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|reference| reference.uid.as_deref() == Some(owner::uid(&claim.metadata)))
}

/// The name of the volume made for a claim: the same however often it is tried.
pub fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", owner::uid(&claim.metadata))
}

/// The claim says which volume it wants, or has.
fn plan_named(observed: &Observed, name: &str) -> Plan {
    let claim = &observed.claim;
    let volume = observed.volumes.iter().find(|volume| volume.metadata.name.as_deref() == Some(name));
    let completed = claim.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(BIND_COMPLETED));
    match volume {
        None if completed => Plan::Lost,
        None => wait("FailedBinding", format!("volume {name:?} not found"), true),
        Some(volume) if is_claimed_by(volume, claim) => {
            if is_bound(claim) && completed {
                Plan::Nothing
            } else {
                Plan::Bind(volume.clone())
            }
        }
        Some(volume) if is_reserved_for(volume, claim) || is_free(volume) => Plan::Bind(volume.clone()),
        Some(_) if completed => Plan::Lost,
        Some(_) => {
            wait("FailedBinding", format!("volume {name:?} already bound to a different claim."), true)
        }
    }
}

/// The smallest free volume that is good enough; one reserved for this claim comes first.
fn best_volume<'a>(
    observed: &'a Observed,
    spec: &PersistentVolumeClaimSpec,
) -> Option<&'a Arc<PersistentVolume>> {
    let claim = &observed.claim;
    let living = observed.volumes.iter().filter(|volume| is_living(&volume.metadata));
    let mut fitting: Vec<_> = living
        .filter(|volume| {
            is_claimed_by(volume, claim)
                || is_reserved_for(volume, claim)
                || (is_free(volume) && is_good_enough(volume, spec))
        })
        .collect();
    fitting.sort_by_key(|volume| (is_free(volume), capacity(volume)));
    fitting.first().copied()
}

fn is_free(volume: &PersistentVolume) -> bool {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Available");
    let unclaimed = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none());
    unclaimed && matches!(phase, "Available" | "Pending")
}

/// Set aside by a person for a claim of this name, whichever uid it gets.
fn is_reserved_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    reference.uid.as_deref().unwrap_or_default().is_empty()
        && reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
}

fn is_good_enough(volume: &PersistentVolume, wanted: &PersistentVolumeClaimSpec) -> bool {
    let Some(spec) = &volume.spec else { return false };
    let class = |name: &Option<String>| name.clone().unwrap_or_default();
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".into());
    let modes = spec.access_modes.clone().unwrap_or_default();
    let asked = wanted.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    class(&spec.storage_class_name) == class(&wanted.storage_class_name)
        && mode(&spec.volume_mode) == mode(&wanted.volume_mode)
        && wanted.access_modes.iter().flatten().all(|wanted| modes.contains(wanted))
        && asked.and_then(milli).unwrap_or(0) <= capacity(volume)
        && wanted.selector.as_ref().is_none_or(|s| selector::matches(s, volume.metadata.labels.as_ref()))
}

fn capacity(volume: &PersistentVolume) -> i128 {
    let storage = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    storage.and_then(|quantity: &Quantity| milli(quantity)).unwrap_or(0)
}

/// No volume fits: make one if the class is ours.
fn plan_new(observed: &Observed, spec: &PersistentVolumeClaimSpec) -> Plan {
    let none = "no persistent volumes available for this claim and no storage class is set";
    let Some(name) = &spec.storage_class_name else {
        let default = observed.classes.iter().filter(|class| is_default(class));
        // Of several defaults the newest counts, as upstream has it.
        let newest = default.max_by_key(|class| class.metadata.creation_timestamp.clone());
        return match newest.and_then(|class| class.metadata.name.clone()) {
            Some(name) => Plan::UseClass(name),
            None => wait("FailedBinding", none.into(), false),
        };
    };
    if name.is_empty() {
        return wait("FailedBinding", none.into(), false);
    }
    let Some(class) = observed.classes.iter().find(|class| class.metadata.name.as_ref() == Some(name)) else {
        return wait("ProvisioningFailed", format!("storageclass.storage.k8s.io {name:?} not found"), true);
    };
    if class.provisioner == PROVISIONER {
        return Plan::Provision(class.clone());
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system administrator.",
        class.provisioner
    );
    wait("ExternalProvisioning", message, false)
}

fn is_default(class: &StorageClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(IS_DEFAULT)).is_some_and(|value| value == "true")
}

fn wait(reason: &'static str, message: String, warn: bool) -> Plan {
    Plan::Wait { reason, message, warn }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn class(name: &str, provisioner: &str) -> Arc<StorageClass> {
        let annotations = json!({ IS_DEFAULT: "true" });
        let metadata = json!({ "name": name, "annotations": annotations });
        Arc::new(serde_json::from_value(json!({ "metadata": metadata, "provisioner": provisioner })).unwrap())
    }

    /// `volumes`: `name=GiB`, and `name=GiB@uid` when claimed.
    fn volume(text: &str) -> Arc<PersistentVolume> {
        let (text, uid) = text.split_once('@').unwrap_or((text, ""));
        let (name, size) = text.split_once('=').unwrap();
        let mut volume = json!({
            "metadata": { "name": name },
            "spec": {
                "capacity": { "storage": format!("{size}Gi") }, "accessModes": ["ReadWriteOnce"],
                "storageClassName": "standard",
            },
        });
        if !uid.is_empty() {
            volume["spec"]["claimRef"] = json!({ "uid": uid });
        }
        Arc::new(serde_json::from_value(volume).unwrap())
    }

    #[track_caller]
    fn check(spec: Value, provisioner: &str, volumes: &str, expect: &str) {
        let mut claim = json!({
            "metadata": { "name": "data", "namespace": "ns", "uid": "c" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "5Gi" } } },
        });
        claim["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let observed = Observed {
            claim: Arc::new(serde_json::from_value(claim).unwrap()),
            volumes: volumes.split_whitespace().map(volume).collect(),
            classes: vec![class("standard", provisioner)],
            in_use: false,
        };
        let seen = match plan(&observed) {
            Plan::UseClass(name) => format!("class {name}"),
            Plan::Provision(class) => format!("provision {}", class.metadata.name.clone().unwrap()),
            Plan::Bind(volume) => format!("bind {}", volume.metadata.name.clone().unwrap()),
            Plan::Wait { reason, .. } => format!("wait {reason}"),
            other => format!("{other:?}"),
        };
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_claim_without_class_gets_the_default_one() {
        check(json!({}), PROVISIONER, "", "class standard");
    }

    #[test]
    fn a_claim_of_our_class_gets_a_new_volume() {
        check(json!({ "storageClassName": "standard" }), PROVISIONER, "", "provision standard");
    }

    #[test]
    fn the_smallest_volume_that_is_large_enough_is_taken() {
        check(json!({ "storageClassName": "standard" }), PROVISIONER, "a=20 b=10 c=1", "bind b");
    }

    #[test]
    fn a_volume_made_for_the_claim_earlier_is_found_again() {
        check(json!({ "storageClassName": "standard" }), PROVISIONER, "a=10 b=5@c", "bind b");
    }

    #[test]
    fn an_empty_class_never_provisions() {
        check(json!({ "storageClassName": "" }), PROVISIONER, "", "wait FailedBinding");
    }

    #[test]
    fn a_foreign_provisioner_is_waited_for() {
        check(json!({ "storageClassName": "standard" }), "example.com/nfs", "", "wait ExternalProvisioning");
    }

    #[test]
    fn an_unknown_class_is_named() {
        check(json!({ "storageClassName": "fast" }), PROVISIONER, "", "wait ProvisioningFailed");
    }

    #[test]
    fn a_volume_of_another_claim_is_not_taken() {
        check(json!({ "volumeName": "a" }), PROVISIONER, "a=10@other", "wait FailedBinding");
    }
}
