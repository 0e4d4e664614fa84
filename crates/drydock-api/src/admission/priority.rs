//! Priority: the number behind a pod's priority class.

use serde_json::Value;

use super::{all, fill, find, forbidden};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

const CLASSES: &str = "scheduling.k8s.io/priorityclasses//";

pub(super) fn mutate(cx: &Cx, pod: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if !cx.kind.is("", "pods") || !pod["spec"].is_object() {
        return Ok(());
    }
    if let Some(old) = old {
        for field in ["priority", "preemptionPolicy"] {
            if let Some(known) = old["spec"].get(field) {
                fill(&mut pod["spec"], field, known.clone());
            }
        }
        return Ok(());
    }
    let class = class_of(cx, pod)?;
    let number = class.as_ref().and_then(|class| class["value"].as_i64()).unwrap_or(0);
    let policy = class.as_ref().and_then(|class| class["preemptionPolicy"].as_str());
    let policy = policy.unwrap_or("PreemptLowerPriority").to_owned();
    let given = &pod["spec"]["priority"];
    if let Some(given) = given.as_i64().filter(|given| *given != number) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {number} from the given PriorityClass name"
        );
        return Err(forbidden(cx, pod, &why));
    }
    if let Some(given) = pod["spec"]["preemptionPolicy"].as_str().filter(|given| *given != policy) {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        );
        return Err(forbidden(cx, pod, &why));
    }
    pod["spec"]["priority"] = number.into();
    pod["spec"]["preemptionPolicy"] = policy.into();
    if let Some(class) = class {
        pod["spec"]["priorityClassName"] = meta::name(&class).into();
    }
    Ok(())
}

/// The class a pod names, or the default one.
fn class_of(cx: &Cx, pod: &Value) -> Result<Option<Value>, ApiError> {
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or("");
    if name.is_empty() {
        return default_class(cx);
    }
    let missing = || forbidden(cx, pod, &format!("no PriorityClass with name {name} was found"));
    find(cx, &format!("{CLASSES}{name}"))?.ok_or_else(missing).map(Some)
}

fn default_class(cx: &Cx) -> Result<Option<Value>, ApiError> {
    let classes = all(cx, CLASSES)?.into_iter().filter(|class| class["globalDefault"] == true);
    Ok(classes.min_by_key(|class| class["value"].as_i64()))
}

/// Only one class is the default.
pub(super) fn validate(cx: &Cx, class: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if !cx.kind.is("scheduling.k8s.io", "priorityclasses") || class["globalDefault"] != true {
        return Ok(());
    }
    match default_class(cx)? {
        Some(other) if old.is_none() || meta::name(&other) != meta::name(class) => {
            let other = meta::name(&other);
            let why =
                format!("PriorityClass {other} is already marked as default. Only one default can exist");
            Err(forbidden(cx, class, &why))
        }
        _ => Ok(()),
    }
}
