//! ReplicaSet: a fixed number of pods from one template.

use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR};
use crate::edit::{ensure, fill_at, start_status};
use crate::field::FieldError;
use crate::meta::keeps;
use crate::pod::{template, warnings};
use crate::workload::non_negative;
use crate::{Column, Generation, KindSpec, Selectable};

pub const KIND: KindSpec = KindSpec::namespaced::<ReplicaSet>()
    .short_names(&["rs"])
    .categories(&["all"])
    .with_status()
    .with_scale()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(|new, old| start_status(new, old, json!({ "replicas": 0 })))
    .validate_with(validate)
    .warn_with(|object| {
        [warnings::name(object), warnings::of(object, "/spec/template/spec", "spec.template.spec")].concat()
    })
    .selectable(&[Selectable::at("status.replicas", &["/status/replicas"]).or("0")])
    .columns(&[
        Column::number("Desired", "/spec/replicas"),
        Column::number("Current", "/status/replicas"),
        Column::number("Ready", "/status/readyReplicas"),
        Column::age(),
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    fill_at(object, "/spec", json!({ "replicas": 1 }));
    template::default(object);
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = template::validate_with_selector(new, "deployment", "ReplicaSet");
    errors.extend(non_negative(new, &["replicas", "minReadySeconds"]));
    errors.extend(old.and_then(|old| keeps(new, old, "/spec/selector")));
    errors
}
