//! FlowSchema: which requests belong together. Served as data; drydock bounds requests in its own way.

use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use serde_json::Value;

use crate::cells::or_none;
use crate::column::ColumnType;
use crate::edit::{ensure, start_without_status};
use crate::field::{FieldError, Path};
use crate::read::{list, number, text};
use crate::{Column, Generation, KindSpec};

const DEFAULT_PRECEDENCE: i64 = 1000;
const HIGHEST_PRECEDENCE: i64 = 10_000;

pub const KIND: KindSpec = KindSpec::cluster::<FlowSchema>()
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(start_without_status)
    .validate_with(validate)
    .columns(&[
        Column::at("PriorityLevel", "/spec/priorityLevelConfiguration/name"),
        Column::number("MatchingPrecedence", "/spec/matchingPrecedence").typed(ColumnType::String),
        Column::compute("DistinguisherMethod", |object, _| {
            or_none(text(object, "/spec/distinguisherMethod/type"))
        }),
        Column::age(),
        Column::compute("MissingPL", |object, _| Value::from(dangling(object))),
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    if number(object, "/spec/matchingPrecedence") == 0 && object["spec"].is_object() {
        object["spec"]["matchingPrecedence"] = DEFAULT_PRECEDENCE.into();
    }
}

fn dangling(object: &Value) -> &str {
    let conditions = list(object, "/status/conditions");
    let found = conditions.iter().find(|condition| text(condition, "/type") == "Dangling");
    found.map_or("?", |condition| text(condition, "/status"))
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let precedence = number(new, "/spec/matchingPrecedence");
    if precedence <= 0 {
        let detail = "must be a positive value";
        errors.push(FieldError::invalid(&path.child("matchingPrecedence"), precedence, detail));
    }
    if precedence > HIGHEST_PRECEDENCE {
        let detail = format!("must not be greater than {HIGHEST_PRECEDENCE}");
        errors.push(FieldError::invalid(&path.child("matchingPrecedence"), precedence, detail));
    }
    if text(new, "/spec/priorityLevelConfiguration/name").is_empty() {
        let detail = "must reference a priority level";
        errors.push(FieldError::required(&path.child("priorityLevelConfiguration.name"), detail));
    }
    errors
}
