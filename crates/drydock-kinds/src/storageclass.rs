//! StorageClass: how volumes are made.

use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use crate::cells::{boolean, name_or_default};
use crate::edit::fill_at;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::text;
use crate::rules;
use crate::{Column, KindSpec};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

pub const KIND: KindSpec = KindSpec::cluster::<StorageClass>()
    .short_names(&["sc"])
    .default_with(|object| {
        fill_at(object, "", json!({ "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate" }));
    })
    .validate_with(validate)
    .all_columns(&[
        Column::named(|object, _| name_or_default(object, DEFAULT_CLASS)),
        Column::at("Provisioner", "/provisioner"),
        Column::at("ReclaimPolicy", "/reclaimPolicy"),
        Column::at("VolumeBindingMode", "/volumeBindingMode"),
        Column::compute("AllowVolumeExpansion", |object, _| boolean(object, "/allowVolumeExpansion")),
        Column::age(),
    ]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let provisioner = text(new, "/provisioner").to_ascii_lowercase();
    let at = Path::root("provisioner");
    match provisioner.as_str() {
        "" => errors.push(FieldError::required(&at, "")),
        name => errors.extend(rules::check(rules::qualified, name, &at)),
    }
    if new["parameters"].get("").is_some() {
        errors.push(FieldError::invalid(&Path::root("parameters"), "", "field can not be empty."));
    }
    let (policy, policies) = (text(new, "/reclaimPolicy"), ["Delete", "Retain"]);
    if !policies.contains(&policy) {
        errors.push(FieldError::not_supported(&Path::root("reclaimPolicy"), policy, &policies));
    }
    let modes = ["Immediate", "WaitForFirstConsumer"];
    let mode = text(new, "/volumeBindingMode");
    if !modes.contains(&mode) {
        errors.push(FieldError::not_supported(&Path::root("volumeBindingMode"), mode, &modes));
    }
    if let Some(old) = old {
        let fixed = ["/parameters", "/provisioner", "/reclaimPolicy", "/volumeBindingMode"];
        errors.extend(fixed.iter().filter_map(|field| keeps(new, old, field)));
    }
    errors
}
