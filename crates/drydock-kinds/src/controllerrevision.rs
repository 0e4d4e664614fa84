//! ControllerRevision: a snapshot of a pod template that a rollout can return to.

use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::Value;

use crate::cells::or_none;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::{flag, list, number, text};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<ControllerRevision>().validate_with(validate).columns(&[
    Column::compute("Controller", |object, _| controller(object)),
    Column::number("Revision", "/revision"),
    Column::age(),
]);

fn controller(object: &Value) -> Value {
    let owner = list(object, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"));
    let Some(owner) = owner else { return or_none("") };
    let kind = text(owner, "/kind").to_ascii_lowercase();
    let group = text(owner, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    Value::from(format!("{kind}{dot}{group}/{}", text(owner, "/name")))
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if new["data"].is_null() {
        errors.push(FieldError::required(&Path::root("data"), "data is mandatory"));
    }
    let revision = number(new, "/revision");
    if revision < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(&Path::root("revision"), revision, detail));
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/data")));
    errors
}
