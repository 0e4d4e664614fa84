//! Event: something that happened to an object, kept for a while.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use crate::column::age;
use crate::edit::fill_at;
use crate::field::{FieldError, Path};
use crate::read::{number, or, text};
use crate::rules;
use crate::{Column, KindSpec, Selectable};

pub(crate) const SELECTABLE: &[Selectable] = &[
    Selectable::at("involvedObject.kind", &["/involvedObject/kind"]),
    Selectable::at("involvedObject.namespace", &["/involvedObject/namespace"]),
    Selectable::at("involvedObject.name", &["/involvedObject/name"]),
    Selectable::at("involvedObject.uid", &["/involvedObject/uid"]),
    Selectable::at("involvedObject.apiVersion", &["/involvedObject/apiVersion"]),
    Selectable::at("involvedObject.resourceVersion", &["/involvedObject/resourceVersion"]),
    Selectable::at("involvedObject.fieldPath", &["/involvedObject/fieldPath"]),
    Selectable::at("reason", &["/reason"]),
    Selectable::at("reportingComponent", &["/reportingComponent"]),
    Selectable::at("source", &["/source/component", "/reportingComponent"]),
    Selectable::at("type", &["/type"]),
];

pub const KIND: KindSpec = KindSpec::namespaced::<Event>()
    .short_names(&["ev"])
    .default_with(|event| {
        fill_at(event, "", json!({ "reportingComponent": "", "reportingInstance": "", "source": {} }));
    })
    .validate_with(validate)
    .selectable(SELECTABLE)
    .all_columns(&[
        Column::compute("Last Seen", |event, now| Value::from(last_seen(event, now))),
        Column::at("Type", "/type"),
        Column::at("Reason", "/reason"),
        Column::compute("Object", |event, _| Value::from(object(event))),
        Column::at("Subobject", "/involvedObject/fieldPath").wide(),
        Column::compute("Source", |event, _| Value::from(source(event))).wide(),
        Column::compute("Message", |event, _| Value::from(text(event, "/message").trim())),
        Column::compute("First Seen", |event, now| Value::from(first_seen(event, now))).wide(),
        Column::compute("Count", |event, _| Value::from(count(event))).wide(),
        Column::name().wide(),
    ]);

pub(crate) fn first_seen(event: &Value, now: Timestamp) -> String {
    age(stamp(event, "/firstTimestamp").or_else(|| stamp(event, "/eventTime")), now)
}

pub(crate) fn last_seen(event: &Value, now: Timestamp) -> String {
    match stamp(event, "/series/lastObservedTime").or_else(|| stamp(event, "/lastTimestamp")) {
        Some(stamp) => age(Some(stamp), now),
        None => first_seen(event, now),
    }
}

/// A time that is set.
fn stamp<'e>(event: &'e Value, pointer: &str) -> Option<&'e Value> {
    event.pointer(pointer).filter(|stamp| !stamp.is_null())
}

pub(crate) fn count(event: &Value) -> i64 {
    match number(event, "/series/count") {
        0 => number(event, "/count").max(1),
        count => count,
    }
}

pub(crate) fn object(event: &Value) -> String {
    let kind = text(event, "/involvedObject/kind").to_ascii_lowercase();
    match text(event, "/involvedObject/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

pub(crate) fn source(event: &Value) -> String {
    let component = or(text(event, "/source/component"), text(event, "/reportingComponent"));
    match or(text(event, "/source/host"), text(event, "/reportingInstance")) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}

const MAX_ACTION: usize = 128;
const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;
const MAX_INSTANCE: usize = 128;

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    validate_as(new, "reportingComponent")
}

/// The rules of both forms; `reporter` is what the form calls the reporting component.
pub(crate) fn validate_as(new: &Value, reporter: &str) -> Vec<FieldError> {
    let about = text(new, "/involvedObject/namespace");
    let home = text(new, "/metadata/namespace");
    let path = Path::root("involvedObject.namespace");
    let lost = FieldError::invalid(&path, about, "does not match event.namespace");
    if text(new, "/eventTime").is_empty() {
        // Events about objects without a namespace live in `default`.
        let at_home = about == home || (about.is_empty() && home == "default");
        return (!at_home).then_some(lost).into_iter().collect();
    }
    let mut errors = Vec::new();
    if about.is_empty() && !matches!(home, "default" | "kube-system") {
        errors.push(lost);
    }
    let reporter_path = Path::root(reporter);
    let component = text(new, "/reportingComponent");
    if component.is_empty() {
        errors.push(FieldError::required(&reporter_path, ""));
    }
    errors.extend(rules::check(rules::qualified, component, &reporter_path));
    for (field, most) in [("reportingInstance", MAX_INSTANCE), ("action", MAX_ACTION), ("reason", MAX_REASON)]
    {
        errors.extend(sized(new, field, most, true));
    }
    errors.extend(sized(new, "message", MAX_NOTE, false));
    errors
}

fn sized(event: &Value, field: &str, most: usize, needed: bool) -> Option<FieldError> {
    let (path, found) = (Path::root(field), text(event, &format!("/{field}")));
    if found.is_empty() && needed {
        return Some(FieldError::required(&path, ""));
    }
    let detail = format!("can have at most {most} characters");
    (found.len() > most).then(|| FieldError::invalid(&path, "", detail))
}
