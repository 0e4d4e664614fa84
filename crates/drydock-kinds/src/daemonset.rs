//! DaemonSet: one pod on every node.

use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR, label_map};
use crate::edit::{ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::template;
use crate::read::text;
use crate::workload::non_negative;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<DaemonSet>()
    .short_names(&["ds"])
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(|new, old| start_status(new, old, start()))
    .validate_with(validate)
    .columns(&[
        Column::number("Desired", "/status/desiredNumberScheduled"),
        Column::number("Current", "/status/currentNumberScheduled"),
        Column::number("Ready", "/status/numberReady"),
        Column::number("Up-to-date", "/status/updatedNumberScheduled"),
        Column::number("Available", "/status/numberAvailable"),
        Column::compute("Node Selector", |object, _| {
            Value::from(label_map(object.pointer("/spec/template/spec/nodeSelector")))
        }),
        Column::age(),
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ]);

/// Typed clients require these counts.
fn start() -> Value {
    json!({ "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0 })
}

fn default(object: &mut Value) {
    ensure(object, "/spec");
    template::default(object);
    fill_at(object, "/spec", json!({ "revisionHistoryLimit": 10, "updateStrategy": {} }));
    fill_at(object, "/spec/updateStrategy", json!({ "type": "RollingUpdate" }));
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        fill_at(object, "/spec/updateStrategy/rollingUpdate", json!({ "maxUnavailable": 1, "maxSurge": 0 }));
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = template::validate_with_selector(new, &["Always"]);
    errors.extend(non_negative(new, &["minReadySeconds", "revisionHistoryLimit"]));
    let strategy = text(new, "/spec/updateStrategy/type");
    if !["RollingUpdate", "OnDelete"].contains(&strategy) {
        let at = Path::root("spec.updateStrategy.type");
        errors.push(FieldError::not_supported(&at, strategy, &["OnDelete", "RollingUpdate"]));
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/spec/selector")));
    errors
}
