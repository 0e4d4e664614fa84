//! ComponentStatus: what old clients ask about the parts of a control plane. Deprecated, and always an empty list:
//! drydock's parts are one process, which answers or does not.

use k8s_openapi::api::core::v1::ComponentStatus;
use serde_json::Value;

use crate::read::{list, text};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<ComponentStatus>()
    .short_names(&["cs"])
    .verbs(&["get", "list"])
    .deprecated("v1 ComponentStatus is deprecated in v1.19+")
    .columns(&[
        Column::compute("Status", |object, _| Value::from(health(object))),
        Column::compute("Message", |object, _| condition(object, "/message")),
        Column::compute("Error", |object, _| condition(object, "/error")),
    ]);

fn healthy(object: &Value) -> Option<&Value> {
    list(object, "/conditions").iter().find(|condition| text(condition, "/type") == "Healthy")
}

fn health(object: &Value) -> &'static str {
    match healthy(object).map(|condition| text(condition, "/status")) {
        None => "Unknown",
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
    }
}

fn condition(object: &Value, field: &str) -> Value {
    Value::from(healthy(object).map(|condition| text(condition, field)).unwrap_or_default())
}
