//! `pods/NAME/log`: what a container wrote, as the node has it.

use std::time::Duration;

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use futures::StreamExt as _;
use http::{Response, StatusCode};
use serde_json::Value;

use super::running;
use crate::meta;
use crate::node::{LogOptions, Output, PodRef, Since};
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::wire;

pub(crate) async fn answer(cx: Cx, permit: Permit) -> Result<Response<Body>, ApiError> {
    let pod = cx.load()?.value;
    let options = options(&cx, &pod)?;
    if running::check_assigned(&pod).is_err() {
        // Nothing has been written, and nobody is there to ask.
        let mut nothing = Response::new(Body::empty());
        *nothing.status_mut() = StatusCode::NO_CONTENT;
        return Ok(nothing);
    }
    let about = PodRef::of(&pod);
    let log = cx.server.node.logs(about, options).await.map_err(|error| running::refusal(&cx, error))?;
    let log = log.take_until(cx.server.shutdown.clone().cancelled_owned()).inspect(move |_| {
        // Keeps the place among the streams in flight as long as the stream lives.
        let _ = &permit;
    });
    Ok(wire::bytes_as(StatusCode::OK, Body::from_stream(log), "text/plain"))
}

fn options(cx: &Cx, pod: &Value) -> Result<LogOptions, ApiError> {
    let mut wrong = Vec::new();
    let mut number = |name: &'static str, least: i64, why: &str| -> Result<Option<i64>, ApiError> {
        let given = cx.query.number(name)?;
        if let Some(value) = given.filter(|value| *value < least) {
            wrong.push(FieldError::invalid(&Path::root(name), value, why));
        }
        Ok(given)
    };
    let tail_lines = number("tailLines", 0, "must be greater than or equal to 0")?;
    let limit_bytes = number("limitBytes", 1, "must be greater than 0")?;
    let seconds = number("sinceSeconds", 1, "must be greater than 0")?;
    let stream = match cx.query.get("stream") {
        None | Some("All") => None,
        Some("Stdout") => Some(Output::Stdout),
        Some("Stderr") => Some(Output::Stderr),
        Some(other) => {
            wrong.push(FieldError::not_supported(&Path::root("stream"), other, &["All", "Stderr", "Stdout"]));
            None
        }
    };
    if stream.is_some() && tail_lines.is_some() {
        let why = "`tailLines` and specific `stream` are mutually exclusive for now";
        wrong.push(FieldError::forbidden(&Path::root(""), why));
    }
    let time = cx.query.get("sinceTime");
    if seconds.is_some() && time.is_some() {
        let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        wrong.push(FieldError::forbidden(&Path::root(""), why));
    }
    if !wrong.is_empty() {
        return Err(ApiError::invalid_log_options(meta::name(pod), &wrong));
    }
    let unsigned = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let refused = |time: &str| ApiError::bad_request(format!("unable to parse sinceTime {time:?}"));
    let since = match (unsigned(seconds), time) {
        (Some(seconds), _) => Some(Since::Age(Duration::from_secs(seconds))),
        (None, Some(time)) => Some(Since::Time(time.parse().map_err(|_| refused(time))?)),
        (None, None) => None,
    };
    Ok(LogOptions {
        container: running::container(cx, pod)?,
        follow: cx.query.is_on("follow"),
        previous: cx.query.is_on("previous"),
        tail_lines: unsigned(tail_lines),
        since,
        timestamps: cx.query.is_on("timestamps"),
        limit_bytes: unsigned(limit_bytes),
        stream,
    })
}
