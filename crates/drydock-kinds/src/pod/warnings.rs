//! What a real cluster warns of in pods and templates without refusing it.

use std::collections::HashMap;

use kubernetes_quantity::Quantity;
use serde_json::Value;

use crate::field::Path;
use crate::read::{entries, list, number, text};

/// Warnings about the pod specification of an object; `pointer` and `path` say where it is.
pub(crate) fn of(object: &Value, pointer: &str, path: &str) -> Vec<String> {
    let Some(spec) = object.pointer(pointer) else { return Vec::new() };
    let path = Path::root(path);
    let mut warnings = Vec::new();
    if number(spec, "/terminationGracePeriodSeconds") < 0 {
        let at = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for (index, secret) in list(spec, "/imagePullSecrets").iter().enumerate() {
        if text(secret, "/name").is_empty() {
            let at = path.child("imagePullSecrets").index(index).child("name");
            warnings.push(format!("{at}: invalid empty name \"\""));
        }
    }
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        if volume.get("gitRepo").is_some() {
            let at = path.child("volumes").index(index).child("gitRepo");
            warnings.push(format!("{at}: deprecated in v1.11, and disabled by default in v1.33+"));
        }
    }
    for (index, constraint) in list(spec, "/topologySpreadConstraints").iter().enumerate() {
        if constraint.get("labelSelector").is_none() {
            let at = path.child("topologySpreadConstraints").index(index).child("labelSelector");
            warnings.push(format!("{at}: a null labelSelector results in matching no pod"));
        }
    }
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, &format!("/{field}")).iter().enumerate() {
            warnings.extend(container_warnings(container, &path.child(field).index(index)));
        }
    }
    warnings
}

fn container_warnings(container: &Value, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for side in ["requests", "limits"] {
        for (name, amount) in entries(container, &format!("/resources/{side}")) {
            let fraction =
                amount.as_str().and_then(Quantity::parse).filter(|amount| amount.rounded_up() != *amount);
            if let (true, Some(amount)) = (matches!(name.as_str(), "memory" | "ephemeral-storage"), fraction)
            {
                let at = path.child("resources").child(side).key(name);
                let shown = amount.to_string();
                warnings
                    .push(format!("{at}: fractional byte value {shown:?} is invalid, must be an integer"));
            }
        }
    }
    let mut seen = HashMap::new();
    for (index, variable) in list(container, "/env").iter().enumerate() {
        let name = text(variable, "/name");
        if seen.insert(name, index).is_some() {
            let at = path.child("env").index(index);
            warnings.push(format!(
                "{at}: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
    let mut seen = HashMap::new();
    for (index, port) in list(container, "/ports").iter().enumerate() {
        let at = path.child("ports").index(index);
        let key = (
            number(port, "/containerPort"),
            text(port, "/protocol"),
            number(port, "/hostPort"),
            text(port, "/hostIP"),
        );
        if let Some(first) = seen.get(&key) {
            let other = path.child("ports").index(*first);
            warnings.push(format!("{at}: duplicate port definition with {other}"));
        }
        seen.entry(key).or_insert(index);
    }
    warnings
}

/// A name that also names pods should be fit for a host.
pub(crate) fn name(object: &Value) -> Vec<String> {
    let complaints = crate::rules::label(text(object, "/metadata/name"));
    let start = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS \
                 label is recommended";
    if complaints.is_empty() { Vec::new() } else { vec![format!("{start}: [{}]", complaints.join(" "))] }
}
