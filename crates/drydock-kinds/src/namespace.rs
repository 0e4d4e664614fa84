//! Namespace: the boundary of names.

use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use crate::edit::{ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::meta::finalizer;
use crate::read::{text, texts};
use crate::{Column, KindSpec, NameRule, Selectable};

pub const KIND: KindSpec = KindSpec::cluster::<Namespace>()
    .short_names(&["ns"])
    .verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
    .with_status()
    .named(NameRule::Label)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate)
    .selectable(&[Selectable::at("status.phase", &["/status/phase"])])
    .columns(&[Column::at("Status", "/status/phase"), Column::age()]);

/// Selectors of namespaces rely on a label that repeats the name.
fn default(object: &mut Value) {
    let name = text(object, "/metadata/name").to_owned();
    if !name.is_empty() {
        fill_at(object, "/metadata/labels", json!({ "kubernetes.io/metadata.name": name }));
    }
}

/// The finalizer keeps a deleted namespace until its content is gone.
fn prepare(new: &mut Value, old: Option<&Value>) {
    start_status(new, old, json!({ "phase": "Active" }));
    if old.is_none() {
        ensure(new, "/spec");
        fill_at(new, "/spec", json!({ "finalizers": ["kubernetes"] }));
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec.finalizers");
    texts(new, "/spec/finalizers").flat_map(|name| finalizer(name, &path)).collect()
}
