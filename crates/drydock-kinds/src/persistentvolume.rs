//! PersistentVolume: storage that outlives pods.

use k8s_openapi::api::core::v1::PersistentVolume;
use kubernetes_quantity::Quantity;
use serde_json::{Value, json};

use crate::cells::{access_modes, phase};
use crate::edit::{ensure, fill, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::persistentvolumeclaim::ACCESS_MODES;
use crate::pod::template;
use crate::read::{entries, list, or, text};
use crate::selector;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<PersistentVolume>()
    .short_names(&["pv"])
    .with_status()
    .default_with(default)
    .prepare_with(|new, old| {
        let since = new["metadata"]["creationTimestamp"].clone();
        start_status(new, old, json!({ "phase": "Pending", "lastPhaseTransitionTime": since }));
    })
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
    let mut errors = access_modes_and_capacity(new, &path);
    errors.extend(check_source(new, &path));
    if old.is_some_and(|old| sources(old) != sources(new)) {
        let at = path.child("persistentvolumesource");
        errors.push(FieldError::forbidden(&at, "spec.persistentvolumesource is immutable after creation"));
    }
    let policies = ["Delete", "Recycle", "Retain"];
    errors.extend(template::choice(&new["spec"], &path, "persistentVolumeReclaimPolicy", &policies));
    if let Some(required) = new.pointer("/spec/nodeAffinity/required") {
        errors.extend(selector::nodes(required, &path.child("nodeAffinity.required")));
    }
    let recycled = text(new, "/spec/persistentVolumeReclaimPolicy") == "Recycle";
    if recycled && text(new, "/spec/hostPath/path") == "/" {
        let at = path.child("persistentVolumeReclaimPolicy");
        errors.push(FieldError::forbidden(&at, "may not be 'recycle' for a hostPath mount of '/'"));
    }
    errors.extend(template::volume_class(&new["spec"], "storageClassName", &path));
    errors.extend(template::choice(&new["spec"], &path, "volumeMode", &["Block", "Filesystem"]));
    errors.extend(template::volume_class(&new["spec"], "volumeAttributesClassName", &path));
    errors
}

fn access_modes_and_capacity(new: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let modes = list(new, "/spec/accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    for mode in modes.iter().filter_map(Value::as_str).filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.push(FieldError::not_supported(&path.child("accessModes"), mode, &ACCESS_MODES));
    }
    let at = path.child("capacity");
    let capacity = new.pointer("/spec/capacity").unwrap_or(&Value::Null);
    if capacity.as_object().is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required(&at, ""));
    }
    let size = text(capacity, "/storage");
    if size.is_empty() || capacity.as_object().is_some_and(|amounts| amounts.len() > 1) {
        errors.push(FieldError::not_supported(&at, capacity.clone(), &["storage"]));
    } else if Quantity::parse(size).is_some_and(|size| size <= Quantity::ZERO) {
        errors.push(FieldError::invalid(&at.key("storage"), size, "must be greater than zero"));
    }
    errors
}

fn check_source(new: &Value, path: &Path) -> Vec<FieldError> {
    let found = sources(new);
    let Some((kind, source)) = found.first() else {
        return vec![FieldError::required(path, "must specify a volume type")];
    };
    let at = path.child(kind);
    let mut errors = template::one_source(kind, source, &at);
    let detail = "may not specify more than 1 volume type";
    errors.extend(found.iter().skip(1).map(|(kind, _)| FieldError::forbidden(&path.child(kind), detail)));
    match kind.as_str() {
        "csi" if text(source, "/volumeHandle").is_empty() => {
            errors.push(FieldError::required(&at.child("volumeHandle"), ""));
        }
        "local" if text(source, "/path").is_empty() => {
            errors.push(FieldError::required(&at.child("path"), ""))
        }
        _ => {}
    }
    if kind.as_str() == "local" && new.pointer("/spec/nodeAffinity").is_none() {
        errors.push(FieldError::required(&path.child("nodeAffinity"), "Local volume requires node affinity"));
    }
    errors
}

/// The fields that say where the storage is; there should be one.
fn sources(object: &Value) -> Vec<(&String, &Value)> {
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
    entries(object, "/spec").filter(|(key, _)| !OTHERS.contains(&key.as_str())).collect()
}
