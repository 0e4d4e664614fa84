//! Binds PersistentVolumeClaims to volumes, and makes local volumes for the default class.
//!
//! Reads: PersistentVolumeClaim, PersistentVolume, StorageClass, Pod. Writes: claims (class, volume,
//! finalizer, status), volumes (create, claim reference, status, delete), directories through the
//! configured host. A claim in use by a pod is kept until the pod is gone; data is removed only
//! after its claim is gone and only when the reclaim policy says `Delete`.
//!
//! Start at [`reconcile`] for claims and [`volume::reconcile`] for volumes; [`plan`] is pure.

mod plan;
pub mod volume;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimStatus, PersistentVolumeSpec, Pod,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use self::plan::{Plan, plan};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, is_deleting};
use crate::pods;
use crate::queue::Queue;
use crate::scheduler::claim_names;
use crate::watches::Watches;

const NAME: &str = "persistentvolume-controller";
/// Makes volumes as directories of this machine.
pub const PROVISIONER: &str = "drydock.seaworthy.dev/local";
const STANDARD: &str = "standard";
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
pub const IN_USE: &str = "kubernetes.io/pvc-protection";
const BOUND_BY_US: &str = "pv.kubernetes.io/bound-by-controller";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 4,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.claims);
    watches.on(&kinds.volumes, |cx, queue, _, new| wake_unbound(cx, queue, new.is_some()));
    watches.on(&kinds.storage_classes, |cx, queue, _, new| wake_unbound(cx, queue, new.is_some()));
    watches.on(&kinds.pods, |_, queue, old, new| {
        // A claim that waits to be deleted may go when its last user has.
        let ended = new.is_none_or(|pod| pods::is_finished(pod));
        if let Some(pod) = old.filter(|_| ended) {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            claim_names(pod).for_each(|name| queue.add(Key::new(namespace.clone(), name)));
        }
    });
}

/// What a claim waits for may have come.
fn wake_unbound(cx: &Cx, queue: &Queue, has_come: bool) {
    let claims = if has_come { cx.kinds.claims.cache.all() } else { Vec::new() };
    let unbound = claims.iter().filter(|claim| !plan::is_bound(claim));
    unbound.for_each(|claim| queue.add(Key::of(&claim.metadata)));
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot {verb} the directory of volume `{volume}`")]
    Directory {
        verb: &'static str,
        volume: String,
        #[source]
        source: std::io::Error,
    },
}

