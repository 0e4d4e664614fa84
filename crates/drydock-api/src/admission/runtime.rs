//! RuntimeClass: what a runtime costs and where it is found comes from its class.

use serde_json::Value;

use super::{find, forbidden, items, push};
use crate::server::Cx;
use crate::status::ApiError;

pub(super) fn mutate(cx: &Cx, pod: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let name = pod["spec"]["runtimeClassName"].as_str().unwrap_or("").to_owned();
    if old.is_some() {
        return Ok(());
    }
    if name.is_empty() {
        let has_overhead = pod["spec"]["overhead"].as_object().is_some_and(|overhead| !overhead.is_empty());
        return match has_overhead {
            true => Err(forbidden(
                cx,
                pod,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
            false => Ok(()),
        };
    }
    let Some(class) = find(cx, &format!("node.k8s.io/runtimeclasses//{name}"))? else {
        return Err(forbidden(cx, pod, &format!("pod rejected: RuntimeClass {name:?} not found")));
    };
    if let Some(overhead) = class["overhead"].get("podFixed") {
        if pod["spec"].get("overhead").is_some_and(|given| given != overhead) {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(forbidden(cx, pod, why));
        }
        pod["spec"]["overhead"] = overhead.clone();
    }
    for (key, value) in class["scheduling"]["nodeSelector"].as_object().into_iter().flatten() {
        if pod["spec"]["nodeSelector"].get(key).is_some_and(|given| given != value) {
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                value.as_str().unwrap_or(""),
                pod["spec"]["nodeSelector"][key].as_str().unwrap_or(""),
            );
            return Err(forbidden(cx, pod, &why));
        }
        pod["spec"]["nodeSelector"][key] = value.clone();
    }
    for toleration in items(&class["scheduling"], "tolerations") {
        if !items(&pod["spec"], "tolerations").contains(toleration) {
            push(&mut pod["spec"], "tolerations", toleration.clone());
        }
    }
    Ok(())
}
