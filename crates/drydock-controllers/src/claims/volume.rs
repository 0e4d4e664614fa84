//! Volumes after their claim: phases, release, and removal of what they held.
//!
//! Start at [`reconcile`]. Data goes only when the claim is gone for certain, never because a
//! cache has not heard of it yet: the claim is asked for at the server first.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeStatus};
use serde_json::json;

use super::{Error, PROVISIONED_BY, PROVISIONER, claim_of};
use crate::controller::{Controller, Next};
use crate::cx::{Cx, time};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::watches::Watches;

const NAME: &str = "persistentvolume-reclaimer";
const IN_USE: &str = "kubernetes.io/pv-protection";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 2,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.volumes);
    watches.on(&kinds.claims, |_, queue, old, new| {
        let volumes =
            [old, new].into_iter().flatten().filter_map(|claim| claim.spec.as_ref()?.volume_name.clone());
        volumes.for_each(|name| queue.add(Key::cluster(name)));
    });
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, Error> {
    let Some(volume) = cx.kinds.volumes.get(key) else { return Ok(Next::WaitForChange) };
    if is_deleting(&volume.metadata) {
        unprotect(cx, &volume).await?;
        return Ok(Next::WaitForChange);
    }
    let phase = phase(cx, &volume).await?;
    write_phase(cx, &volume, phase).await?;
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    if phase == "Released" && policy == Some("Delete") && is_ours(&volume) {
        remove(cx, &volume).await?;
    }
    Ok(Next::WaitForChange)
}

/// A volume that no claim holds any longer may go.
async fn unprotect(cx: &Cx, volume: &PersistentVolume) -> Result<(), Error> {
    let mut kept = volume.metadata.finalizers.clone().unwrap_or_default();
    let before = kept.len();
    kept.retain(|finalizer| finalizer != IN_USE);
    if kept.len() == before || phase(cx, volume).await? == "Bound" {
        return Ok(());
    }
    let metadata = json!({ "resourceVersion": volume.metadata.resource_version, "finalizers": kept });
    cx.kinds.volumes.patch(&Key::of(&volume.metadata), json!({ "metadata": metadata })).await?;
    Ok(())
}

async fn phase(cx: &Cx, volume: &PersistentVolume) -> Result<&'static str, Error> {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else {
        return Ok("Available");
    };
    let Some(uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty()) else { return Ok("Available") };
    if claim_of(cx, volume).is_some() {
        return Ok("Bound");
    }
    let key =
        Key::new(reference.namespace.clone().unwrap_or_default(), reference.name.clone().unwrap_or_default());
    let there = cx.kinds.claims.fetch(&key).await?;
    Ok(if there.is_some_and(|claim| claim.metadata.uid.as_deref() == Some(uid)) {
        "Bound"
    } else {
        "Released"
    })
}

async fn write_phase(cx: &Cx, volume: &PersistentVolume, phase: &str) -> Result<(), Error> {
    let old = volume.status.clone().unwrap_or_default();
    if old.phase.as_deref() == Some(phase) {
        return Ok(());
    }
    let status = PersistentVolumeStatus {
        phase: Some(phase.into()),
        last_phase_transition_time: Some(time(cx.now())),
        ..old
    };
    cx.kinds.volumes.replace_status(&PersistentVolume { status: Some(status), ..volume.clone() }).await?;
    Ok(())
}

fn is_ours(volume: &PersistentVolume) -> bool {
    let annotations = volume.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(PROVISIONED_BY)).is_some_and(|by| by == PROVISIONER)
}

/// The directory first: a volume object without directory can be tried again, the reverse would leak.
async fn remove(cx: &Cx, volume: &PersistentVolume) -> Result<(), Error> {
    let name = Key::of(&volume.metadata).name;
    let removed = cx.config.volumes.remove(name.clone()).await;
    removed.map_err(|source| {
        cx.recorder.warning(NAME, volume, "VolumeFailedDelete", source.to_string());
        Error::Directory { verb: "remove", volume: name, source }
    })?;
    cx.kinds.volumes.delete(&volume.metadata).await?;
    Ok(())
}
