//! Questions about pods, and pods from templates. Pure.
//!
//! Start at [`from_template`] or [`is_available`].

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::cx::elapsed;
use crate::owner::is_deleting;

pub fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// On its way out, and not there yet.
pub fn is_terminating(pod: &Pod) -> bool {
    is_deleting(&pod.metadata) && !is_finished(pod)
}

/// Counts towards the wanted number of pods.
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_deleting(&pod.metadata)
}

pub fn is_running_and_ready(pod: &Pod) -> bool {
    phase(pod) == "Running" && is_ready(pod)
}

pub fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// Ready for at least `min_ready_s` seconds.
pub fn is_available(pod: &Pod, min_ready_s: i32, now: Timestamp) -> bool {
    is_ready(pod) && time_to_available(pod, min_ready_s, now).is_none()
}

/// How long a ready pod still has to stay ready to count as available.
pub fn time_to_available(pod: &Pod, min_ready_s: i32, now: Timestamp) -> Option<Duration> {
    let since = condition(pod, "Ready").filter(|c| c.status == "True")?.last_transition_time.as_ref()?;
    let needed = Duration::from_secs(u64::try_from(min_ready_s).unwrap_or(0));
    needed.checked_sub(elapsed(since, now)).filter(|left| !left.is_zero())
}

/// The highest restart count among the pod's containers.
pub fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).max().unwrap_or(0)
}

/// A pod as a template describes it, in `namespace`, managed by `owner`. It has no name yet.
pub fn from_template(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let given = template.metadata.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        namespace: Some(namespace.to_owned()),
        labels: given.labels,
        annotations: given.annotations,
        finalizers: given.finalizers,
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    Pod { metadata, spec: template.spec.clone(), status: None }
}
