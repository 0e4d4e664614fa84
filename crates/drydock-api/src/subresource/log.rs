//! `pods/NAME/log`: what a container wrote, as the node has it.

use std::time::Duration;

use axum::body::Body;
use futures::StreamExt as _;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::meta;
use crate::node::{LogOptions, NodeError, PodRef, Since};
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::wire;

pub(super) async fn answer(cx: Cx, permit: Permit) -> Result<Response<Body>, ApiError> {
    let pod = cx.load()?.value;
    let options = options(&cx, &pod)?;
    let about = PodRef {
        namespace: meta::namespace(&pod).to_owned(),
        name: meta::name(&pod).to_owned(),
        uid: meta::uid(&pod).to_owned(),
    };
    let log = cx.server.node.logs(about, options).await.map_err(|error| refusal(&cx, error))?;
    let log = log.take_until(cx.server.shutdown.clone().cancelled_owned()).inspect(move |_| {
        // Keeps the place among the streams in flight as long as the stream lives.
        let _ = &permit;
    });
    Ok(wire::bytes_as(StatusCode::OK, Body::from_stream(log), "text/plain"))
}

fn options(cx: &Cx, pod: &Value) -> Result<LogOptions, ApiError> {
    let count = |name: &str| -> Result<Option<u64>, ApiError> {
        let refused = || ApiError::bad_request(format!("invalid {name}: must not be negative"));
        cx.query.number(name)?.map(|number| u64::try_from(number).map_err(|_| refused())).transpose()
    };
    let since = match (cx.query.number("sinceSeconds")?, cx.query.get("sinceTime")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("at most one of sinceTime or sinceSeconds may be specified"));
        }
        (Some(seconds), None) => Some(Since::Age(Duration::from_secs(seconds.max(0).unsigned_abs()))),
        (None, Some(time)) => {
            let refused = |_| ApiError::bad_request(format!("invalid sinceTime {time:?}"));
            Some(Since::Time(time.parse().map_err(refused)?))
        }
        (None, None) => None,
    };
    Ok(LogOptions {
        container: container(cx, pod)?,
        follow: cx.query.is_true("follow"),
        previous: cx.query.is_true("previous"),
        tail_lines: count("tailLines")?,
        since,
        timestamps: cx.query.is_true("timestamps"),
        limit_bytes: count("limitBytes")?,
    })
}

/// The container a request names, or the only one there is.
pub(super) fn container(cx: &Cx, pod: &Value) -> Result<String, ApiError> {
    let names = |field: &str| {
        let list = pod["spec"][field].as_array().into_iter().flatten();
        list.filter_map(|container| container["name"].as_str()).collect::<Vec<_>>()
    };
    let (containers, inits) = (names("containers"), names("initContainers"));
    let name = meta::name(pod);
    match (cx.query.get("container"), containers.as_slice()) {
        (Some(wanted), _) if containers.contains(&wanted) || inits.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => {
            Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {name}")))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, many) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            many.join(" ")
        ))),
    }
}

fn refusal(cx: &Cx, error: NodeError) -> ApiError {
    match error {
        NodeError::NotFound(why) => ApiError::not_found("", "pods", cx.path.name()).with_message(why),
        NodeError::BadRequest(why) => ApiError::bad_request(why),
        NodeError::Unavailable(why) => ApiError::unavailable(why),
        NodeError::NotImplemented(what) => ApiError::not_implemented(what),
    }
}
