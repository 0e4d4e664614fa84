//! Checks of one container: what it runs, its ports, variables, mounts and resources.

use std::collections::HashSet;

use kubernetes_quantity::Quantity;
use serde_json::Value;

use super::{Context, choice, probe, security};
use crate::field::{FieldError, Path};
use crate::pod::is_sidecar;
use crate::read::{entries, flag, list, text};
use crate::rules::{self, check as obey, check_required};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const STANDARD_RESOURCES: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// Resources that mean something elsewhere, not for a container.
const OTHER_RESOURCES: [&str; 4] = ["pods", "services", "storage", "secrets"];

pub(super) fn check(container: &Value, path: &Path, context: &Context<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(check_required(rules::label, container, "name", path));
    let image = text(container, "/image");
    if image.is_empty() {
        errors.push(FieldError::required(&path.child("image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, detail));
    }
    errors.extend(choice(container, path, "terminationMessagePolicy", &["File", "FallbackToLogsOnError"]));
    errors.extend(ports(container, &path.child("ports")));
    errors.extend(environment(container, &path.child("env")));
    errors.extend(sources(container, &path.child("envFrom")));
    errors.extend(mounts(container, &path.child("volumeMounts"), context));
    errors.extend(devices(container, &path.child("volumeDevices"), context));
    errors.extend(choice(container, path, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]));
    errors.extend(resources(container, &path.child("resources"), context));
    errors.extend(resize_policies(container, &path.child("resizePolicy")));
    errors.extend(security::container(container, &path.child("securityContext")));
    errors.extend(choice(container, path, "restartPolicy", &["Always", "Never", "OnFailure"]));
    errors.extend(probe::lifecycle(container, &path.child("lifecycle"), context.grace_s));
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(name) {
            errors.extend(probe::check(value, &path.child(name), name == "readinessProbe"));
        }
    }
    errors
}

/// An init container ends before the others start, unless it is a sidecar.
pub(super) fn check_init(container: &Value, path: &Path) -> Vec<FieldError> {
    if is_sidecar(container) {
        return Vec::new();
    }
    let fields = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];
    let present = fields.into_iter().filter(|field| container.get(*field).is_some());
    let detail = "may not be set for init containers without restartPolicy=Always";
    present.map(|field| FieldError::forbidden(&path.child(field), detail)).collect()
}

fn ports(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, port) in list(container, "/ports").iter().enumerate() {
        let at = path.index(index);
        let name = text(port, "/name");
        if !name.is_empty() {
            let bad = obey(rules::port_name, name, &at.child("name"));
            if bad.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
            errors.extend(bad);
        }
        match port.get("containerPort").and_then(Value::as_i64) {
            None | Some(0) => errors.push(FieldError::required(&at.child("containerPort"), "")),
            Some(number) => errors.extend(port_number(number, &at.child("containerPort"))),
        }
        if let Some(number) = port.get("hostPort").and_then(Value::as_i64).filter(|number| *number != 0) {
            errors.extend(port_number(number, &at.child("hostPort")));
        }
        errors.extend(choice(port, &at, "protocol", &PROTOCOLS));
    }
    errors
}

/// A port between 1 and 65535.
pub(crate) fn port_number(number: i64, path: &Path) -> Option<FieldError> {
    let detail = "must be between 1 and 65535, inclusive";
    (!(1..=65535).contains(&number)).then(|| FieldError::invalid(path, number, detail))
}

/// A port as number or name.
pub(crate) fn port_or_name(value: &Value, path: &Path) -> Vec<FieldError> {
    match value {
        Value::String(name) => obey(rules::port_name, name, path),
        other => port_number(other.as_i64().unwrap_or_default(), path).into_iter().collect(),
    }
}

fn environment(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, variable) in list(container, "/env").iter().enumerate() {
        let at = path.index(index);
        errors.extend(check_required(rules::variable, variable, "name", &at));
        if let Some(source) = variable.get("valueFrom") {
            errors.extend(value_from(variable, source, &at.child("valueFrom")));
        }
    }
    errors
}

