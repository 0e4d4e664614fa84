//! Lease: who leads, and for how long.

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::Value;

use crate::edit::ensure;
use crate::field::{FieldError, Path};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<Lease>()
    .default_with(|lease| {
        ensure(lease, "/spec");
    })
    .validate_with(validate)
    .columns(&[Column::at("Holder", "/spec/holderIdentity"), Column::age()]);

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let found = |field: &str| new["spec"].get(field).and_then(Value::as_i64);
    if let Some(seconds) = found("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid(&path.child("leaseDurationSeconds"), seconds, detail));
    }
    if let Some(count) = found("leaseTransitions").filter(|count| *count < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(&path.child("leaseTransitions"), count, detail));
    }
    errors
}
