//! The backend as the pages see it.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use service::client::{Answer, Client, Stream};

use crate::flash::Words;
use crate::session::Visitor;
use crate::view::{Filter, View};

pub const EVENT_STREAM: &str = "text/event-stream";
/// The backend says something every 15 seconds, if only that it is alive.
const EVENTS_SILENCE: Duration = Duration::from_secs(40);
/// A model may think for a while before its first word.
const CHAT_SILENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, Deserialize)]
pub struct User {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub access_token: String,
    pub expires_in: u64,
    pub user: User,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    pub id: i64,
    pub title: String,
    pub description: String,
    pub completed: bool,
    pub due_date: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct History {
    pub conversation_id: Option<i64>,
    pub messages: Vec<Message>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: String,
    #[serde(default)]
    pub tool_calls: Vec<ToolCall>,
    /// The question this message asks, if the next one is to answer it.
    #[serde(default)]
    pub waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ToolCall {
    pub tool: String,
    #[serde(default)]
    pub arguments: Value,
    #[serde(default)]
    pub failed: bool,
}

/// A question with few answers, which the page offers as buttons.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Waiting {
    ConfirmDelete {},
    Choose {
        #[serde(default)]
        ids: Vec<i64>,
    },
    /// A question this page does not know; it is answered by typing.
    #[serde(other)]
    Other,
}

/// One page of the list, and how much there is besides.
#[derive(Clone, Debug, Default)]
pub struct TaskPage {
    pub tasks: Vec<Task>,
    /// That match the view, on all pages.
    pub matching: i64,
    pub open: i64,
    pub done: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Problem {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub fields: Vec<FieldProblem>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FieldProblem {
    pub field: String,
    pub message: String,
}

impl Problem {
    pub fn new(message: &str) -> Self {
        Self { message: message.to_owned(), fields: Vec::new() }
    }

    /// One line for a notice: the fields say more than "some fields are not valid".
    pub fn line(&self) -> String {
        if self.fields.is_empty() {
            return sentence(&self.message);
        }
        self.fields.iter().map(FieldProblem::sentence).collect::<Vec<_>>().join(" ")
    }

    pub fn of(&self, field: &str) -> Option<&FieldProblem> {
        self.fields.iter().find(|problem| problem.field == field)
    }
}

impl FieldProblem {
    /// "Due date is not a date like 2026-11-21."
    pub fn sentence(&self) -> String {
        sentence(&format!("{} {}", self.field.replace('_', " "), self.message))
    }
}

/// The API's messages begin small and end without a stop; a person reads sentences.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) || text.is_empty() { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not logged in, or not any more.
    #[error("the session is over")]
    LoggedOut,
    /// The backend refused, with words for a person.
    #[error("the backend refused")]
    Refused(Problem),
    #[error("the backend does not have it")]
    NotFound(Problem),
    #[error("there is no such task")]
    Gone,
    #[error("the backend cannot be reached")]
    Unreachable(#[from] service::client::Error),
    #[error("the backend answered {0}")]
    Unhealthy(StatusCode),
}

impl Error {
    /// What to tell a person.
    pub fn problem(&self) -> Problem {
        match self {
            Self::LoggedOut => Problem::new("Your session is over, please log in again."),
            Self::Refused(problem) | Self::NotFound(problem) => problem.clone(),
            Self::Gone => Problem::new("That task is gone: another window or the assistant deleted it."),
            Self::Unreachable(_) | Self::Unhealthy(_) => {
                tracing::warn!(error = service::log::chain(self), "the backend failed");
                Problem::new("The service does not answer right now. Nothing is lost, please try again.")
            }
        }
    }
}

pub struct Api {
    client: Client,
    events: Client,
    chat: Client,
    base: String,
}

/// A logged-in user and the token that proves it.
pub struct LoggedIn<'a> {
    api: &'a Api,
    token: String,
    pub user: User,
}

impl Api {
    pub fn new(base: String, timeout: Duration) -> Self {
        let (events, chat) = (Client::new(EVENTS_SILENCE), Client::new(CHAT_SILENCE));
        Self { client: Client::new(timeout), events, chat, base }
    }

