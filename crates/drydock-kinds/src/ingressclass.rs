//! IngressClass: which controller serves an Ingress.

use k8s_openapi::api::networking::v1::IngressClass;
use serde_json::Value;

use crate::cells::{name_or_default, or_none};
use crate::edit::fill;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::template::choice;
use crate::read::text;
use crate::rules::{self, check_required};
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
    let path = Path::root("spec");
    let mut errors = check_required(rules::domain_path, &new["spec"], "controller", &path);
    if let Some(parameters) = new.pointer("/spec/parameters") {
        let at = path.child("parameters");
        for field in ["kind", "name"] {
            errors.extend(check_required(rules::path_segment, parameters, field, &at));
        }
        let scopes = ["Cluster", "Namespace"];
        errors.extend(choice(parameters, &at, "scope", &scopes));
        let named = parameters.get("namespace").is_some();
        match text(parameters, "/scope") {
            "Namespace" if !named => {
                let detail = "`parameters.scope` is set to 'Namespace'";
                errors.push(FieldError::required(&at.child("namespace"), detail));
            }
            "Cluster" if named => {
                let detail = "`parameters.scope` is set to 'Cluster'";
                errors.push(FieldError::forbidden(&at.child("namespace"), detail));
            }
            _ => {}
        }
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/spec/controller")));
    errors
}
