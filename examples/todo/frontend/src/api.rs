//! The backend as the pages see it.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use service::client::{Answer, Client};

#[derive(Clone, Debug, Default, Deserialize)]
pub struct User {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub access_token: String,
    pub expires_in: u64,
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
    pub tool_calls: Vec<ToolCall>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ToolCall {
    pub tool: String,
    #[serde(default)]
    pub failed: bool,
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
    fn new(message: &str) -> Self {
        Self { message: message.to_owned(), fields: Vec::new() }
    }

    /// One line for a notice: the fields say more than "some fields are not valid".
    pub fn line(&self) -> String {
        if self.fields.is_empty() {
            return self.message.clone();
        }
        let fields: Vec<String> = self.fields.iter().map(|f| format!("{} {}", f.field, f.message)).collect();
        fields.join(", ")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not logged in, or not any more.
    #[error("the session is over")]
    LoggedOut,
    /// The backend refused, with words for a person.
    #[error("the backend refused")]
    Refused(Problem),
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
            Self::Refused(problem) => problem.clone(),
            Self::Unreachable(_) | Self::Unhealthy(_) => {
                tracing::warn!(error = service::log::chain(self), "the backend failed");
                Problem::new("The service does not answer right now. Nothing is lost, please try again.")
            }
        }
    }
}

pub struct Api {
    client: Client,
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
        Self { client: Client::new(timeout), base }
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

    /// The user `token` belongs to.
    pub async fn who_is(&self, token: String) -> Result<LoggedIn<'_>, Error> {
        let user = self.call(Method::GET, "/api/auth/me", Some(&token), None).await?.json()?;
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
        let answer = self.client.send(method, &url, token, body.as_ref()).await?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(Error::LoggedOut),
            status if status.is_server_error() => match answer.json::<Problem>() {
                Ok(problem) if !problem.message.is_empty() => Err(Error::Refused(problem)),
                _ => Err(Error::Unhealthy(status)),
            },
            _ => Err(Error::Refused(answer.json().unwrap_or_default())),
        }
    }
}

impl LoggedIn<'_> {
    pub async fn tasks(&self, query: &str) -> Result<Vec<Task>, Error> {
        Ok(self.call(Method::GET, &format!("/tasks{query}"), None).await?.json()?)
    }

    pub async fn add(&self, title: &str, due_date: &str) -> Result<(), Error> {
        self.call(Method::POST, "/tasks", Some(json!({ "title": title, "due_date": due_date })))
            .await
            .map(drop)
    }

    pub async fn edit(&self, id: i64, title: &str, description: &str, due_date: &str) -> Result<(), Error> {
        let body = json!({ "title": title, "description": description, "due_date": due_date });
        self.call(Method::PUT, &format!("/tasks/{id}"), Some(body)).await.map(drop)
    }

    pub async fn toggle(&self, id: i64) -> Result<(), Error> {
        self.call(Method::PATCH, &format!("/tasks/{id}/complete"), None).await.map(drop)
    }

    pub async fn delete(&self, id: i64) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("/tasks/{id}"), None).await.map(drop)
    }

    pub async fn history(&self) -> Result<History, Error> {
        Ok(self.call(Method::GET, "/chat/history", None).await?.json()?)
    }

    pub async fn say(&self, conversation: Option<i64>, message: &str) -> Result<(), Error> {
        let body = json!({ "conversation_id": conversation, "message": message });
        self.call(Method::POST, "/chat", Some(body)).await.map(drop)
    }

    pub async fn clear_chat(&self) -> Result<(), Error> {
        self.call(Method::DELETE, "/chat/history", None).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Error> {
        let path = format!("/api/{}{path}", self.user.id);
        self.api.call(method, &path, Some(&self.token), body).await
    }
}
