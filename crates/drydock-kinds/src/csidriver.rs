//! CSIDriver: what a storage driver can do.

use std::collections::HashSet;

use k8s_openapi::api::storage::v1::CSIDriver;
use serde_json::{Value, json};

use crate::cells::{boolean, or_none};
use crate::column::ColumnType;
use crate::edit::{ensure, fill_at};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::template::choice;
use crate::read::{list, text, texts};
use crate::{Column, KindSpec};

pub const KIND: KindSpec =
    KindSpec::cluster::<CSIDriver>().default_with(default).validate_with(validate).columns(&[
        Column::compute("AttachRequired", |object, _| boolean(object, "/spec/attachRequired"))
            .typed(ColumnType::Boolean),
        Column::compute("PodInfoOnMount", |object, _| boolean(object, "/spec/podInfoOnMount"))
            .typed(ColumnType::Boolean),
        Column::compute("StorageCapacity", |object, _| boolean(object, "/spec/storageCapacity"))
            .typed(ColumnType::Boolean),
        Column::compute("TokenRequests", |object, _| Value::from(audiences(object))),
        Column::compute("RequiresRepublish", |object, _| boolean(object, "/spec/requiresRepublish"))
            .typed(ColumnType::Boolean),
        Column::compute("Modes", |object, _| {
            or_none(&texts(object, "/spec/volumeLifecycleModes").collect::<Vec<_>>().join(","))
        }),
        Column::age(),
    ]);

fn audiences(object: &Value) -> String {
    match object.pointer("/spec/tokenRequests") {
        None => "<unset>".to_owned(),
        Some(_) => {
            let all = list(object, "/spec/tokenRequests").iter().map(|token| text(token, "/audience"));
            all.collect::<Vec<_>>().join(",")
        }
    }
}

fn default(object: &mut Value) {
    ensure(object, "/spec");
    let defaults = json!({
        "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false,
        "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
        "requiresRepublish": false, "seLinuxMount": false,
    });
    fill_at(object, "/spec", defaults);
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    errors.extend(choice(&new["spec"], &path, "fsGroupPolicy", &["File", "None", "ReadWriteOnceWithFSType"]));
    let modes = ["Persistent", "Ephemeral"];
    for mode in texts(new, "/spec/volumeLifecycleModes").filter(|mode| !modes.contains(mode)) {
        errors.push(FieldError::not_supported(&path.child("volumeLifecycleModes"), mode, &modes));
    }
    let mut seen = HashSet::new();
    for (index, token) in list(new, "/spec/tokenRequests").iter().enumerate() {
        let audience = text(token, "/audience");
        if !seen.insert(audience) {
            let at = path.child("tokenRequests").index(index).child("audience");
            errors.push(FieldError::duplicate(&at, audience));
        }
    }
    if let Some(old) = old {
        let fixed = ["/spec/attachRequired", "/spec/volumeLifecycleModes"];
        errors.extend(fixed.iter().filter_map(|field| keeps(new, old, field)));
    }
    errors
}
