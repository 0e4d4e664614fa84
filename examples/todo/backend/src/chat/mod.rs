//! The chat: take a message, load the history, let the provider think and call tools, store and answer.
//!
//! Nothing is kept between requests, so a conversation survives restarts and any replica can go on with it.
//! Start at [`chat`]; one turn is [`answer`].

pub mod provider;
pub mod rules;

use axum::Json;
use axum::extract::State as Shared;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::clock;
use service::metrics::count;
use service::token::{Audience, Claims};
use store::{Message, Role, Verdict};

use crate::app::{App, AppState};
use crate::auth::Session;
use crate::error::{ApiError, Result};
use provider::{Call, Reply, State, Step, Turn};

const HISTORY_WINDOW: i64 = 20;
const HISTORY_SHOWN: i64 = 50;
/// Tool calls a provider may make for one message.
const ROUNDS_MAX: usize = 8;
/// A turn lasts seconds; a token that leaks is worth nothing a minute later.
const TOOL_TOKEN_S: u64 = 60;

#[derive(Deserialize)]
pub struct ChatRequest {
    conversation_id: Option<i64>,
    #[serde(default)]
    message: String,
}

#[derive(Serialize)]
pub struct ChatResponse {
    conversation_id: i64,
    response: String,
    tool_calls: Vec<Call>,
}

#[derive(Serialize)]
pub struct History {
    conversation_id: Option<i64>,
    messages: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    role: Role,
    content: String,
    created_at: String,
    tool_calls: Vec<Call>,
}

pub async fn chat(
    Shared(app): Shared<App>,
    session: Session,
    body: std::result::Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Json<ChatResponse>> {
    let Json(request) = body?;
    let message = store::message(&request.message).map_err(|error| ApiError::Invalid(vec![error]))?;
    let user = session.user_id.as_str();
    if let Verdict::RetryAfter { seconds } = app.store.cache().admit_chat(user, app.chats_per_minute).await {
        count(&app.chats, "limited");
        return Err(ApiError::TooMany(seconds));
    }
    let conversation = open_conversation(&app, user, request.conversation_id).await?;
    let history = app.store.history(user, conversation, HISTORY_WINDOW).await?;
    app.store.add_message(user, conversation, Role::User, &message, "{}").await?;
    let outcome = answer(&app, user, &message, &history).await;
    let (reply, calls) = match outcome {
        Ok(done) => done,
        Err(error) => {
            count(&app.chats, "failed");
            tracing::error!(error = service::log::chain(&error), "the assistant failed");
            return Err(ApiError::Assistant);
        }
    };
    count(&app.chats, "answered");
    let state = State { calls, waiting: reply.waiting, subject: reply.subject };
    let stored = serde_json::to_string(&state).unwrap_or_else(|_| "{}".to_owned());
    app.store.add_message(user, conversation, Role::Assistant, &reply.text, &stored).await?;
    Ok(Json(ChatResponse { conversation_id: conversation, response: reply.text, tool_calls: state.calls }))
}

/// The messages of the conversation used last.
pub async fn history(Shared(app): Shared<App>, session: Session) -> Result<Json<History>> {
    let user = session.user_id.as_str();
    let Some(id) = app.store.latest_conversation(user).await? else {
        return Ok(Json(History { conversation_id: None, messages: Vec::new() }));
    };
    let messages = app.store.history(user, id, HISTORY_SHOWN).await?;
    let entry = |message: Message| Entry {
        tool_calls: state_of(&message).calls,
        role: message.role,
        content: message.content,
        created_at: message.created_at,
    };
    Ok(Json(History { conversation_id: Some(id), messages: messages.into_iter().map(entry).collect() }))
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

#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error("the provider failed")]
    Provider(#[from] provider::Error),
    #[error("the tools failed")]
    Tools(#[from] mcp_client::Error),
    #[error("the provider made {ROUNDS_MAX} tool calls without an answer")]
    Endless,
}

/// Alternates between the provider and the tools until there is a reply. Whose tasks the tools touch is in the
/// token signed here; the provider cannot change it.
async fn answer(
    app: &AppState,
    user: &str,
    message: &str,
    history: &[Message],
) -> std::result::Result<(Reply, Vec<Call>), TurnError> {
    let state = history.iter().rev().find(|m| m.role == Role::Assistant).map(state_of).unwrap_or_default();
    let claims = Claims::new(user, Audience::ToolCall, clock::unix_s(), TOOL_TOKEN_S);
    let mut tools = mcp_client::Session::new(app.client.clone(), &app.mcp_url, app.keys.sign(&claims));
    let mut calls: Vec<Call> = Vec::new();
    for _ in 0..=ROUNDS_MAX {
        let turn = Turn { message, state: &state, calls: &calls };
        match app.provider.next(&turn).await? {
            Step::Say(reply) => {
                tools.close().await;
                return Ok((reply, calls));
            }
            Step::Call { tool, arguments } => {
                let outcome = tools.call(tool, arguments.clone()).await?;
                let arguments = Value::Object(arguments);
                calls.push(Call {
                    tool: tool.to_owned(),
                    arguments,
                    result: outcome.result,
                    failed: outcome.failed,
                });
            }
        }
    }
    Err(TurnError::Endless)
}

/// A state this version cannot read is an empty one: the conversation goes on, the open question is forgotten.
fn state_of(message: &Message) -> State {
    serde_json::from_str(&message.state).unwrap_or_default()
}