fn value_from(variable: &Value, source: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(field) = source.get("fieldRef") {
        errors.extend(variable_field(field, &path.child("fieldRef")));
    }
    if let Some(resource) = source.get("resourceFieldRef") {
        errors.extend(resource_field(resource, &path.child("resourceFieldRef"), false));
    }
    for reference in ["configMapKeyRef", "secretKeyRef"] {
        let Some(value) = source.get(reference) else { continue };
        let at = path.child(reference);
        errors.extend(obey(rules::subdomain, text(value, "/name"), &at.child("name")));
        errors.extend(check_required(rules::data_key, value, "key", &at));
    }
    let count = source.as_object().map_or(0, serde_json::Map::len);
    if count == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.push(FieldError::invalid(path, "", detail));
    } else if !text(variable, "/value").is_empty() {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if count > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
    errors
}

/// Fields of a pod that a variable may show.
fn variable_field(field: &Value, path: &Path) -> Vec<FieldError> {
    const FIELDS: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let at = path.child("fieldPath");
    let name = text(field, "/fieldPath");
    if name.is_empty() {
        return vec![FieldError::required(&at, "")];
    }
    let by_key = ["metadata.labels['", "metadata.annotations['"].iter().any(|start| name.starts_with(start));
    if FIELDS.contains(&name) || (by_key && name.ends_with("']")) {
        return Vec::new();
    }
    match name {
        "metadata.labels" | "metadata.annotations" => vec![FieldError::not_supported(&at, name, &FIELDS)],
        _ => {
            let detail = format!("error converting fieldPath: field label not supported: {name}");
            vec![FieldError::invalid(&at, name, detail)]
        }
    }
}

/// A resource of a container; in a volume the container has to be named.
pub(super) fn resource_field(field: &Value, path: &Path, in_volume: bool) -> Vec<FieldError> {
    let name = text(field, "/resource");
    if in_volume && text(field, "/containerName").is_empty() {
        return vec![FieldError::required(&path.child("containerName"), "")];
    }
    if name.is_empty() {
        return vec![FieldError::required(&path.child("resource"), "")];
    }
    let known = RESOURCE_FIELDS.contains(&name) || name.contains(".hugepages-");
    let error = || FieldError::not_supported(&path.child("resource"), name, &RESOURCE_FIELDS);
    (!known).then(error).into_iter().collect()
}

fn sources(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, source) in list(container, "/envFrom").iter().enumerate() {
        let at = path.index(index);
        errors.extend(rules::check_if_present(rules::variable, source, "prefix", &at));
        let present = ["configMapRef", "secretRef"].into_iter().filter(|kind| source.get(*kind).is_some());
        let present: Vec<&str> = present.collect();
        for kind in &present {
            errors.extend(check_required(rules::subdomain, &source[*kind], "name", &at.child(kind)));
        }
        match present.len() {
            0 => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, "", detail));
            }
            1 => {}
            _ => {
                let detail = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(path, "", detail));
            }
        }
    }
    errors
}

fn mounts(container: &Value, path: &Path, context: &Context<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let at = path.index(index);
        let (name, target) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        }
        if !context.volumes.contains(name) {
            errors.push(FieldError::not_found(&at.child("name"), name));
        }
        if target.is_empty() {
            errors.push(FieldError::required(&at.child("mountPath"), ""));
        } else if !seen.insert(target) {
            errors.push(FieldError::invalid(&at.child("mountPath"), target, "must be unique"));
        }
        // Without an index, as a real cluster names these.
        errors.extend(super::volume::inner_path(text(mount, "/subPath"), &path.child("subPath")));
        let expression = text(mount, "/subPathExpr");
        if !expression.is_empty() {
            if !text(mount, "/subPath").is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                errors.push(FieldError::invalid(&at.child("subPathExpr"), expression, detail));
            }
            errors.extend(super::volume::inner_path(expression, &path.child("subPathExpr")));
        }
        errors.extend(propagation(mount, container, path));
    }
    errors
}

fn propagation(mount: &Value, container: &Value, path: &Path) -> Vec<FieldError> {
    let modes = ["Bidirectional", "HostToContainer", "None"];
    let mut errors: Vec<FieldError> = choice(mount, path, "mountPropagation", &modes).into_iter().collect();
    if text(mount, "/mountPropagation") == "Bidirectional" && !flag(container, "/securityContext/privileged")
    {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(&path.child("mountPropagation"), detail));
    }
    let recursive = matches!(text(mount, "/recursiveReadOnly"), "Enabled" | "IfPossible");
    if recursive && !flag(mount, "/readOnly") {
        let detail = "may only be specified when readOnly is true";
        errors.push(FieldError::forbidden(&path.child("recursiveReadOnly"), detail));
    }
    errors
}

