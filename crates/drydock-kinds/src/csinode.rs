//! CSINode: the storage drivers that are installed on a node.

use std::collections::HashSet;

use k8s_openapi::api::storage::v1::CSINode;
use serde_json::Value;

use crate::column::ColumnType;
use crate::edit::ensure;
use crate::field::{FieldError, Path};
use crate::read::{list, text};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<CSINode>()
    .default_with(|node| {
        ensure(node, "/spec");
    })
    .validate_with(validate)
    .columns(&[
        Column::compute("Drivers", |object, _| Value::from(list(object, "/spec/drivers").len()))
            .typed(ColumnType::Integer),
        Column::age(),
    ]);

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, driver) in list(new, "/spec/drivers").iter().enumerate() {
        let path = Path::root("spec.drivers").index(index);
        let name = text(driver, "/name");
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        for field in ["name", "nodeID"] {
            if text(driver, &format!("/{field}")).is_empty() {
                errors.push(FieldError::required(&path.child(field), ""));
            }
        }
    }
    errors
}
