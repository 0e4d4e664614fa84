//! One turn: the provider and the tools by turns, until there is a reply.
//!
//! What a provider may do is settled here, for rules and models alike: whose tasks the tools touch is in the token
//! signed here; only tools that exist are called; a number of times at most; and nothing is deleted but the task of a
//! question that the user has just affirmed. A model that wishes to delete makes the assistant ask.

use std::time::Duration;

use mcp_client::JsonObject;
use serde_json::{Value, json};
use service::clock;
use service::token::{Audience, Claims};
use store::{Message, Role};
use tokio::time::Instant;

use super::Begun;
use super::follower::Follower;
use super::own_tools;
use super::provider::{self, Call, Named, Provider, Reply, State, Step, Turn, Wish};
use super::rules::{self, Rules};
use crate::app::AppState;

/// Rounds of tool calls a provider may make for one message, and calls in all.
const ROUNDS_MAX: usize = 8;
const CALLS_MAX: usize = 20;
/// A turn lasts seconds; a token that leaks is worth nothing a minute later.
const TOOL_TOKEN_S: u64 = 60;
/// Who follows the words as they come is patient for so much longer; still within the tool token's time.
const FOLLOWED_FACTOR: u32 = 4;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the provider failed")]
    Provider(#[from] provider::Error),
    #[error("the provider did not answer within {0:?}")]
    Slow(Duration),
    #[error("the tools failed")]
    Tools(#[from] mcp_client::Error),
    #[error("the provider called tools without end")]
    Endless,
}

/// Thinks and acts until there is a reply, whose words are told to `follower`. When that fails after something was
/// changed, the reply tells what was.
pub async fn answer(app: &AppState, begun: &Begun, follower: &Follower) -> Result<(Reply, Vec<Call>), Error> {
    let spoken = begun.history.iter().rev().find(|message| message.role == Role::Assistant);
    let state = spoken.map(state_of).unwrap_or_default();
    let claims = Claims::new(&begun.user, Audience::ToolCall, clock::unix_s(), TOOL_TOKEN_S);
    let session = mcp_client::Session::new(app.client.clone(), &app.mcp_url, app.keys.sign(&claims));
    let mut acting = Acting { app, begun, state, session, calls: Vec::new(), follower };
    let outcome = acting.work().await;
    let Acting { calls, session, .. } = acting;
    session.close().await;
    let reply = match outcome {
        Ok(reply) => reply,
        Err(error) => {
            let Some(text) = told(&calls) else { return Err(error) };
            tracing::error!(error = service::log::chain(&error), "the assistant failed half-way");
            follower.begin_paragraph();
            Reply { text, ..Reply::default() }
        }
    };
    if follower.has_said_nothing() {
        follower.say_whole(&reply.text);
    }
    Ok((Reply { text: follower.said(), ..reply }, calls))
}

struct Acting<'a> {
    app: &'a AppState,
    begun: &'a Begun,
    state: State,
    session: mcp_client::Session,
    calls: Vec<Call>,
    follower: &'a Follower,
}

