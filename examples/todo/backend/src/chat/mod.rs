//! The chat: take a message, load the history, let the provider think and call tools, store and answer.
//!
//! Nothing is kept between requests, so a conversation survives restarts and any replica can go on with it. A turn
//! that began is finished and stored even when whoever asked has gone.
//! Start at [`chat`]; one turn is [`turn::answer`].

pub mod model;
pub mod provider;
pub mod rules;
mod turn;

use std::convert::Infallible;
use std::time::Instant;

use axum::Json;
use axum::extract::State as Shared;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
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
use provider::{Call, State, Waiting};
use turn::Progress;

const HISTORY_WINDOW: i64 = 20;
const HISTORY_SHOWN: i64 = 50;
/// More than a turn can report: its calls are bounded, and its text comes in a bounded number of pieces.
const PROGRESS_MAX: usize = 256;
const PIECES_MAX: usize = 64;

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
}

/// Answers in one piece, or as a stream of events when `accept` asks for one.
pub async fn chat(
    Shared(app): Shared<App>,
    session: Session,
    headers: HeaderMap,
    body: std::result::Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response> {
    let Json(request) = body?;
    let begun = begin(&app, session, request).await?;
    let conversation = begun.conversation;
    let (progress, reports) = mpsc::channel(PROGRESS_MAX);
    let id = request_id::current().unwrap_or_default();
    let work = request_id::scope(id, finish(app, begun, progress)).in_current_span();
    let work = tokio::spawn(work);
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/event-stream") {
        return Ok(streamed(conversation, reports));
    }
    drop(reports);
    let outcome = work.await.map_err(|_| ApiError::Assistant)?;
    Ok(Json(outcome?).into_response())
}

async fn begin(app: &App, session: Session, request: ChatRequest) -> Result<Begun> {
    let message = store::message(&request.message).map_err(|error| ApiError::Invalid(vec![error]))?;
    let user = session.user_id;
    if let Verdict::RetryAfter { seconds } = app.store.cache().admit_chat(&user, app.chats_per_minute).await {
        count(&app.metrics.chats, "limited");
        return Err(ApiError::TooMany(seconds));
    }
    let conversation = open_conversation(app, &user, request.conversation_id).await?;
    let history = app.store.history(&user, conversation, HISTORY_WINDOW).await?;
    app.store.add_message(&user, conversation, Role::User, &message, "{}").await?;
    Ok(Begun { user, conversation, message, history })
}

/// Reports to `progress` as far as anybody listens.
async fn finish(app: App, begun: Begun, progress: mpsc::Sender<Progress>) -> Result<ChatResponse> {
    let began = Instant::now();
    let outcome = answer_and_store(&app, &begun, &progress).await;
    app.metrics.chat_time.observe(began.elapsed().as_secs_f64());
    count(&app.metrics.chats, if outcome.is_ok() { "answered" } else { "failed" });
    let last = match &outcome {
        Ok(response) => {
            for piece in pieces(&response.response) {
                let _ = progress.try_send(Progress::Text(piece));
            }
            Progress::Done(response.clone())
        }
        Err(error) => Progress::Failed(error.body()),
    };
    let _ = progress.try_send(last);
    outcome
}

async fn answer_and_store(
    app: &App,
    begun: &Begun,
    progress: &mpsc::Sender<Progress>,
) -> Result<ChatResponse> {
    let Begun { user, conversation, message, history } = begun;
    let (reply, calls) = turn::answer(app, user, message, history, progress).await.map_err(|error| {
        tracing::error!(error = service::log::chain(&error), "the assistant failed");
        ApiError::Assistant
    })?;
    let state = State { calls, waiting: reply.waiting, subject: reply.subject };
    let stored = serde_json::to_string(&state).unwrap_or_else(|_| "{}".to_owned());
    app.store.add_message(user, *conversation, Role::Assistant, &reply.text, &stored).await?;
    let State { calls, waiting, .. } = state;
    Ok(ChatResponse { conversation_id: *conversation, response: reply.text, tool_calls: calls, waiting })
}

/// The text in words, or in longer pieces when it has many.
fn pieces(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    let size = words.len().div_ceil(PIECES_MAX).max(1);
    words.chunks(size).map(<[&str]>::concat).collect()
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
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_in_pieces_that_make_it_up_again() {
        for text in ["", "Done.", "two words", "a\nlist\n of  lines ", &"word ".repeat(1_000)] {
            let pieces = pieces(text);
            assert!(pieces.len() <= PIECES_MAX);
            assert_eq!(pieces.concat(), text);
        }
    }
}
