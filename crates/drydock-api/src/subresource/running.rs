//! Which container of a pod a request means, and whether it runs.

use serde_json::Value;

use crate::meta;
use crate::node::NodeError;
use crate::server::Cx;
use crate::status::ApiError;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const STATUSES: [&str; 3] = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];

/// The container a request names, or the only one there is.
pub(super) fn container(cx: &Cx, pod: &Value) -> Result<String, ApiError> {
    let names = |list: &str| {
        let list = pod["spec"][list].as_array().into_iter().flatten();
        list.filter_map(|container| container["name"].as_str()).collect::<Vec<_>>()
    };
    let all: Vec<&str> = LISTS.iter().flat_map(|list| names(list)).collect();
    let name = meta::name(pod);
    match (cx.query.get("container"), names("containers").as_slice()) {
        (Some(wanted), _) if all.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => {
            Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {name}")))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// The container as its pod declares it.
pub(super) fn declared<'p>(pod: &'p Value, container: &str) -> Option<&'p Value> {
    let mut all = LISTS.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten());
    all.find(|one| one["name"] == container)
}

pub(super) fn is_running(pod: &Value, container: &str) -> bool {
    let mut all = STATUSES.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    all.any(|one| one["name"] == container && one["state"]["running"].is_object())
}

/// Refuses a pod that no node runs.
pub(super) fn check_assigned(pod: &Value) -> Result<(), ApiError> {
    match pod["spec"]["nodeName"].as_str() {
        Some(node) if !node.is_empty() => Ok(()),
        _ => Err(ApiError::bad_request(format!("pod {} does not have a host assigned", meta::name(pod)))),
    }
}

pub(crate) fn refusal(cx: &Cx, error: NodeError) -> ApiError {
    match error {
        NodeError::NotFound(why) => ApiError::not_found("", "pods", cx.path.name()).with_message(why),
        NodeError::BadRequest(why) => ApiError::bad_request(why),
        NodeError::Unavailable(why) => ApiError::unavailable(why),
        NodeError::NotImplemented(what) => ApiError::not_implemented(what),
    }
}
