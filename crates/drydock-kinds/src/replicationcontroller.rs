//! ReplicationController: the older sibling of ReplicaSet, served because `kubectl get all` asks for it.

use k8s_openapi::api::core::v1::ReplicationController;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR};
use crate::edit::{ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::pod::{template, warnings};
use crate::workload::non_negative;
use crate::{Column, Generation, KindSpec, Selectable};

pub const KIND: KindSpec = KindSpec::namespaced::<ReplicationController>()
    .short_names(&["rc"])
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
    template::default(object);
    let labels = object.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
    fill_at(object, "/spec", json!({ "replicas": 1 }));
    if labels.is_object() {
        fill_at(object, "/spec", json!({ "selector": labels }));
        fill_at(object, "/metadata", json!({ "labels": labels }));
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = non_negative(new, &["replicas", "minReadySeconds"]);
    if new.pointer("/spec/template").is_none() {
        errors.push(FieldError::required(&path.child("template"), ""));
        return errors;
    }
    let selector = &new["spec"]["selector"];
    let labels = new.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required(&path.child("selector"), ""));
    } else if !template::matches(&json!({ "matchLabels": selector }), labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("template.metadata.labels"), labels.clone(), detail));
    }
    errors.extend(template::validate(&new["spec"]["template"], &path.child("template"), &["Always"]));
    errors
}
