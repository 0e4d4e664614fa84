//! Watches: the store's events as one client wants to see them.
//!
//! A watch starts with what exists (when no resourceVersion says otherwise) and continues with every change, in order
//! and without gaps. Changes that move an object into or out of the selection appear as its creation or deletion. A
//! client that falls behind, or asks for a revision that is gone, gets an ERROR event with 410 and lists again.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use drydock_store::{Event, Page, Watch};
use futures::{Stream, StreamExt as _, stream};
use http::{Response, StatusCode};
use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, Sleep};
use tokio_util::sync::CancellationToken;

use crate::resource::read::parse_revision;
use crate::selector::Filter;
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::stored;
use crate::wire;
use crate::wire::table::Shape;

/// Watches without a `timeoutSeconds` end somewhere in this range, so that they do not all end at once.
const TIMEOUT_RANGE_S: std::ops::Range<u64> = 1800..3600;
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(crate) fn answer(cx: Cx, permit: Permit) -> Result<Response<Body>, ApiError> {
    let plan = Plan::of(&cx)?;
    let prefix = prefix(&cx, &plan.filter);
    let view = View { filter: plan.filter.clone(), shape: cx.shape()? };
    let (initial, watch) = match open(&cx, &plan, &prefix) {
        Ok(opened) => opened,
        Err(expired) => return Ok(lines(stream::once(async move { error_line(&expired) }))),
    };
    let mut first = Vec::new();
    if let Some(page) = initial {
        first = view.initial(&page)?;
        if plan.initial_events && plan.bookmarks {
            first.push(view.bookmark(page.revision, true));
        }
    }
    let live = Live {
        watch,
        view,
        bookmarks: plan.bookmarks.then(|| interval(cx.server.config.bookmark_interval)),
        deadline: Box::pin(tokio::time::sleep(plan.timeout)),
        shutdown: cx.server.shutdown.clone(),
        last_bookmark: 0,
        ended: false,
        _permit: permit,
    };
    let first = stream::iter(first);
    Ok(lines(first.chain(stream::unfold(live, |mut live| async move { Some((live.next().await?, live)) }))))
}

/// What the client asked for.
struct Plan {
    filter: Filter,
    from: Option<u64>,
    initial_events: bool,
    bookmarks: bool,
    timeout: Duration,
}

