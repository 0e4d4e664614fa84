//! Node: the machine that pods run on.

use k8s_openapi::api::core::v1::Node;
use serde_json::Value;

use crate::cells::or_none;
use crate::edit::ensure;
use crate::read::{entries, flag, list, or, text};
use crate::{Column, KindSpec, Selectable};

const ROLE_LABEL: &str = "node-role.kubernetes.io/";

pub const KIND: KindSpec = KindSpec::cluster::<Node>()
    .short_names(&["no"])
    .with_status()
    .default_with(|node| {
        ensure(node, "/spec");
    })
    .selectable(&[Selectable::at("spec.unschedulable", &["/spec/unschedulable"]).or("false")])
    .columns(&[
        Column::compute("Status", |node, _| Value::from(status(node))),
        Column::compute("Roles", |node, _| roles(node)),
        Column::age(),
        Column::at("Version", "/status/nodeInfo/kubeletVersion"),
        Column::compute("Internal-IP", |node, _| address(node, "InternalIP")).wide(),
        Column::compute("External-IP", |node, _| address(node, "ExternalIP")).wide(),
        Column::compute("OS-Image", |node, _| info(node, "osImage")).wide(),
        Column::compute("Kernel-Version", |node, _| kernel(node)).wide(),
        Column::compute("Container-Runtime", |node, _| info(node, "containerRuntimeVersion")).wide(),
    ]);

fn status(node: &Value) -> String {
    let ready = list(node, "/status/conditions").iter().find(|condition| text(condition, "/type") == "Ready");
    let word = match ready.map(|condition| text(condition, "/status")) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    let paused = if flag(node, "/spec/unschedulable") { ",SchedulingDisabled" } else { "" };
    format!("{word}{paused}")
}

fn roles(node: &Value) -> Value {
    let labels = entries(node, "/metadata/labels");
    let roles: Vec<&str> = labels.filter_map(|(key, _)| key.strip_prefix(ROLE_LABEL)).collect();
    or_none(&roles.join(","))
}

fn address(node: &Value, kind: &str) -> Value {
    let found = list(node, "/status/addresses").iter().find(|address| text(address, "/type") == kind);
    or_none(found.map(|address| text(address, "/address")).unwrap_or_default())
}

fn info(node: &Value, field: &str) -> Value {
    Value::from(or(text(node, &format!("/status/nodeInfo/{field}")), "<unknown>"))
}

fn kernel(node: &Value) -> Value {
    let version = or(text(node, "/status/nodeInfo/kernelVersion"), "<unknown>");
    match text(node, "/status/nodeInfo/architecture") {
        "" => Value::from(version),
        architecture => Value::from(format!("{version} ({architecture})")),
    }
}
