//! ResourceClaim: a pod's wish for a device. Served as data, as DeviceClass is.

use k8s_openapi::api::resource::v1::ResourceClaim;
use serde_json::Value;

use crate::edit::start_without_status;
use crate::field::FieldError;
use crate::meta::keeps;
use crate::read::list;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<ResourceClaim>()
    .with_status()
    .generation(Generation::Spec)
    .prepare_with(start_without_status)
    .validate_with(validate)
    .columns(&[Column::compute("State", |claim, _| Value::from(state(claim))), Column::age()]);

fn state(claim: &Value) -> String {
    let deleted = claim.pointer("/metadata/deletionTimestamp").is_some();
    let allocated = claim.pointer("/status/allocation").is_some();
    let reserved = allocated && !list(claim, "/status/reservedFor").is_empty();
    let words = [
        (deleted, "deleted"),
        (!allocated && !deleted, "pending"),
        (allocated, "allocated"),
        (reserved, "reserved"),
    ];
    words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect::<Vec<_>>().join(",")
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    old.and_then(|old| keeps(new, old, "/spec")).into_iter().collect()
}
