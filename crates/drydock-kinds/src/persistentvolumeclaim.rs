//! PersistentVolumeClaim: a request for storage.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kubernetes_quantity::Quantity;
use serde_json::{Value, json};

use crate::cells::{access_modes, phase};
use crate::edit::{ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::pod::template;
use crate::read::{list, or, text};
use crate::selector;
use crate::{Column, KindSpec};

pub(crate) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub const KIND: KindSpec = KindSpec::namespaced::<PersistentVolumeClaim>()
    .short_names(&["pvc"])
    .with_status()
    .default_with(|object| {
        ensure(object, "/spec");
        fill_at(object, "/spec", json!({ "volumeMode": "Filesystem" }));
        same_source(object);
    })
    .prepare_with(|new, old| start_status(new, old, json!({ "phase": "Pending" })))
    .validate_with(validate)
    .columns(&[
        Column::compute("Status", |object, _| phase(object)),
        Column::at("Volume", "/spec/volumeName"),
        Column::compute("Capacity", |object, _| {
            Value::from(if_bound(object, text(object, "/status/capacity/storage")))
        }),
        Column::compute("Access Modes", |object, _| {
            Value::from(if_bound(object, &access_modes(list(object, "/status/accessModes"))))
        }),
        Column::at("StorageClass", "/spec/storageClassName"),
        Column::compute("VolumeAttributesClass", |object, _| {
            Value::from(or(text(object, "/spec/volumeAttributesClassName"), "<unset>"))
        }),
        Column::age(),
        Column::compute("VolumeMode", |object, _| {
            Value::from(or(text(object, "/spec/volumeMode"), "<unset>"))
        })
        .wide(),
    ]);

/// Of two fields for where a claim's content comes from, the older knows claims and snapshots only.
fn same_source(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(source) = spec.get("dataSource") {
        let known = matches!(
            (text(source, "/kind"), text(source, "/apiGroup")),
            ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
        );
        if !known {
            spec.remove("dataSource");
        }
    }
    if let Some(source) = spec.get("dataSource").cloned() {
        spec.entry("dataSourceRef").or_insert(source);
    }
}

fn if_bound(object: &Value, cell: &str) -> String {
    if text(object, "/spec/volumeName").is_empty() { String::new() } else { cell.to_owned() }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = check_spec(&new["spec"], &path);
    errors.extend(old.and_then(|old| immutable_spec(new, old, &path)));
    errors
}

/// What holds for the specification of a claim wherever it stands.
pub(crate) fn check_spec(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let modes = list(spec, "/accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), "at least 1 access mode is required"));
    }
    errors.extend(selector::labels(spec.get("selector"), &path.child("selector")));
    for mode in modes.iter().filter_map(Value::as_str).filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.push(FieldError::not_supported(&path.child("accessModes"), mode, &ACCESS_MODES));
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(&path.child("accessModes"), detail));
    }
    let size = text(spec, "/resources/requests/storage");
    let at = path.child("resources").key("storage");
    if size.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if Quantity::parse(size).is_some_and(|size| size <= Quantity::ZERO) {
        errors.push(FieldError::invalid(&at, size, "must be greater than zero"));
    }
    errors.extend(template::volume_class(spec, "storageClassName", path));
    errors.extend(template::choice(spec, path, "volumeMode", &["Block", "Filesystem"]));
    errors.extend(template::volume_class(spec, "volumeAttributesClassName", path));
    errors
}

/// A claim may be bound once and may grow afterwards; nothing else changes.
fn immutable_spec(new: &Value, old: &Value, path: &Path) -> Option<FieldError> {
    let bound = !text(old, "/spec/volumeName").is_empty();
    (fixed_part(new, bound) != fixed_part(old, bound)).then(|| {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims";
        FieldError::forbidden(path, detail)
    })
}

fn fixed_part(object: &Value, bound: bool) -> Value {
    let mut spec = object["spec"].clone();
    let Some(fields) = spec.as_object_mut() else { return spec };
    if bound {
        fields.remove("volumeAttributesClassName");
        if let Some(requests) = fields.get_mut("resources").and_then(|value| value.get_mut("requests")) {
            requests["storage"] = Value::Null;
        }
    } else {
        fields.remove("volumeName");
    }
    // The default class may arrive after the claim.
    if text(object, "/spec/storageClassName").is_empty() {
        fields.remove("storageClassName");
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(size: &str, volume: &str) -> Value {
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "volumeName": volume, "resources": {"requests": {"storage": size}}}})
    }

    #[track_caller]
    fn check(new: Value, old: Value, expect: usize) {
        assert_eq!(validate(&new, Some(&old)).len(), expect);
    }

    #[test]
    fn a_claim_is_bound_once_and_may_grow() {
        check(claim("1Gi", "pv"), claim("1Gi", ""), 0);
        check(claim("2Gi", "pv"), claim("1Gi", "pv"), 0);
        check(claim("1Gi", "other"), claim("1Gi", "pv"), 1);
        check(claim("2Gi", ""), claim("1Gi", ""), 1);
    }
}
