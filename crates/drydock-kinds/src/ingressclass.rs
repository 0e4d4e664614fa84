//! IngressClass: which controller serves an Ingress.

use k8s_openapi::api::networking::v1::IngressClass;
use serde_json::Value;

use crate::cells::{name_or_default, or_none};
use crate::edit::fill;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::text;
use crate::{Column, Generation, KindSpec};

const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

pub const KIND: KindSpec = KindSpec::cluster::<IngressClass>()
    .generation(Generation::Spec)
    .default_with(|object| {
        if let Some(parameters) = object.pointer_mut("/spec/parameters") {
            fill(parameters, "scope", "Cluster");
        }
    })
    .validate_with(validate)
    .all_columns(&[
        Column::named(|object, _| name_or_default(object, DEFAULT_CLASS)),
        Column::at("Controller", "/spec/controller"),
        Column::compute("Parameters", |object, _| parameters(object)),
        Column::age(),
    ]);

fn parameters(object: &Value) -> Value {
    let Some(parameters) = object.pointer("/spec/parameters") else { return or_none("") };
    let group = text(parameters, "/apiGroup");
    let dot = if group.is_empty() { "" } else { "." };
    Value::from(format!("{}{dot}{group}/{}", text(parameters, "/kind"), text(parameters, "/name")))
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let missing = text(new, "/spec/controller").is_empty();
    let required = missing.then(|| FieldError::required(&Path::root("spec.controller"), ""));
    required.into_iter().chain(old.and_then(|old| keeps(new, old, "/spec/controller"))).collect()
}
