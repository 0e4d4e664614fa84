//! StorageObjectInUseProtection and PersistentVolumeClaimResize: storage in use stays, and grows only where it can.

use drydock_kinds::resources::amounts;
use serde_json::Value;

use super::{find, forbidden};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

pub(super) const PROTECTED: &[(&str, &str)] = &[("", "persistentvolumeclaims")];

const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// The finalizer that a controller removes once nobody uses the claim.
pub(super) fn protect(_cx: &Cx, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if old.is_none() && !meta::finalizers(object).contains(&FINALIZER) {
        let Some(metadata) = meta::of_mut(object) else { return Ok(()) };
        let finalizers = metadata.entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = finalizers.as_array_mut() {
            list.push(FINALIZER.into());
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