/// One claim with everything it could be bound to.
pub struct Observed {
    pub claim: Arc<PersistentVolumeClaim>,
    pub volumes: Vec<Arc<PersistentVolume>>,
    pub classes: Vec<Arc<StorageClass>>,
    /// A pod that has not ended mounts it.
    pub in_use: bool,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, Error> {
    let Some(observed) = observe(cx, key) else { return Ok(Next::WaitForChange) };
    act(cx, &observed, plan(&observed)).await?;
    Ok(Next::WaitForChange)
}

fn observe(cx: &Cx, key: &Key) -> Option<Observed> {
    let claim = cx.kinds.claims.get(key)?;
    let pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    let uses = |pod: &Arc<Pod>| !pods::is_finished(pod) && claim_names(pod).any(|name| name == key.name);
    Some(Observed {
        in_use: pods.iter().any(uses),
        claim,
        volumes: cx.kinds.volumes.cache.all(),
        classes: cx.kinds.storage_classes.cache.all(),
    })
}

async fn act(cx: &Cx, observed: &Observed, plan: Plan) -> Result<(), Error> {
    let claim = &observed.claim;
    let key = Key::of(&claim.metadata);
    match plan {
        Plan::Nothing => Ok(()),
        Plan::Release => {
            let mut kept = claim.metadata.finalizers.clone().unwrap_or_default();
            kept.retain(|finalizer| finalizer != IN_USE);
            let metadata = json!({ "resourceVersion": claim.metadata.resource_version, "finalizers": kept });
            cx.kinds.claims.patch(&key, json!({ "metadata": metadata })).await?;
            Ok(())
        }
        Plan::UseClass(class) => {
            cx.kinds.claims.patch(&key, json!({ "spec": { "storageClassName": class } })).await?;
            Ok(())
        }
        Plan::Provision(class) => {
            let volume = provision(cx, claim, &class).await?;
            bind(cx, claim, &volume).await
        }
        Plan::Bind(volume) => bind(cx, claim, &volume).await,
        Plan::Wait { reason, message, warn } => {
            if warn {
                cx.recorder.warning(NAME, &**claim, reason, message);
            } else {
                cx.recorder.normal(NAME, &**claim, reason, message);
            }
            write_phase(cx, claim, "Pending").await
        }
        Plan::Lost => {
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            cx.recorder.warning(NAME, &**claim, "ClaimLost", message.into());
            write_phase(cx, claim, "Lost").await
        }
    }
}

async fn provision(
    cx: &Cx,
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
) -> Result<Arc<PersistentVolume>, Error> {
    let name = plan::volume_name(claim);
    if let Some(there) = cx.kinds.volumes.get(&Key::cluster(&name)) {
        return Ok(there);
    }
    let made = cx.config.volumes.create(name.clone()).await;
    let path = made.map_err(|source| {
        let message = format!("failed to provision volume: {source}");
        cx.recorder.warning(NAME, claim, "ProvisioningFailed", message);
        Error::Directory { verb: "make", volume: name.clone(), source }
    })?;
    let volume = volume_for(claim, class, name.clone(), path.to_string_lossy().into_owned());
    let created = match cx.kinds.volumes.create(&volume).await {
        Err(error) if error.is_already_exists() => {
            let there = cx.kinds.volumes.fetch(&Key::cluster(&name)).await?;
            there.map(Arc::new).ok_or(error)?
        }
        other => other?,
    };
    let message = format!("Successfully provisioned volume {name}");
    cx.recorder.normal(PROVISIONER, claim, "ProvisioningSucceeded", message);
    Ok(created)
}

fn volume_for(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    name: String,
    path: String,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let annotations = [(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())];
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|resources| resources.requests),
            claim_ref: Some(reference(claim)),
            host_path: Some(HostPathVolumeSource { path, type_: Some("DirectoryOrCreate".into()) }),
            persistent_volume_reclaim_policy: Some(
                class.reclaim_policy.clone().unwrap_or_else(|| "Delete".into()),
            ),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: Some("Filesystem".into()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn reference(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("PersistentVolumeClaim".into()),
        name: claim.metadata.name.clone(),
        namespace: claim.metadata.namespace.clone(),
        uid: claim.metadata.uid.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// Ties claim and volume to each other. The claim's status comes before the volume's: pods wait for it.
async fn bind(cx: &Cx, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), Error> {
    let name = Key::of(&volume.metadata).name;
    if !plan::is_claimed_by(volume, claim) {
        let patch = json!({
            "metadata": {
                "resourceVersion": volume.metadata.resource_version,
                "annotations": { BOUND_BY_US: "yes" },
            },
            "spec": { "claimRef": reference(claim) },
        });
        cx.kinds.volumes.patch(&Key::cluster(&name), patch).await?;
    }
    let key = Key::of(&claim.metadata);
    let patch = binding_patch(claim, volume, &name);
    let claim = cx.kinds.claims.patch(&key, patch).await?;
    let status = PersistentVolumeClaimStatus {
        phase: Some("Bound".into()),
        access_modes: volume.spec.as_ref().and_then(|spec| spec.access_modes.clone()),
        capacity: volume.spec.as_ref().and_then(|spec| spec.capacity.clone()),
        ..claim.status.clone().unwrap_or_default()
    };
    if claim.status.as_ref() != Some(&status) {
        let bound = PersistentVolumeClaim { status: Some(status), ..(*claim).clone() };
        cx.kinds.claims.replace_status(&bound).await?;
    }
    Ok(())
}

fn binding_patch(claim: &PersistentVolumeClaim, volume: &PersistentVolume, name: &str) -> Value {
    let mut finalizers = claim.metadata.finalizers.clone().unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == IN_USE) {
        finalizers.push(IN_USE.into());
    }
    let ours = volume.metadata.annotations.as_ref().and_then(|a| a.get(PROVISIONED_BY)).cloned();
    json!({
        "metadata": {
            "resourceVersion": claim.metadata.resource_version,
            "finalizers": finalizers,
            "annotations": {
                BIND_COMPLETED: "yes",
                BOUND_BY_US: "yes",
                STORAGE_PROVISIONER: ours,
            },
        },
        "spec": { "volumeName": name },
    })
}

async fn write_phase(cx: &Cx, claim: &PersistentVolumeClaim, phase: &str) -> Result<(), Error> {
    let old = claim.status.clone().unwrap_or_default();
    if old.phase.as_deref() == Some(phase) {
        return Ok(());
    }
    let status = PersistentVolumeClaimStatus { phase: Some(phase.into()), ..old };
    let updated = PersistentVolumeClaim { status: Some(status), ..claim.clone() };
    cx.kinds.claims.replace_status(&updated).await?;
    Ok(())
}

/// Makes the default class once, if the cluster has none of that name.
pub async fn ensure_standard_class(cx: &Cx) -> Result<(), WriteError> {
    let class = StorageClass {
        metadata: ObjectMeta {
            name: Some(STANDARD.into()),
            annotations: Some([(IS_DEFAULT.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.into(),
        reclaim_policy: Some("Delete".into()),
        volume_binding_mode: Some("Immediate".into()),
        ..StorageClass::default()
    };
    match cx.kinds.storage_classes.create(&class).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}

/// Whether the claim that a volume names still exists.
pub fn claim_of(cx: &Cx, volume: &PersistentVolume) -> Option<Arc<PersistentVolumeClaim>> {
    let reference = volume.spec.as_ref()?.claim_ref.as_ref()?;
    let key = Key::new(reference.namespace.clone()?, reference.name.clone()?);
    let claim = cx.kinds.claims.get(&key)?;
    let same =
        reference.uid.as_deref().is_none_or(|uid| uid.is_empty() || uid == owner::uid(&claim.metadata));
    same.then_some(claim)
}

/// Still there, and not on its way out.
pub fn is_living(metadata: &ObjectMeta) -> bool {
    !is_deleting(metadata)
}
