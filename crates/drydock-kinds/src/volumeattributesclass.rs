//! VolumeAttributesClass: qualities of a volume that may change while it is in use.

use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use serde_json::Value;

use crate::cells::name_or_default;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::text;
use crate::{Column, KindSpec};

const DEFAULT_CLASS: &str = "volumeattributesclass.alpha.kubernetes.io/is-default-class";

pub const KIND: KindSpec = KindSpec::cluster::<VolumeAttributesClass>()
    .short_names(&["vac"])
    .validate_with(validate)
    .all_columns(&[
        Column::named(|object, _| name_or_default(object, DEFAULT_CLASS)),
        Column::at("DriverName", "/driverName"),
        Column::age(),
    ]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(new, "/driverName").is_empty() {
        errors.push(FieldError::required(&Path::root("driverName"), ""));
    }
    if new["parameters"].as_object().is_none_or(serde_json::Map::is_empty) {
        let detail = "must contain at least one key/value pair";
        errors.push(FieldError::required(&Path::root("parameters"), detail));
    }
    if let Some(old) = old {
        errors.extend(["/driverName", "/parameters"].iter().filter_map(|field| keeps(new, old, field)));
    }
    errors
}
