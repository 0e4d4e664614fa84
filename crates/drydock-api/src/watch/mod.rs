//! Watches: the store's events as one client wants to see them.
//!
//! A watch starts with what exists (when no resourceVersion says otherwise) and continues with every change, in order
//! and without gaps. Changes that move an object into or out of the selection appear as its creation or deletion. A
//! client that falls behind, or asks for a revision that is gone, gets an ERROR event with 410 and lists again.
//!
//! Start at [`answer`]; `view` decides what one client sees of a change.

mod view;

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use drydock_store::{Item, Notice, Page, Watch};
use futures::{Stream, StreamExt as _, stream};
use http::{Response, StatusCode};
use rand::RngExt as _;
use tokio::time::{Instant, Interval, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::resource::page;
use crate::selector::Filter;
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::watch::view::{View, error_event};
use crate::wire::{self, Format};

/// Watches without a `timeoutSeconds` end somewhere in this range, so that they do not all end at once.
const TIMEOUT_RANGE_S: std::ops::Range<u64> = 1800..3600;

pub(crate) fn answer(cx: Cx, permit: Permit) -> Result<Response<Body>, ApiError> {
    let plan = Plan::of(&cx)?;
    let prefix = prefix(&cx, &plan.filter);
    let view = View::new(plan.filter.clone(), cx.shape()?);
    let format = view.format();
    let (initial, watch) = match open(&cx, &plan, &prefix) {
        Ok(opened) => opened,
        Err(expired) => {
            return Ok(events(format, stream::once(async move { error_event(format, &expired) })));
        }
    };
    let live = Live {
        initial: initial.map(|page| Initial { revision: page.revision, items: page.items.into_iter() }),
        ends_initial: plan.initial_events && plan.bookmarks,
        watch,
        view,
        bookmarks: plan.bookmarks.then(|| interval(cx.server.config.bookmark_interval)),
        deadline: Box::pin(tokio::time::sleep(plan.timeout)),
        shutdown: Box::pin(cx.server.shutdown.clone().cancelled_owned()),
        last_bookmark: 0,
        ended: false,
        _permit: permit,
    };
    let stream = stream::unfold(live, |mut live| async move { Some((live.next().await?, live)) });
    Ok(events(format, stream))
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
        page::check_watch(&cx.query)?;
        let from = page::parse_watch_revision(cx.query.get("resourceVersion"))?;
        let initial_events = cx.query.get("sendInitialEvents").map(|_| cx.query.is_true("sendInitialEvents"));
        if initial_events == Some(true) {
            page::check_reached(from.unwrap_or(0), cx.server.store.revision())?;
        }
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

/// What was there when the watch began and has not been sent yet.
struct Initial {
    revision: u64,
    items: std::vec::IntoIter<Item>,
}

/// A watch under way.
struct Live {
    initial: Option<Initial>,
    /// Whether a bookmark tells the client that it has seen all that was there.
    ends_initial: bool,
    watch: Watch,
    view: View,
    bookmarks: Option<Interval>,
    deadline: Pin<Box<Sleep>>,
    /// Kept: to wait anew for each event would cost more than the event.
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
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
        if let Some(line) = self.next_initial() {
            return Some(line);
        }
        loop {
            if self.deadline.is_elapsed() {
                return self.last_words();
            }
            tokio::select! {
                biased;
                event = self.watch.next() => match event? {
                    Ok(event) => match self.on_event(&event) {
                        None => continue,
                        line => return line,
                    },
                    Err(lagged) => return Some(self.end_with(&ApiError::expired(lagged.to_string()))),
                },
                () = &mut self.shutdown => return None,
                () = &mut self.deadline => return self.last_words(),
                () = tick(&mut self.bookmarks) => match self.bookmark() {
                    None => continue,
                    line => return line,
                },
            }
        }
    }

    fn next_initial(&mut self) -> Option<Bytes> {
        let initial = self.initial.as_mut()?;
        for item in initial.items.by_ref() {
            match self.view.initial(&item) {
                Ok(None) => {}
                Ok(line) => return line,
                Err(error) => return Some(self.end_with(&error)),
            }
        }
        let revision = initial.revision;
        self.initial = None;
        self.last_bookmark = revision;
        self.ends_initial.then(|| self.view.bookmark(revision, true))
    }

    fn on_event(&mut self, event: &Notice) -> Option<Bytes> {
        match self.view.event(event) {
            Ok(line) => line,
            Err(error) => Some(self.end_with(&error)),
        }
    }

    /// Silence can mean that nothing happened: worth telling only when the revision moved.
    fn bookmark(&mut self) -> Option<Bytes> {
        let revision = self.watch.progress().filter(|revision| *revision > self.last_bookmark)?;
        self.last_bookmark = revision;
        Some(self.view.bookmark(revision, false))
    }

    /// A client that knows how far it came need not read again what it has seen.
    fn last_words(&mut self) -> Option<Bytes> {
        self.ended = true;
        self.bookmarks.as_ref()?;
        self.bookmark()
    }

    fn end_with(&mut self, error: &ApiError) -> Bytes {
        self.ended = true;
        error_event(self.view.format(), error)
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

fn events(format: Format, events: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let body = Body::from_stream(events.map(Ok::<_, std::convert::Infallible>));
    wire::bytes_as(StatusCode::OK, body, wire::watch_type(format))
}
