//! DaemonSet: one pod on every node.

use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR, label_map};
use crate::edit::{ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::{template, warnings};
use crate::read::text;
use crate::workload::{is_nothing, non_negative, share};
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<DaemonSet>()
    .short_names(&["ds"])
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate)
    .warn_with(|object| warnings::of(object, "/spec/template/spec", "spec.template.spec"))
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

/// The count of templates so far, which older tools read.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn prepare(new: &mut Value, old: Option<&Value>) {
    start_status(new, old, start());
    let known = old.and_then(|old| old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str());
    let known = known.and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let changed = old.is_some_and(|old| {
        old["spec"]["template"] != new["spec"]["template"]
            || old["spec"]["updateStrategy"] != new["spec"]["updateStrategy"]
    });
    let count = if changed { known + 1 } else { known };
    ensure(new, "/metadata/annotations");
    if let Some(annotations) = new.pointer_mut("/metadata/annotations") {
        annotations[TEMPLATE_GENERATION] = count.to_string().into();
    }
}

fn rolling_update(rolling: &Value, path: &Path) -> Vec<FieldError> {
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    let mut errors = share(unavailable, &path.child("maxUnavailable"));
    errors.extend(share(surge, &path.child("maxSurge")));
    match (is_nothing(unavailable), is_nothing(surge)) {
        (true, true) => {
            let detail = "cannot be 0 when maxSurge is 0";
            errors.push(FieldError::required(&path.child("maxUnavailable"), detail));
        }
        (false, false) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(FieldError::invalid(&path.child("maxSurge"), surge.clone(), detail));
        }
        _ => {}
    }
    errors
}

fn default(object: &mut Value) {
    ensure(object, "/spec");
    template::default(object);
    ensure(object, "/metadata/annotations");
    fill_at(object, "/metadata/annotations", json!({ TEMPLATE_GENERATION: "1" }));
    fill_at(object, "/spec", json!({ "revisionHistoryLimit": 10, "updateStrategy": {} }));
    fill_at(object, "/spec/updateStrategy", json!({ "type": "RollingUpdate" }));
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        fill_at(object, "/spec/updateStrategy/rollingUpdate", json!({ "maxUnavailable": 1, "maxSurge": 0 }));
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> =
        old.and_then(|old| keeps(new, old, "/spec/selector")).into_iter().collect();
    errors.extend(template::validate_with_selector(new, "daemonset", "DaemonSet"));
    errors.extend(non_negative(new, &["minReadySeconds", "revisionHistoryLimit"]));
    let strategy = text(new, "/spec/updateStrategy/type");
    if !["RollingUpdate", "OnDelete"].contains(&strategy) {
        let at = Path::root("spec.updateStrategy");
        let rolling = json!(new["spec"]["updateStrategy"].get("rollingUpdate"));
        let shown = [("Type", strategy.into()), ("RollingUpdate", rolling)];
        let known = ["RollingUpdate", "OnDelete"];
        errors.push(FieldError::not_supported(&at, strategy, &known).showing(&shown));
    }
    if let Some(rolling) =
        new.pointer("/spec/updateStrategy/rollingUpdate").filter(|_| strategy == "RollingUpdate")
    {
        errors.extend(rolling_update(rolling, &Path::root("spec.updateStrategy.rollingUpdate")));
    }
    errors
}
