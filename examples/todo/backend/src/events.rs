//! Live updates: everything that changes for a user, as an endless stream.
//!
//! The stream reads what changed from the database and is woken, not fed, by whoever writes; see `store::Live`. Its
//! event ids are change numbers, so a client that reconnects with `Last-Event-ID` misses nothing, on any replica.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream;
use serde::Deserialize;
use serde_json::json;
use service::shutdown::Stopping;
use store::{FieldError, Subscription};

use crate::app::App;
use crate::auth::Session;
use crate::chat;
use crate::error::{ApiError, Result};

/// Streams one user may have open on one replica: windows, not an attack.
const STREAMS_MAX: usize = 10;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub struct Since {
    after: Option<i64>,
}

pub async fn events(
    State(app): State<App>,
    session: Session,
    stopping: Stopping,
    headers: HeaderMap,
    since: std::result::Result<Query<Since>, QueryRejection>,
) -> Result<impl IntoResponse> {
    let not_a_number = |_| ApiError::Invalid(vec![FieldError::new("after", "is not a number")]);
    let Query(since) = since.map_err(not_a_number)?;
    if app.store.live().count(&session.user_id) >= STREAMS_MAX {
        return Err(ApiError::TooManyStreams);
    }
    // Before the number is read: what is written from now on wakes this stream.
    let woken = app.store.live().subscribe(&session.user_id);
    let newest = match app.store.last_change(&session.user_id).await {
        Err(store::Error::NotFound) => return Err(ApiError::BadToken),
        outcome => outcome?,
    };
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let after = seen.or(since.after).filter(|after| (0..=newest).contains(after)).unwrap_or(newest);
    let hello = Event::default().event("hello").id(after.to_string()).data("{}");
    let open = app.metrics.streams.open();
    let feed = Feed { app, session, stopping, woken, after, queue: VecDeque::from([hello]), is_over: false };
    let events = stream::unfold((feed, open), |(mut feed, open)| async move {
        feed.next().await.map(|event| (Ok::<_, Infallible>(event), (feed, open)))
    });
    // Proxies that gather answers would make an endless one never arrive.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))))
}

struct Feed {
    app: App,
    session: Session,
    stopping: Stopping,
    woken: Subscription,
    after: i64,
    queue: VecDeque<Event>,
    is_over: bool,
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.queue.pop_front() {
                Some(event) => return Some(event),
                None if self.is_over => return None,
                None => self.refill().await,
            }
        }
    }

    /// Looks for changes; waits for the next moment to look when there are none.
    async fn refill(&mut self) {
        if !self.session.is_still_valid(&self.app).await {
            return self.end("logged_out");
        }
        match self.app.store.changes(&self.session.user_id, self.after).await {
            Ok((changes, until)) if until > self.after => {
                self.after = until;
                return self.queue.extend(changes.into_iter().filter_map(|(id, change)| event(id, change)));
            }
            Ok(_) => {}
            Err(store::Error::NotFound) => return self.end("logged_out"),
            // The next look will tell; nothing is lost by being late.
            Err(error) => tracing::warn!(error = service::log::chain(&error), "changes cannot be read"),
        }
        tokio::select! {
            () = self.woken.woken() => {}
            () = self.stopping.begun() => self.end("stopping"),
        }
    }

    fn end(&mut self, reason: &str) {
        self.is_over = true;
        self.queue.push_back(Event::default().event("bye").data(json!({ "reason": reason }).to_string()));
    }
}

fn event(id: i64, change: store::Event) -> Option<Event> {
    let (name, data) = match change {
        store::Event::Saved(task) => ("task", json!({ "change": "saved", "task": task })),
        store::Event::Deleted(task) => ("task", json!({ "change": "deleted", "task": task })),
        store::Event::Said { conversation, message } => {
            ("chat", json!({ "conversation_id": conversation, "message": chat::Entry::from(message) }))
        }
    };
    Some(Event::default().event(name).id(id.to_string()).data(data.to_string()))
}
