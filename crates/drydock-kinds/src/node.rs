//! Node: the machine that pods run on.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use crate::cells::or_none;
use crate::edit::{ensure, fill};
use crate::field::{FieldError, Path};
use crate::read::{entries, flag, list, or, text, texts};
use crate::rules;
use crate::{Column, KindSpec, Selectable};

const ROLE_LABEL: &str = "node-role.kubernetes.io/";

pub const KIND: KindSpec = KindSpec::cluster::<Node>()
    .short_names(&["no"])
    .with_status()
    .default_with(default)
    .validate_with(validate)
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

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, taint) in list(new, "/spec/taints").iter().enumerate() {
        // Below `metadata`, as a real cluster names it.
        let at = Path::root("metadata.taints").index(index);
        let (key, effect) = (text(taint, "/key"), text(taint, "/effect"));
        errors.extend(rules::check(rules::qualified, key, &at.child("key")));
        errors.extend(rules::check(rules::label_value, text(taint, "/value"), &at.child("value")));
        match effect {
            "" => errors.push(FieldError::required(&at.child("effect"), "")),
            effect if !EFFECTS.contains(&effect) => {
                errors.push(FieldError::not_supported(&at.child("effect"), effect, &EFFECTS));
            }
            _ => {}
        }
        if !seen.insert((key, effect)) {
            let shown =
                json!({ "Effect": effect, "Key": key, "TimeAdded": null, "Value": text(taint, "/value") });
            let mut error = FieldError::duplicate(&at, shown);
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
    for (index, cidr) in texts(new, "/spec/podCIDRs").enumerate() {
        errors.extend(rules::check(rules::cidr, cidr, &Path::root("spec.podCIDRs").index(index)));
    }
    errors
}

/// The single and the plural field say the same.
fn default(node: &mut Value) {
    ensure(node, "/spec");
    let Some(spec) = node.get_mut("spec") else { return };
    if let Some(one) = spec.get("podCIDR").filter(|one| one.is_string()).cloned() {
        fill(spec, "podCIDRs", vec![one]);
    } else if let Some(first) = list(spec, "/podCIDRs").first().cloned() {
        fill(spec, "podCIDR", first);
    }
    let capacity = node.pointer("/status/capacity").cloned();
    if let (Some(capacity), Some(status)) = (capacity, node.get_mut("status")) {
        fill(status, "allocatable", capacity);
    }
}