fn devices(container: &Value, path: &Path, context: &Context<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, device) in list(container, "/volumeDevices").iter().enumerate() {
        let at = path.index(index);
        let name = text(device, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !context.volumes.contains(name) {
            errors.push(FieldError::not_found(&at.child("name"), name));
        }
        if text(device, "/devicePath").is_empty() {
            errors.push(FieldError::required(&at.child("devicePath"), ""));
        }
    }
    errors
}

fn resources(container: &Value, path: &Path, context: &Context<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let resources = &container["resources"];
    let amount = |value: &Value| value.as_str().and_then(Quantity::parse);
    for side in ["limits", "requests"] {
        for (name, value) in entries(resources, &format!("/{side}")) {
            let at = path.child(side).key(name);
            errors.extend(resource_name(name, &at));
            errors.extend(resource_amount(name, value, &at));
            let most = &resources["limits"][name];
            if side == "limits" {
                continue;
            }
            match (amount(value), amount(most)) {
                (Some(_), None) if !overcommits(name) => {
                    let detail = "Limit must be set for non overcommitable resources";
                    errors.push(FieldError::required(&path.child("limits"), detail));
                }
                (Some(asked), Some(most)) if !overcommits(name) && asked != most => {
                    let detail = format!("must be equal to {name} limit of {most}");
                    errors.push(FieldError::invalid(&path.child("requests"), value.clone(), detail));
                }
                (Some(asked), Some(most)) if asked > most => {
                    let detail = format!("must be less than or equal to {name} limit of {most}");
                    errors.push(FieldError::invalid(&path.child("requests"), value.clone(), detail));
                }
                _ => {}
            }
        }
    }
    let asks = |wanted: fn(&str) -> bool| {
        ["/limits", "/requests"].iter().any(|side| entries(resources, side).any(|(name, _)| wanted(name)))
    };
    if asks(|name| name.starts_with("hugepages-")) && !asks(|name| matches!(name, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    let known: Vec<&str> =
        list(context.spec, "/resourceClaims").iter().map(|claim| text(claim, "/name")).collect();
    for (index, claim) in list(resources, "/claims").iter().enumerate() {
        let name = text(claim, "/name");
        if !known.contains(&name) {
            let which = if known.is_empty() { " which is empty" } else { "" };
            let mut error = FieldError::not_found(&path.child("claims").index(index), name);
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{which}");
            errors.push(error);
        }
    }
    errors
}

fn overcommits(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    native && !name.starts_with("hugepages-")
}

fn resource_name(name: &str, path: &Path) -> Vec<FieldError> {
    let rename = |mut error: FieldError| {
        error.value = Some(name.into());
        error
    };
    let mut errors: Vec<FieldError> = obey(rules::qualified, name, path).into_iter().map(rename).collect();
    let standard = STANDARD_RESOURCES.contains(&name) || name.starts_with("hugepages-");
    if errors.is_empty() && !name.contains('/') && !standard && !OTHER_RESOURCES.contains(&name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    if !name.contains('/') && !standard {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
    errors
}

fn resource_amount(name: &str, value: &Value, path: &Path) -> Vec<FieldError> {
    let Some(amount) = value.as_str().and_then(Quantity::parse) else { return Vec::new() };
    let mut errors = Vec::new();
    if amount < Quantity::ZERO {
        errors.push(FieldError::invalid(path, value.clone(), "must be greater than or equal to 0"));
    }
    if name.contains('/') && amount.rounded_up() != amount {
        errors.push(FieldError::invalid(path, value.clone(), "must be an integer"));
    }
    errors
}

fn resize_policies(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for policy in list(container, "/resizePolicy") {
        let name = text(policy, "/resourceName");
        if !["cpu", "memory"].contains(&name) {
            errors.push(FieldError::not_supported(path, name, &["cpu", "memory"]));
        }
        let restart = text(policy, "/restartPolicy");
        if !["NotRequired", "RestartContainer"].contains(&restart) {
            errors.push(FieldError::not_supported(path, restart, &["NotRequired", "RestartContainer"]));
        }
    }
    errors
}