impl Plan {
    fn of(cx: &Cx) -> Result<Self, ApiError> {
        let mut filter = Filter::of(&cx.query, &cx.kind)?;
        if let Some(name) = &cx.path.name {
            filter = filter.and_name(name);
        }
        let from = parse_revision(cx.query.get("resourceVersion"))?;
        let initial_events = match cx.query.get("sendInitialEvents") {
            None => None,
            Some(_) if cx.query.get("resourceVersionMatch") != Some("NotOlderThan") => {
                return Err(ApiError::unprocessable(
                    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            Some(_) => Some(cx.query.is_true("sendInitialEvents")),
        };
        let seconds = cx.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let seconds =
            seconds.map_or_else(|| rand::rng().random_range(TIMEOUT_RANGE_S), |seconds| seconds as u64);
        Ok(Self {
            filter,
            // Without a start or from 0 a watch begins with what exists, unless the client says otherwise.
            from: match (initial_events, from) {
                (Some(true), _) | (None, None | Some(0)) => None,
                (Some(false), None | Some(0)) => Some(cx.server.store.revision()),
                (_, from) => from,
            },
            initial_events: initial_events == Some(true),
            bookmarks: cx.query.is_true("allowWatchBookmarks"),
            timeout: Duration::from_secs(seconds),
        })
    }
}

/// The narrowest prefix that holds all objects of the selection.
fn prefix(cx: &Cx, filter: &Filter) -> String {
    let namespace = cx.path.namespace.as_deref().or_else(|| filter.only_namespace());
    match (namespace, filter.only_name()) {
        (Some(namespace), Some(name)) => cx.kind.key(namespace, name),
        (None, Some(name)) if !cx.kind.is_namespaced() => cx.kind.key("", name),
        (namespace, _) => cx.kind.prefix_in(namespace),
    }
}

fn open(cx: &Cx, plan: &Plan, prefix: &str) -> Result<(Option<Page>, Watch), ApiError> {
    let store = &cx.server.store;
    let too_old = |compacted: drydock_store::Compacted| {
        ApiError::expired(format!("too old resource version: {} ({})", compacted.requested, compacted.floor))
    };
    let Some(from) = plan.from else {
        let (page, watch) = store.list_and_watch(prefix).map_err(too_old)?;
        return Ok((Some(page), watch));
    };
    let current = store.revision();
    if from > current {
        // The client knows a store that is no longer: only a new list helps.
        return Err(ApiError::expired(format!("resource version {from} is from the future (now {current})")));
    }
    Ok((None, store.watch(prefix, from).map_err(too_old)?))
}

fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

/// How one client sees objects.
struct View {
    filter: Filter,
    shape: Shape,
}

impl View {
    fn initial(&self, page: &Page) -> Result<Vec<Bytes>, ApiError> {
        let mut lines = Vec::new();
        for item in &page.items {
            let object = self.shape.kind.present(stored::decode(&item.entry)?.value);
            if self.filter.matches(&self.shape.kind, &object) {
                lines.push(self.line("ADDED", object));
            }
        }
        Ok(lines)
    }

    /// The event as this client sees it; `None` when it does not concern the selection.
    fn event(&self, event: &Event) -> Result<Option<Bytes>, ApiError> {
        let kind = &self.shape.kind;
        let decode =
            |bytes: &Bytes| Ok::<_, ApiError>(kind.present(stored::decode_at(bytes, event.revision)?.value));
        let matching = |object: &Value| self.filter.matches(kind, object);
        let now = event.value.as_ref().map(decode).transpose()?.filter(matching);
        // Without a selector the previous state is needed only for what it was: there, or not.
        if self.filter.is_empty()
            && let Some(now) = now
        {
            let word = if event.previous.is_some() { "MODIFIED" } else { "ADDED" };
            return Ok(Some(self.line(word, now)));
        }
        let before = event.previous.as_ref().map(|entry| decode(&entry.value)).transpose()?.filter(matching);
        Ok(match (before, now) {
            (None, None) => None,
            (None, Some(now)) => Some(self.line("ADDED", now)),
            (Some(_), Some(now)) => Some(self.line("MODIFIED", now)),
            // The last state that was in the selection, with the revision of its leaving.
            (Some(before), None) => Some(self.line("DELETED", before)),
        })
    }

    fn line(&self, word: &str, object: Value) -> Bytes {
        line(word, self.shape.at(Timestamp::now()).one(object))
    }

    fn bookmark(&self, revision: u64, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if initial_events_end {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        line("BOOKMARK", self.shape.bookmark(metadata))
    }
}

/// A watch under way.
struct Live {
    watch: Watch,
    view: View,
    bookmarks: Option<Interval>,
    deadline: Pin<Box<Sleep>>,
    shutdown: CancellationToken,
    last_bookmark: u64,
    ended: bool,
    _permit: Permit,
}

impl Live {
    /// The next line, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        loop {
            tokio::select! {
                biased;
                () = &mut self.deadline => return None,
                () = self.shutdown.cancelled() => return None,
                event = self.watch.next() => match event? {
                    Ok(event) => match self.on_event(&event) {
                        None => continue,
                        line => return line,
                    },
                    Err(lagged) => return Some(self.end_with(&ApiError::expired(lagged.to_string()))),
                },
                () = tick(&mut self.bookmarks) => {
                    // Silence can mean that nothing happened: worth telling only when the revision moved.
                    match self.watch.progress() {
                        Some(revision) if revision > self.last_bookmark => {
                            self.last_bookmark = revision;
                            return Some(self.view.bookmark(revision, false));
                        }
                        _ => continue,
                    }
                }
            }
        }
    }

    fn on_event(&mut self, event: &Arc<Event>) -> Option<Bytes> {
        match self.view.event(event) {
            Ok(line) => line,
            Err(error) => Some(self.end_with(&error)),
        }
    }

    fn end_with(&mut self, error: &ApiError) -> Bytes {
        self.ended = true;
        error_line(error)
    }
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn error_line(error: &ApiError) -> Bytes {
    line("ERROR", error.to_value())
}

fn line(word: &str, object: Value) -> Bytes {
    let mut text = json!({ "type": word, "object": object }).to_string();
    text.push('\n');
    text.into()
}

fn lines(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let body = Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>));
    wire::bytes_as(StatusCode::OK, body, "application/json")
}
