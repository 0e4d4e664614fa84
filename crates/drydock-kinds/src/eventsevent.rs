//! Event of the group `events.k8s.io`: the same events under newer field names.
//!
//! Stored as core events. Creation through this door is stricter, as clients that use it write complete events.

use k8s_openapi::api::events::v1::Event;
use serde_json::{Value, json};

use crate::edit::{drop_blank, fill_at};
use crate::field::{FieldError, Path};
use crate::meta::immutable;
use crate::read::{number, text};
use crate::spec::Stored;
use crate::{Column, KindSpec, Selectable, event};

/// Names here and names of the stored form.
const RENAMED: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedSource", "source"),
];

pub const KIND: KindSpec = KindSpec::namespaced::<Event>()
    .short_names(&["ev"])
    .stored_as(Stored { group: "", version: "v1", to: to_core, from: from_core })
    .default_with(|event| fill_at(event, "", json!({ "deprecatedSource": {} })))
    .validate_with(validate)
    .selectable(&[
        Selectable::at("regarding.kind", &["/regarding/kind"]),
        Selectable::at("regarding.namespace", &["/regarding/namespace"]),
        Selectable::at("regarding.name", &["/regarding/name"]),
        Selectable::at("regarding.uid", &["/regarding/uid"]),
        Selectable::at("regarding.apiVersion", &["/regarding/apiVersion"]),
        Selectable::at("regarding.resourceVersion", &["/regarding/resourceVersion"]),
        Selectable::at("regarding.fieldPath", &["/regarding/fieldPath"]),
        Selectable::at("reason", &["/reason"]),
        Selectable::at("reportingController", &["/reportingController"]),
        Selectable::at("type", &["/type"]),
    ])
    .all_columns(&[
        Column::compute("Last Seen", |event, now| Value::from(event::last_seen(&core(event), now))),
        Column::at("Type", "/type"),
        Column::at("Reason", "/reason"),
        Column::compute("Object", |event, _| Value::from(event::object(&core(event)))),
        Column::at("Subobject", "/regarding/fieldPath").wide(),
        Column::compute("Source", |event, _| Value::from(event::source(&core(event)))).wide(),
        Column::compute("Message", |event, _| Value::from(text(event, "/note").trim())),
        Column::compute("First Seen", |event, now| Value::from(event::first_seen(&core(event), now))).wide(),
        Column::compute("Count", |event, _| Value::from(event::count(&core(event)))).wide(),
        Column::name().wide(),
    ]);

fn core(event: &Value) -> Value {
    let mut event = event.clone();
    to_core(&mut event);
    event
}

fn to_core(event: &mut Value) {
    RENAMED.iter().for_each(|(here, stored)| rename(event, here, stored));
}

fn from_core(event: &mut Value) {
    RENAMED.iter().for_each(|(here, stored)| rename(event, stored, here));
    // Core events name their reporter even when they have none.
    drop_blank(event, "reportingController");
    drop_blank(event, "reportingInstance");
}

fn rename(event: &mut Value, from: &str, to: &str) {
    let Some(fields) = event.as_object_mut() else { return };
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let new = core(new);
    let mut errors = event::validate_as(&new, "reportingController");
    match old.map(core) {
        None => {
            errors.extend(validate_series(&new));
            errors.extend(validate_new(&new));
        }
        Some(old) => errors.extend(validate_update(&new, &old)),
    }
    errors
}

fn validate_series(event: &Value) -> Vec<FieldError> {
    let Some(series) = event.get("series") else { return Vec::new() };
    let path = Path::root("series");
    let mut errors = Vec::new();
    if number(series, "/count") < 2 {
        errors.push(FieldError::invalid(&path.child("count"), "", "should be at least 2"));
    }
    if text(series, "/lastObservedTime").is_empty() {
        errors.push(FieldError::required(&path.child("lastObservedTime"), ""));
    }
    errors
}

fn validate_new(event: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(event, "/eventTime").is_empty() {
        errors.push(FieldError::required(&Path::root("eventTime"), ""));
    }
    let kind = text(event, "/type");
    if !["Normal", "Warning"].contains(&kind) {
        errors.push(FieldError::invalid(&Path::root("type"), "", format!("has invalid value: {kind}")));
    }
    let source = ["/source/component", "/source/host"].iter().any(|field| !text(event, field).is_empty());
    let older = [
        ("firstTimestamp", !text(event, "/firstTimestamp").is_empty()),
        ("lastTimestamp", !text(event, "/lastTimestamp").is_empty()),
        ("count", number(event, "/count") != 0),
        ("source", source),
    ];
    let set = older.iter().filter(|(_, set)| *set);
    errors.extend(set.map(|(field, _)| FieldError::invalid(&Path::root(field), "", "needs to be unset")));
    errors
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = if new.get("series") == old.get("series") { Vec::new() } else { validate_series(new) };
    let fixed = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
        "related",
        "reportingComponent",
        "reportingInstance",
    ];
    let changed = fixed.into_iter().filter(|field| new.get(field) != old.get(field));
    errors.extend(changed.map(|field| {
        let shown = if field == "reportingComponent" { "reportingController" } else { field };
        immutable(&Path::root(shown), &new[field])
    }));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Value {
        json!({
            "metadata": {"name": "a", "namespace": "default"}, "eventTime": "2026-01-01T00:00:00.000000Z",
            "type": "Normal", "reason": "Started", "action": "Start", "reportingController": "example.com/x",
            "reportingInstance": "x-1", "note": "hello", "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
        })
    }

    #[track_caller]
    fn check(change: fn(&mut Value), expect: &[&str]) {
        let mut event = sound();
        change(&mut event);
        let texts: Vec<String> = validate(&event, None).iter().map(FieldError::to_string).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn both_forms_are_the_same_event() {
        let stored = core(&sound());
        assert_eq!((&stored["message"], &stored["involvedObject"]["name"]), (&json!("hello"), &json!("p")));
        let mut shown = stored;
        from_core(&mut shown);
        assert_eq!(shown, sound());
    }

    #[test]
    fn a_new_event_is_complete_and_uses_no_old_fields() {
        check(|_| {}, &[]);
        check(|event| event["type"] = "Odd".into(), &[r#"type: Invalid value: "": has invalid value: Odd"#]);
        check(
            |event| event["deprecatedCount"] = 2.into(),
            &[r#"count: Invalid value: "": needs to be unset"#],
        );
        check(|event| event["action"] = "".into(), &["action: Required value"]);
    }
}
