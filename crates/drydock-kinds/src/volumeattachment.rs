//! VolumeAttachment: the wish to attach a volume to a node, and how far it got.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde_json::{Value, json};

use crate::cells::boolean;
use crate::column::ColumnType;
use crate::edit::start_status;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::text;
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<VolumeAttachment>()
    .with_status()
    .prepare_with(|new, old| start_status(new, old, json!({ "attached": false })))
    .validate_with(validate)
    .columns(&[
        Column::at("Attacher", "/spec/attacher"),
        Column::at("PV", "/spec/source/persistentVolumeName"),
        Column::at("Node", "/spec/nodeName"),
        Column::compute("Attached", |object, _| boolean(object, "/status/attached"))
            .typed(ColumnType::Boolean),
        Column::age(),
    ]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    if text(new, "/spec/attacher").is_empty() {
        errors.push(FieldError::required(&path.child("attacher"), ""));
    }
    errors.extend(rules::check(rules::subdomain, text(new, "/spec/nodeName"), &path.child("nodeName")));
    let source = &new["spec"]["source"];
    match (source.get("inlineVolumeSpec"), text(source, "/persistentVolumeName")) {
        (None, "") => errors.push(FieldError::required(
            &path.child("source"),
            "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        )),
        (Some(_), name) if !name.is_empty() => errors.push(FieldError::forbidden(
            &path.child("source"),
            "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        )),
        _ => {}
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/spec")));
    errors
}
