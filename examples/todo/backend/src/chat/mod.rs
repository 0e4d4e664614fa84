//! The chat: take a message, load the history, let the provider think and call tools, store and answer.
//!
//! Nothing is kept between requests, so a conversation survives restarts and any replica can go on with it. A turn
//! that began is finished and stored even when whoever asked has gone.
//! Start at [`chat`]; one turn is [`turn::answer`].

mod follower;
pub mod model;
pub mod own_tools;
pub mod provider;
pub mod rules;
mod turn;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State as Shared;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use service::metrics::count;
use service::request_id;
use store::{Message, Role, Verdict};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::app::{App, AppState};
use crate::auth::Session;
use crate::error::{ApiError, Result};
use follower::{Follower, Progress};
use provider::{Call, Reply, State, Waiting};

const HISTORY_WINDOW: i64 = 20;
const HISTORY_SHOWN: i64 = 50;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub struct ChatRequest {
    conversation_id: Option<i64>,
    #[serde(default)]
    message: String,
}

#[derive(Clone, Serialize)]
pub struct ChatResponse {
    conversation_id: i64,
    response: String,
    tool_calls: Vec<Call>,
    /// The question that the next message may answer.
    waiting: Option<Waiting>,
}

#[derive(Serialize)]
pub struct History {
    conversation_id: Option<i64>,
    messages: Vec<Entry>,
}

#[derive(Serialize)]
pub struct Entry {
    role: Role,
    content: String,
    created_at: String,
    tool_calls: Vec<Call>,
    waiting: Option<Waiting>,
}

impl From<Message> for Entry {
    fn from(message: Message) -> Self {
        let State { calls, waiting, .. } = turn::state_of(&message);
        let Message { role, content, created_at, .. } = message;
        Self { role, content, created_at, tool_calls: calls, waiting }
    }
}

/// A message that was accepted and stored, and what is needed to answer it.
struct Begun {
    user: String,
    conversation: i64,
    message: String,
    history: Vec<Message>,
    /// Somebody reads the reply while it comes.
    is_followed: bool,
}

/// Answers in one piece, or as a stream of events when `accept` asks for one.
pub async fn chat(
    Shared(app): Shared<App>,
    session: Session,
    headers: HeaderMap,
    body: std::result::Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response> {
    let Json(request) = body?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_followed = accept.contains("text/event-stream");
    let begun = begin(&app, session, request, is_followed).await?;
    let conversation = begun.conversation;
    let (follower, reports) = Follower::new();
    let id = request_id::current().unwrap_or_default();
    let work = request_id::scope(id, finish(app, begun, follower)).in_current_span();
    let work = tokio::spawn(work);
    if is_followed {
        return Ok(streamed(conversation, reports));
    }
    drop(reports);
    let outcome = work.await.map_err(|_| ApiError::Assistant)?;
    Ok(Json(outcome?).into_response())
}

async fn begin(app: &App, session: Session, request: ChatRequest, is_followed: bool) -> Result<Begun> {
    let message = store::message(&request.message).map_err(|error| ApiError::Invalid(vec![error]))?;
    let user = session.user_id;
    if let Verdict::RetryAfter { seconds } = app.store.cache().admit_chat(&user, app.chats_per_minute).await {
        count(&app.metrics.chats, "limited");
        return Err(ApiError::TooMany(seconds));
    }
    let conversation = open_conversation(app, &user, request.conversation_id).await?;
    let history = app.store.history(&user, conversation, HISTORY_WINDOW).await?;
    app.store.add_message(&user, conversation, Role::User, &message, "{}").await?;
    Ok(Begun { user, conversation, message, history, is_followed })
}

async fn finish(app: App, begun: Begun, follower: Follower) -> Result<ChatResponse> {
    let began = Instant::now();
    let outcome = answer_and_store(&app, &begun, &follower).await;
    app.metrics.chat_time.observe(began.elapsed().as_secs_f64());
    count(&app.metrics.chats, if outcome.is_ok() { "answered" } else { "failed" });
    let last = match &outcome {
        Ok(response) => Progress::Done(response.clone()),
        Err(error) => Progress::Failed(error.body()),
    };
    follower.end(last).await;
    outcome
}

async fn answer_and_store(app: &App, begun: &Begun, follower: &Follower) -> Result<ChatResponse> {
    let (reply, calls) = turn::answer(app, begun, follower).await.map_err(|error| {
        tracing::error!(error = service::log::chain(&error), "the assistant failed");
        ApiError::Assistant
    })?;
    let Reply { text, waiting, subject, is_undo } = reply;
    let state = State { calls, waiting, subject, is_undo };
    let stored = serde_json::to_string(&state).unwrap_or_else(|_| "{}".to_owned());
    let (user, conversation) = (&begun.user, begun.conversation);
    app.store.add_message(user, conversation, Role::Assistant, &text, &stored).await?;
    let State { calls, waiting, .. } = state;
    Ok(ChatResponse { conversation_id: conversation, response: text, tool_calls: calls, waiting })
}

fn streamed(conversation: i64, reports: mpsc::Receiver<Progress>) -> Response {
    let start = Event::default()
        .event("start")
        .data(serde_json::json!({ "conversation_id": conversation }).to_string());
    let events = stream::unfold((Some(start), reports), |(start, mut reports)| async move {
        let event = match start {
            Some(start) => start,
            None => reports.recv().await?.event(),
        };
        Some((Ok::<_, Infallible>(event), (None, reports)))
    });
    // A model may think for a while; proxies take silence for the end.
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    ([("x-accel-buffering", "no")], Sse::new(events).keep_alive(keep_alive)).into_response()
}

/// The messages of the conversation used last.
pub async fn history(Shared(app): Shared<App>, session: Session) -> Result<Json<History>> {
    let user = session.user_id.as_str();
    let Some(id) = app.store.latest_conversation(user).await? else {
        return Ok(Json(History { conversation_id: None, messages: Vec::new() }));
    };
    let messages = app.store.history(user, id, HISTORY_SHOWN).await?;
    Ok(Json(History { conversation_id: Some(id), messages: messages.into_iter().map(Entry::from).collect() }))
}

pub async fn clear(Shared(app): Shared<App>, session: Session) -> Result<StatusCode> {
    app.store.clear_conversations(&session.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn open_conversation(app: &AppState, user: &str, wanted: Option<i64>) -> Result<i64> {
    match wanted {
        None => Ok(app.store.new_conversation(user).await?),
        Some(id) => match app.store.conversation(user, id).await {
            Err(store::Error::NotFound) => Err(ApiError::NotFound("the conversation")),
            outcome => Ok(outcome?),
        },
    }
}