impl Acting<'_> {
    async fn work(&mut self) -> Result<Reply, Error> {
        let (app, message) = (self.app, self.begun.message.as_str());
        // An answer to a question of ours needs no model: it must mean the same every time.
        let provider: &dyn Provider = match rules::settles(message, &self.state) {
            true => &Rules,
            false => app.provider.as_ref(),
        };
        let tools = if provider.needs_tools() { app.tools(&mut self.session).await? } else { &[] };
        let patience = app.model_patience * if self.begun.is_followed { FOLLOWED_FACTOR } else { 1 };
        let deadline = Instant::now() + patience;
        for _ in 0..=ROUNDS_MAX {
            let turn =
                Turn { message, history: &self.begun.history, state: &self.state, calls: &self.calls, tools };
            self.follower.begin_paragraph();
            let thinking = tokio::time::timeout_at(deadline, provider.next(&turn, self.follower));
            match thinking.await.map_err(|_| Error::Slow(patience))?? {
                Step::Say(reply) => return Ok(reply),
                Step::Call(wishes) => {
                    for wish in wishes {
                        if self.calls.len() >= CALLS_MAX {
                            return Err(Error::Endless);
                        }
                        let is_known = tools.is_empty() || tools.iter().any(|tool| tool.name == wish.tool);
                        if let Some(question) = self.grant(wish, is_known).await? {
                            self.follower.begin_paragraph();
                            return Ok(question);
                        }
                    }
                }
            }
        }
        Err(Error::Endless)
    }

    /// Does what the provider wishes, or asks the user first.
    async fn grant(&mut self, wish: Wish, is_known: bool) -> Result<Option<Reply>, Error> {
        let Wish { tool, mut arguments } = wish;
        // Whose tasks these are is no business of a provider.
        arguments.remove("user_id");
        if !is_known {
            self.refuse(tool, arguments, "INVALID_REQUEST", "there is no such tool");
            return Ok(None);
        }
        if tool == "delete_task" && !self.is_affirmed(&arguments) {
            return self.ask_first(arguments).await;
        }
        self.call(tool, arguments).await?;
        Ok(None)
    }

    fn is_affirmed(&self, arguments: &JsonObject) -> bool {
        let id = arguments.get("task_id").and_then(own_tools::task_number);
        let asked = self.state.waiting.as_ref().zip(id).is_some_and(|(asked, id)| asked.asks_to_delete(id));
        asked && rules::affirms(&self.begun.message)
    }

    async fn ask_first(&mut self, arguments: JsonObject) -> Result<Option<Reply>, Error> {
        let Some(id) = arguments.get("task_id").and_then(own_tools::task_number) else {
            self.refuse("delete_task".to_owned(), arguments, "INVALID_REQUEST", "task_id is not a number");
            return Ok(None);
        };
        let title = match title_of(&self.calls, id) {
            Some(title) => Some(title),
            None => {
                self.call("list_tasks".to_owned(), JsonObject::new()).await?;
                title_of(&self.calls, id)
            }
        };
        match title {
            Some(title) => Ok(Some(rules::ask_before_deleting(Named { id, title }, Vec::new()))),
            None => {
                let message = "there is no such task";
                self.refuse("delete_task".to_owned(), arguments, "TASK_NOT_FOUND", message);
                Ok(None)
            }
        }
    }

    async fn call(&mut self, tool: String, arguments: JsonObject) -> Result<(), Error> {
        if own_tools::has(&tool) {
            let call = own_tools::call(&self.app.store, &self.begun.user, tool, arguments).await;
            self.note(call);
            return Ok(());
        }
        let outcome = self.session.call(tool.clone(), arguments.clone()).await?;
        let (result, failed) = (outcome.result, outcome.failed);
        self.note(Call { tool, arguments: Value::Object(arguments), result, failed });
        Ok(())
    }

    fn refuse(&mut self, tool: String, arguments: JsonObject, code: &str, message: &str) {
        let result = json!({ "status": "error", "code": code, "message": message });
        self.note(Call { tool, arguments: Value::Object(arguments), result, failed: true });
    }

    fn note(&mut self, call: Call) {
        self.app.metrics.count_tool(&call.tool, call.failed);
        self.follower.tool(call.clone());
        self.calls.push(call);
    }
}

fn title_of(calls: &[Call], id: i64) -> Option<String> {
    let listed = calls.iter().rev().filter(|call| call.tool == "list_tasks" && !call.failed);
    let mut tasks = listed.filter_map(|call| call.result["tasks"].as_array()).flatten();
    tasks.find(|task| task["id"] == id)?["title"].as_str().map(str::to_owned)
}

/// What was changed before things went wrong; none when nothing was.
fn told(calls: &[Call]) -> Option<String> {
    let done = |call: &Call| {
        let title = call.result["title"].as_str()?;
        let what = call.result["status"].as_str()?;
        (!call.failed).then(|| format!("\u{201c}{title}\u{201d} was {what}"))
    };
    let done: Vec<String> = calls.iter().filter_map(done).collect();
    (!done.is_empty()).then(|| {
        format!(
            "{}. Then I lost the thread: please look at your list and tell me what is missing.",
            done.join(", ")
        )
    })
}

/// A state this version cannot read is an empty one: the conversation goes on, the open question is forgotten.
pub fn state_of(message: &Message) -> State {
    serde_json::from_str(&message.state).unwrap_or_default()
}
