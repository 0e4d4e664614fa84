//! PodDisruptionBudget: how many pods may be taken away on purpose.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use crate::edit::{ensure, start_status};
use crate::field::{FieldError, Path};
use crate::pod::template;
use crate::selector;
use crate::workload::share;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<PodDisruptionBudget>()
    .short_names(&["pdb"])
    .with_status()
    .generation(Generation::Spec)
    .prepare_with(|new, old| start_status(new, old, start()))
    .default_with(|budget| {
        ensure(budget, "/spec");
    })
    .validate_with(validate)
    .columns(&[
        Column::compute("Min Available", |object, _| amount(object, "/spec/minAvailable")),
        Column::compute("Max Unavailable", |object, _| amount(object, "/spec/maxUnavailable")),
        Column::number("Allowed Disruptions", "/status/disruptionsAllowed"),
        Column::age(),
    ]);

/// Typed clients require these counts.
fn start() -> Value {
    json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 })
}

fn amount(object: &Value, pointer: &str) -> Value {
    match object.pointer(pointer) {
        None | Some(Value::Null) => Value::from("N/A"),
        Some(Value::String(text)) => Value::from(text.as_str()),
        Some(other) => Value::from(other.to_string()),
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let spec = &new["spec"];
    let fields = ["minAvailable", "maxUnavailable"];
    let mut errors = Vec::new();
    if fields.iter().all(|field| spec.get(*field).is_some()) {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        let shown = [
            ("MinAvailable", spec["minAvailable"].clone()),
            ("Selector", spec["selector"].clone()),
            ("MaxUnavailable", spec["maxUnavailable"].clone()),
            ("UnhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"].clone()),
        ];
        errors.push(FieldError::invalid(&path, Value::Null, detail).showing(&shown));
    }
    errors.extend(fields.iter().flat_map(|field| share(&spec[*field], &path.child(field))));
    errors.extend(selector::labels(spec.get("selector"), &path.child("selector")));
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    errors.extend(template::choice(spec, &path, "unhealthyPodEvictionPolicy", &policies));
    errors
}
