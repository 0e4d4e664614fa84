//! PriorityClass: which pods go first.

use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::{Value, json};

use crate::cells::boolean;
use crate::column::ColumnType;
use crate::edit::fill_at;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::number;
use crate::{Column, Generation, KindSpec};

/// Higher values belong to the system.
const HIGHEST_USER_VALUE: i64 = 1_000_000_000;

const SYSTEM_CLASSES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

pub const KIND: KindSpec = KindSpec::cluster::<PriorityClass>()
    .short_names(&["pc"])
    .generation(Generation::Spec)
    .default_with(|object| {
        fill_at(object, "", json!({ "preemptionPolicy": "PreemptLowerPriority", "value": 0 }))
    })
    .validate_with(validate)
    .columns(&[
        Column::number("Value", "/value"),
        Column::compute("Global-Default", |object, _| boolean(object, "/globalDefault"))
            .typed(ColumnType::Boolean),
        Column::age(),
        Column::at("PreemptionPolicy", "/preemptionPolicy"),
    ]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let system =
        new.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|name| name.starts_with("system-"));
    let name = new.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if system && !SYSTEM_CLASSES.contains(&name) {
        let detail = format!(
            "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known \
             system priority class"
        );
        errors.push(FieldError::forbidden(&Path::root("metadata.name"), detail));
    }
    let (policy, policies) =
        (new["preemptionPolicy"].as_str().unwrap_or_default(), ["PreemptLowerPriority", "Never"]);
    if !policies.contains(&policy) {
        errors.push(FieldError::not_supported(&Path::root("preemptionPolicy"), policy, &policies));
    }
    if number(new, "/value") > HIGHEST_USER_VALUE && !system {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_VALUE}");
        errors.push(FieldError::forbidden(&Path::root("value"), detail));
    }
    if let Some(old) = old {
        if new["value"] != old["value"] {
            errors.push(FieldError::forbidden(&Path::root("value"), "may not be changed in an update."));
        }
        errors.extend(keeps(new, old, "/preemptionPolicy"));
    }
    errors
}