    pub async fn check(&self) -> Result<(), Error> {
        let url = format!("{}/health", self.base);
        let answer = self.client.send(Method::GET, &url, None, None).await?;
        if answer.status.is_success() { Ok(()) } else { Err(Error::Unhealthy(answer.status)) }
    }

    pub async fn sign_up(&self, name: &str, email: &str, password: &str) -> Result<Session, Error> {
        let body = json!({ "name": name, "email": email, "password": password });
        Ok(self.call(Method::POST, "/api/auth/signup", None, Some(body)).await?.json()?)
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Result<Session, Error> {
        let body = json!({ "email": email, "password": password });
        match self.call(Method::POST, "/api/auth/login", None, Some(body)).await {
            Err(Error::LoggedOut) => Err(Error::Refused(Problem::new("Email address or password is wrong."))),
            outcome => Ok(outcome?.json()?),
        }
    }

    pub async fn log_out(&self, token: &str) -> Result<(), Error> {
        self.call(Method::POST, "/api/auth/logout", Some(token), None).await.map(drop)
    }

    /// The session of a visitor. Whether it is still good, the first call shows.
    pub async fn session_of(&self, visitor: &Visitor) -> Result<LoggedIn<'_>, Error> {
        let token = visitor.token.clone().ok_or(Error::LoggedOut)?;
        let user = match &visitor.user {
            Some(user) => user.clone(),
            None => self.call(Method::GET, "/api/auth/me", Some(&token), None).await?.json()?,
        };
        Ok(LoggedIn { api: self, token, user })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.base);
        judged(self.client.send(method, &url, token, body.as_ref()).await?)
    }
}

impl LoggedIn<'_> {
    /// What `view` shows, and how much there is in all.
    pub async fn tasks(&self, view: &View) -> Result<TaskPage, Error> {
        let path = format!("/tasks?{}", view.request());
        // Of a list without a search the page itself tells the length; only what it does not tell is asked for.
        let tells = |filter| view.search.is_empty() && view.filter == filter;
        let (page, open, done) = tokio::join!(
            self.call(Method::GET, &path, None),
            self.count(Filter::Pending, !tells(Filter::Pending) && !tells(Filter::All)),
            self.count(Filter::Completed, !tells(Filter::Completed)),
        );
        let (page, open, done) = (page?, open?, done?);
        let matching = total(&page);
        let done = done.unwrap_or(matching);
        let open = open.unwrap_or(if tells(Filter::All) { (matching - done).max(0) } else { matching });
        Ok(TaskPage { matching, tasks: page.json()?, open, done })
    }

    async fn count(&self, filter: Filter, is_needed: bool) -> Result<Option<i64>, Error> {
        if !is_needed {
            return Ok(None);
        }
        let path = format!("/tasks?status={}&limit=1", filter.name());
        Ok(Some(total(&self.call(Method::GET, &path, None).await?)))
    }

    pub async fn task(&self, id: i64) -> Result<Task, Error> {
        self.task_call(Method::GET, id, "", None).await
    }

    pub async fn add(&self, words: &Words) -> Result<Task, Error> {
        Ok(self.call(Method::POST, "/tasks", Some(json!(words))).await?.json()?)
    }

    pub async fn edit(&self, id: i64, words: &Words) -> Result<Task, Error> {
        self.task_call(Method::PUT, id, "", Some(json!(words))).await
    }

    /// Says how it should be rather than "turn it over": pressing twice does the same.
    pub async fn set_completed(&self, id: i64, completed: bool) -> Result<Task, Error> {
        self.task_call(Method::PUT, id, "", Some(json!({ "completed": completed }))).await
    }

    pub async fn delete(&self, id: i64) -> Result<(), Error> {
        gone(self.call(Method::DELETE, &format!("/tasks/{id}"), None).await).map(drop)
    }

    pub async fn restore(&self, id: i64) -> Result<Task, Error> {
        self.task_call(Method::POST, id, "/restore", None).await
    }

