//! What comes piece by piece: the assistant's replies while they are made, and what other windows change.
//!
//! Both are the backend's own streams, passed on under the browser's session. The chat form ends here too; without
//! the script it is an ordinary form of the board.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use service::client::Stream;
use service::shutdown::Stopping;

use crate::api::{Api, EVENT_STREAM, Error, Problem};
use crate::board::{self, Fields, Wish};
use crate::session::Visitor;

/// Ids of events are opaque but short.
const EVENT_ID_MAX: usize = 64;

/// What changes for this user. 401 sends the script to the login page; on anything else it tries again later.
pub async fn events(State(api): State<Arc<Api>>, stopping: Stopping, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| is_id(id));
    let opened = match api.session_of(&visitor).await {
        Ok(logged_in) => logged_in.events(after).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(stream) => pass_on(stream, stopping),
        Err(error) => refusal(&error),
    }
}

pub async fn chat(
    State(api): State<Arc<Api>>,
    stopping: Stopping,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let wants_events = headers.get(header::ACCEPT).is_some_and(|accept| accept == EVENT_STREAM);
    if !wants_events {
        return board::fulfil(State(api), headers, fields, Wish::Say).await;
    }
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        let problem = Problem::new("This page is too old. Reload it, then say it again.");
        return (StatusCode::FORBIDDEN, Json(words(&problem))).into_response();
    }
    let opened = match api.session_of(&visitor).await {
        Ok(logged_in) => logged_in.say_streaming(&fields.message).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(stream) if is_event_stream(&stream.headers) => pass_on(stream, stopping),
        Ok(stream) => match stream.whole().await.and_then(|answer| answer.json()) {
            Ok(reply) => event_stream(Body::from(as_events(&reply))),
            Err(error) => refusal(&error.into()),
        },
        Err(error) => refusal(&error),
    }
}

/// A reply in one piece, told as the events of a streamed one.
fn as_events(reply: &Value) -> String {
    let event = |name: &str, data: &Value| format!("event: {name}\ndata: {data}\n\n");
    let calls = reply["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tools: String = calls.iter().map(|call| event("tool", call)).collect();
    let delta = event("delta", &json!({ "text": reply["response"] }));
    format!("{tools}{delta}{}", event("done", reply))
}

/// Until the backend ends it or we stop; when the browser goes away the stream is dropped with the answer.
fn pass_on(stream: Stream, stopping: Stopping) -> Response {
    let pieces = futures::stream::unfold((stream, stopping), |(mut stream, mut stopping)| async {
        let piece = tokio::select! {
            piece = stream.next() => piece?,
            () = stopping.begun() => return None,
        };
        match piece {
            Ok(bytes) => Some((Ok::<Bytes, Infallible>(bytes), (stream, stopping))),
            Err(error) => {
                tracing::info!(error = service::log::chain(&error), "the stream broke");
                None
            }
        }
    });
    event_stream(Body::from_stream(pieces))
}

fn event_stream(body: Body) -> Response {
    // The third tells nginx and its like not to collect the pieces.
    let headers =
        [("content-type", EVENT_STREAM), ("cache-control", "no-store"), ("x-accel-buffering", "no")];
    (headers, body).into_response()
}

fn refusal(error: &Error) -> Response {
    let status = match error {
        Error::LoggedOut => StatusCode::UNAUTHORIZED,
        Error::Refused(_) | Error::Gone => StatusCode::UNPROCESSABLE_ENTITY,
        Error::NotFound(_) | Error::Unreachable(_) | Error::Unhealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(words(&error.problem()))).into_response()
}

fn words(problem: &Problem) -> Value {
    json!({ "message": problem.line() })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM))
}

/// Safe to put into an address.
fn is_id(id: &str) -> bool {
    id.len() <= EVENT_ID_MAX
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_in_one_piece_becomes_the_same_events() {
        let reply =
            json!({ "conversation_id": 1, "response": "Added.", "tool_calls": [{ "tool": "add_task" }] });
        let events = as_events(&reply);
        let names: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(names, ["tool", "delta", "done"]);
        assert!(events.contains("data: {\"text\":\"Added.\"}\n\n"), "{events}");
    }

    #[test]
    fn an_id_that_would_change_the_address_is_not_passed_on() {
        assert!(is_id("41-7"));
        assert!(!is_id("1&user=2") && !is_id("a b") && !is_id(&"1".repeat(65)));
    }
}
