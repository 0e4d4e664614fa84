//! PersistentVolume: storage that outlives pods.

use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::{Value, json};

use crate::cells::{access_modes, phase};
use crate::edit::{ensure, fill, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::read::{entries, list, or, text};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<PersistentVolume>()
    .short_names(&["pv"])
    .with_status()
    .default_with(default)
    .prepare_with(|new, old| start_status(new, old, json!({ "phase": "Pending" })))
    .validate_with(validate)
    .columns(&[
        Column::at("Capacity", "/spec/capacity/storage"),
        Column::compute("Access Modes", |object, _| {
            Value::from(access_modes(list(object, "/spec/accessModes")))
        }),
        Column::at("Reclaim Policy", "/spec/persistentVolumeReclaimPolicy"),
        Column::compute("Status", |object, _| phase(object)),
        Column::compute("Claim", |object, _| Value::from(claim(object))),
        Column::at("StorageClass", "/spec/storageClassName"),
        Column::compute("VolumeAttributesClass", |object, _| {
            Value::from(or(text(object, "/spec/volumeAttributesClassName"), "<unset>"))
        }),
        Column::at("Reason", "/status/reason"),
        Column::age(),
        Column::compute("VolumeMode", |object, _| {
            Value::from(or(text(object, "/spec/volumeMode"), "<unset>"))
        })
        .wide(),
    ]);

fn claim(object: &Value) -> String {
    match object.pointer("/spec/claimRef") {
        Some(claim) => format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")),
        None => String::new(),
    }
}

fn default(object: &mut Value) {
    ensure(object, "/spec");
    fill_at(
        object,
        "/spec",
        json!({ "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem" }),
    );
    if let Some(path) = object.pointer_mut("/spec/hostPath") {
        fill(path, "type", "");
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    if list(new, "/spec/accessModes").is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    if text(new, "/spec/capacity/storage").is_empty() {
        errors.push(FieldError::required(&path.child("capacity"), ""));
    }
    let source = source(new);
    if source.is_none() {
        errors.push(FieldError::required(&path, "must specify a volume type"));
    }
    if old.is_some_and(|old| self::source(old) != source) {
        let at = path.child("persistentvolumesource");
        errors.push(FieldError::forbidden(&at, "spec.persistentvolumesource is immutable after creation"));
    }
    errors
}

/// The one field that says where the storage is.
fn source(object: &Value) -> Option<(&String, &Value)> {
    const OTHERS: [&str; 9] = [
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    entries(object, "/spec").find(|(key, _)| !OTHERS.contains(&key.as_str()))
}
