//! StorageObjectInUseProtection and PersistentVolumeClaimResize: storage in use stays, and grows only where it can.

use drydock_kinds::resources::amounts;
use serde_json::Value;

use super::{find, forbidden};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

pub(super) const PROTECTED: &[(&str, &str)] = &[("", "persistentvolumeclaims"), ("", "persistentvolumes")];

/// The finalizer that a controller removes once nobody uses the claim, or no claim the volume.
pub(super) fn protect(cx: &Cx, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let finalizer = match cx.kind.plural() {
        "persistentvolumes" => "kubernetes.io/pv-protection",
        _ => "kubernetes.io/pvc-protection",
    };
    if old.is_none() && !meta::finalizers(object).contains(&finalizer) {
        let Some(metadata) = meta::of_mut(object) else { return Ok(()) };
        let finalizers = metadata.entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = finalizers.as_array_mut() {
            list.push(finalizer.into());
        }
    }
    Ok(())
}

pub(super) fn validate_resize(cx: &Cx, claim: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let Some(old) = old else { return Ok(()) };
    let size = |claim: &Value| amounts(claim, "/spec/resources/requests").remove("storage");
    if size(claim) <= size(old) {
        return Ok(());
    }
    if old["status"]["phase"] != "Bound" {
        return Err(forbidden(cx, claim, "Only bound persistent volume claims can be expanded"));
    }
    let name = claim["spec"]["storageClassName"].as_str().unwrap_or("");
    let same = !name.is_empty() && old["spec"]["storageClassName"] == name;
    let class = if same { find(cx, &format!("storage.k8s.io/storageclasses//{name}"))? } else { None };
    match class.is_some_and(|class| class["allowVolumeExpansion"] == true) {
        true => Ok(()),
        false => Err(forbidden(
            cx,
            claim,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support \
             resize",
        )),
    }
}
