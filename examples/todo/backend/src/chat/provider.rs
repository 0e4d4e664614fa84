//! What thinks of the replies: one step at a time, so that rules and models fit the same loop.
//!
//! A provider sees the conversation and what tools answered so far in this turn, and says what to do next.
//! It never learns whose tasks it handles and cannot reach anything but the tools it names.

use std::future::Future;
use std::pin::Pin;

use mcp_client::JsonObject;
pub use mcp_client::Tool;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Message;

use super::follower::Follower;

/// A tool call of this turn and its answer; also what the page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub tool: String,
    pub arguments: Value,
    pub result: Value,
    #[serde(default)]
    pub failed: bool,
}

/// A question the assistant asked that the next message may answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Waiting {
    ConfirmDelete {
        id: i64,
        title: String,
        /// Further tasks that the same answer is about.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<Named>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_undo: bool,
    },
    Choose {
        action: Action,
        ids: Vec<i64>,
    },
    /// The title of a new task, or the new one of task `id`.
    Title {
        id: Option<i64>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub id: i64,
    pub title: String,
}

impl Waiting {
    /// Whether it asks if task `id` may be deleted.
    pub fn asks_to_delete(&self, wanted: i64) -> bool {
        match self {
            Self::ConfirmDelete { id, also, .. } => {
                *id == wanted || also.iter().any(|task| task.id == wanted)
            }
            _ => false,
        }
    }
}

/// What is to be done with a task once it is known which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    Complete,
    Reopen,
    Delete,
    Rename { title: String },
}

/// Stored with the assistant's message: the server itself remembers nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub calls: Vec<Call>,
    pub waiting: Option<Waiting>,
    /// The task talked about last: what "it" means.
    pub subject: Option<i64>,
    /// The calls took back earlier ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_undo: bool,
}

/// One user message and all that is known when answering it.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    pub message: &'a str,
    /// What was said before, oldest first.
    pub history: &'a [Message],
    pub state: &'a State,
    pub calls: &'a [Call],
    /// None are given to a provider that does not need them.
    pub tools: &'a [Tool],
}

/// A tool call that a provider would like to be made.
#[derive(Debug, PartialEq)]
pub struct Wish {
    pub tool: String,
    pub arguments: JsonObject,
}

#[derive(Debug, PartialEq)]
pub enum Step {
    Call(Vec<Wish>),
    Say(Reply),
}

#[derive(Debug, Default, PartialEq)]
pub struct Reply {
    pub text: String,
    pub waiting: Option<Waiting>,
    pub subject: Option<i64>,
    pub is_undo: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a tool is not available")]
    Tool,
    #[error("the model cannot be asked")]
    Unreachable(#[from] service::client::Error),
    #[error("the model's server answered {0}")]
    Refused(u16),
    #[error("the model's server gave up half-way")]
    GaveUp,
    #[error("the model answered something that is {0}")]
    Nonsense(&'static str),
}

pub type Thinking<'a> = Pin<Box<dyn Future<Output = Result<Step, Error>> + Send + 'a>>;

pub trait Provider: Send + Sync {
    /// The next step of this turn. Must say something after a bounded number of calls. Words may be told to `follower`
    /// while they are found; when they are, they are all of the step's words.
    fn next<'a>(&'a self, turn: &'a Turn<'a>, follower: &'a Follower) -> Thinking<'a>;

    /// Whether [`Turn::tools`] has to be filled in.
    fn needs_tools(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str;
}
