//! APIService: which group version is served, and by whom. drydock serves all of its own; others are data.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde_json::Value;

use crate::edit::{fill, start_without_status};
use crate::field::{FieldError, Path};
use crate::read::{list, number, text};
use crate::{Column, KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::cluster::<APIService>()
    .categories(&["api-extensions"])
    .with_status()
    .named(NameRule::PathSegment)
    .default_with(|object| {
        if let Some(service) = object.pointer_mut("/spec/service") {
            fill(service, "port", 443);
        }
    })
    .prepare_with(start_without_status)
    .validate_with(validate)
    .columns(&[
        Column::compute("Service", |object, _| Value::from(service(object))),
        Column::compute("Available", |object, _| Value::from(available(object))),
        Column::age(),
    ]);

fn service(object: &Value) -> String {
    match object.pointer("/spec/service") {
        Some(service) => format!("{}/{}", text(service, "/namespace"), text(service, "/name")),
        None => "Local".to_owned(),
    }
}

/// `True`, or `False (reason)`.
fn available(object: &Value) -> String {
    let conditions = list(object, "/status/conditions");
    let Some(found) = conditions.iter().find(|condition| text(condition, "/type") == "Available") else {
        return "Unknown".to_owned();
    };
    match (text(found, "/status"), text(found, "/reason")) {
        ("True", _) => "True".to_owned(),
        (status, reason) => format!("{status} ({reason})"),
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (group, version) = (text(new, "/spec/group"), text(new, "/spec/version"));
    let (name, wanted) = (text(new, "/metadata/name"), format!("{version}.{group}"));
    if name != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        errors.push(FieldError::invalid(&Path::root("metadata.name"), name, detail));
    }
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = number(new, &format!("/spec/{field}"));
        if !(1..=most).contains(&value) {
            let detail = format!("must be positive and less than {most}");
            errors.push(FieldError::invalid(&Path::root("spec").child(field), value, detail));
        }
    }
    errors
}