    async fn task_call(
        &self,
        method: Method,
        id: i64,
        verb: &str,
        body: Option<Value>,
    ) -> Result<Task, Error> {
        Ok(gone(self.call(method, &format!("/tasks/{id}{verb}"), body).await)?.json()?)
    }

    pub async fn history(&self) -> Result<History, Error> {
        Ok(self.call(Method::GET, "/chat/history", None).await?.json()?)
    }

    pub async fn clear_chat(&self) -> Result<(), Error> {
        self.call(Method::DELETE, "/chat/history", None).await.map(drop)
    }

    /// Says something in the conversation used last and waits for the whole reply.
    pub async fn say(&self, message: &str) -> Result<(), Error> {
        let (path, body) = self.turn(message).await?;
        let url = format!("{}{path}", self.api.base);
        let answer = self.api.chat.send(Method::POST, &url, Some(&self.token), Some(&body)).await?;
        judged(answer).map(drop)
    }

    /// As [`LoggedIn::say`], but the reply comes in events as it is made.
    pub async fn say_streaming(&self, message: &str) -> Result<Stream, Error> {
        let (path, body) = self.turn(message).await?;
        self.open(&self.api.chat, Method::POST, &path, Some(&body)).await
    }

    async fn turn(&self, message: &str) -> Result<(String, Value), Error> {
        let conversation = self.history().await?.conversation_id;
        let body = json!({ "conversation_id": conversation, "message": message });
        Ok((self.path("/chat"), body))
    }

    /// What changes from now on; or, after a broken connection, from `after` on.
    pub async fn events(&self, after: Option<&str>) -> Result<Stream, Error> {
        let after = after.map(|id| format!("?after={id}")).unwrap_or_default();
        self.open(&self.api.events, Method::GET, &self.path(&format!("/events{after}")), None).await
    }

    async fn open(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Stream, Error> {
        let url = format!("{}{path}", self.api.base);
        let stream = client.stream(method, &url, Some(&self.token), EVENT_STREAM, body).await?;
        if stream.status.is_success() {
            return Ok(stream);
        }
        let status = stream.status;
        judged(stream.whole().await?)?;
        Err(Error::Unhealthy(status))
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/{}{rest}", self.user.id)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Error> {
        self.api.call(method, &self.path(path), Some(&self.token), body).await
    }
}

fn total(answer: &Answer) -> i64 {
    let header = answer.headers.get("x-total-count").and_then(|value| value.to_str().ok());
    header.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn gone<T>(outcome: Result<T, Error>) -> Result<T, Error> {
    match outcome {
        Err(Error::NotFound(_)) => Err(Error::Gone),
        outcome => outcome,
    }
}

fn judged(answer: Answer) -> Result<Answer, Error> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        // Forbidden: the cookie names somebody else than the token.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::LoggedOut),
        StatusCode::NOT_FOUND => Err(Error::NotFound(answer.json().unwrap_or_default())),
        status if status.is_server_error() => match answer.json::<Problem>() {
            Ok(problem) if !problem.message.is_empty() => Err(Error::Refused(problem)),
            _ => Err(Error::Unhealthy(status)),
        },
        _ => Err(Error::Refused(answer.json().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_sentences() {
        let field = FieldProblem { field: "due_date".into(), message: "is required".into() };
        assert_eq!(field.sentence(), "Due date is required.");
        assert_eq!(Problem::new("too many messages").line(), "Too many messages.");
        assert_eq!(Problem { message: String::new(), fields: vec![field] }.line(), "Due date is required.");
    }

    #[test]
    fn a_question_of_a_later_backend_is_no_error() {
        let read = |text| serde_json::from_str::<Waiting>(text).expect("readable");
        assert!(matches!(read(r#"{"kind":"confirm_delete","id":1,"title":"x"}"#), Waiting::ConfirmDelete {}));
        assert!(
            matches!(read(r#"{"kind":"choose","action":{"do":"delete"},"ids":[1,2]}"#), Waiting::Choose { ids } if ids == [1, 2])
        );
        assert!(matches!(read(r#"{"kind":"pick_a_day","days":[1]}"#), Waiting::Other));
    }
}
