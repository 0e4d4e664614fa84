//! CSIStorageCapacity: how much room a driver has in one place.

use k8s_openapi::api::storage::v1::CSIStorageCapacity;
use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::{or, text};
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<CSIStorageCapacity>().validate_with(validate).columns(&[
    Column::at("StorageClassName", "/storageClassName"),
    Column::compute("Capacity", |object, _| Value::from(or(text(object, "/capacity"), "<unset>"))),
]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let class = text(new, "/storageClassName");
    let path = Path::root("storageClassName");
    let mut errors = rules::check(rules::subdomain, class, &path);
    if let Some(old) = old {
        errors
            .extend(["/nodeTopology", "/storageClassName"].iter().filter_map(|field| keeps(new, old, field)));
    }
    errors
}
