//! The five tools: add, list, complete, delete and update tasks.
//!
//! A tool that cannot do what it was asked answers with a result marked as an error, holding a `code` a
//! program can branch on (`INVALID_TITLE`, `TASK_NOT_FOUND`, `FORBIDDEN`, `INVALID_REQUEST`, `UNAVAILABLE`)
//! and, for a task that does not exist, up to five that do.

use axum::http::request::Parts;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};
use service::metrics::{Outcomes, count};
use store::{Change, NewTask, Query, Status, Store, TITLE_MAX};

use crate::arguments::{AddTask, Arguments, ListTasks, OneTask, UpdateTask, Which};
use crate::auth::Caller;

const SUGGESTIONS_MAX: usize = 5;
const INSTRUCTIONS: &str = "Manage the todo list of the user the access token belongs to. Task ids are numbers; \
    use list_tasks to find them. Ask the user before calling delete_task.";

#[derive(Clone)]
pub struct Tools {
    store: Store,
    calls: Outcomes,
    tool_router: ToolRouter<Self>,
}

/// Why a tool could not do what it was asked.
enum Refusal {
    Unidentified,
    Unreadable(String),
    Forbidden,
    NothingToChange,
    Store(store::Error),
    NotFound { id: i64, suggestions: Vec<Value> },
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

#[tool_router]
impl Tools {
    pub fn new(store: Store, calls: Outcomes) -> Self {
        Self { store, calls, tool_router: Self::tool_router() }
    }

    #[tool(description = "Add a task to the user's todo list.")]
    async fn add_task(
        &self,
        Parameters(args): Parameters<Arguments<AddTask>>,
        Extension(parts): Extension<Parts>,
    ) -> CallToolResult {
        self.answer("add_task", &parts, self.add(args, &parts).await)
    }

    #[tool(
        description = "List the user's tasks: all, pending or completed.",
        annotations(read_only_hint = true)
    )]
    async fn list_tasks(
        &self,
        Parameters(args): Parameters<Arguments<ListTasks>>,
        Extension(parts): Extension<Parts>,
    ) -> CallToolResult {
        self.answer("list_tasks", &parts, self.list(args, &parts).await)
    }

    #[tool(description = "Mark a task as completed.", annotations(idempotent_hint = true))]
    async fn complete_task(
        &self,
        Parameters(args): Parameters<Arguments<OneTask>>,
        Extension(parts): Extension<Parts>,
    ) -> CallToolResult {
        self.answer("complete_task", &parts, self.complete(args, &parts).await)
    }

    #[tool(description = "Delete a task for good. Ask the user first.", annotations(destructive_hint = true))]
    async fn delete_task(
        &self,
        Parameters(args): Parameters<Arguments<OneTask>>,
        Extension(parts): Extension<Parts>,
    ) -> CallToolResult {
        self.answer("delete_task", &parts, self.delete(args, &parts).await)
    }

    #[tool(description = "Change the title or the description of a task.")]
    async fn update_task(
        &self,
        Parameters(args): Parameters<Arguments<UpdateTask>>,
        Extension(parts): Extension<Parts>,
    ) -> CallToolResult {
        self.answer("update_task", &parts, self.update(args, &parts).await)
    }
}

impl Tools {
    async fn add(&self, args: Arguments<AddTask>, parts: &Parts) -> Result<Value, Refusal> {
        let args = args.0.map_err(Refusal::Unreadable)?;
        let user = caller(parts, args.user_id.as_deref())?;
        let description = args.description.unwrap_or_default();
        let new = NewTask { title: args.title, description, ..NewTask::default() };
        let task = self.store.add_task(user, &new).await?;
        Ok(json!({ "task_id": task.id, "status": "created", "title": task.title }))
    }

    async fn list(&self, args: Arguments<ListTasks>, parts: &Parts) -> Result<Value, Refusal> {
        let args = args.0.map_err(Refusal::Unreadable)?;
        let user = caller(parts, args.user_id.as_deref())?;
        let status = match args.status.unwrap_or_default() {
            Which::All => Status::All,
            Which::Pending => Status::Pending,
            Which::Completed => Status::Completed,
        };
        let page = self.store.list_tasks(user, &Query { status, ..Query::default() }).await?;
        let tasks: Vec<Value> = page
            .tasks
            .iter()
            .map(|task| {
                json!({
                    "id": task.id, "title": task.title, "completed": task.completed,
                    "description": task.description, "created_at": task.created_at,
                })
            })
            .collect();
        Ok(json!({ "tasks": tasks, "total": page.total }))
    }

    async fn complete(&self, args: Arguments<OneTask>, parts: &Parts) -> Result<Value, Refusal> {
        let args = args.0.map_err(Refusal::Unreadable)?;
        let user = caller(parts, args.user_id.as_deref())?;
        let change = Change { completed: Some(true), ..Change::default() };
        match self.store.update_task(user, args.task_id, &change).await {
            Ok(task) => Ok(json!({ "task_id": task.id, "status": "completed", "title": task.title })),
            Err(error) => Err(self.explain(user, args.task_id, error).await),
        }
    }

    async fn delete(&self, args: Arguments<OneTask>, parts: &Parts) -> Result<Value, Refusal> {
        let args = args.0.map_err(Refusal::Unreadable)?;
        let user = caller(parts, args.user_id.as_deref())?;
        match self.store.delete_task(user, args.task_id).await {
            Ok(task) => Ok(json!({ "task_id": task.id, "status": "deleted", "title": task.title })),
            Err(error) => Err(self.explain(user, args.task_id, error).await),
        }
    }

    async fn update(&self, args: Arguments<UpdateTask>, parts: &Parts) -> Result<Value, Refusal> {
        let args = args.0.map_err(Refusal::Unreadable)?;
        let user = caller(parts, args.user_id.as_deref())?;
        if args.title.is_none() && args.description.is_none() {
            return Err(Refusal::NothingToChange);
        }
        let change = Change { title: args.title, description: args.description, ..Change::default() };
        match self.store.update_task(user, args.task_id, &change).await {
            Ok(task) => Ok(json!({ "task_id": task.id, "status": "updated", "title": task.title })),
            Err(error) => Err(self.explain(user, args.task_id, error).await),
        }
    }

    /// Turns "not found" into something to choose from.
    async fn explain(&self, user: &str, id: i64, error: store::Error) -> Refusal {
        if !matches!(error, store::Error::NotFound) {
            return Refusal::Store(error);
        }
        let page = match self.store.list_tasks(user, &Query::default()).await {
            Ok(page) => page,
            Err(error) => return Refusal::Store(error),
        };
        let mut tasks = page.tasks;
        tasks.sort_by_key(|task| (task.id - id).abs());
        let suggestions = tasks
            .iter()
            .take(SUGGESTIONS_MAX)
            .map(|task| json!({ "id": task.id, "title": task.title }))
            .collect();
        Refusal::NotFound { id, suggestions }
    }

    /// The protocol library runs tools in tasks of its own, so the request id comes from the headers.
    fn answer(&self, tool: &'static str, parts: &Parts, outcome: Result<Value, Refusal>) -> CallToolResult {
        let header = parts.headers.get(service::request_id::HEADER).and_then(|id| id.to_str().ok());
        let request_id = header.unwrap_or_default();
        let _span = tracing::info_span!("tool_call", tool, request_id).entered();
        match outcome {
            Ok(value) => {
                tracing::info!("tool call done");
                count(&self.calls, "ok");
                success(value)
            }
            Err(refusal) => {
                let value = refused(refusal);
                count(&self.calls, "error");
                let mut result = CallToolResult::error(vec![ContentBlock::text(value.to_string())]);
                result.structured_content = Some(value);
                result
            }
        }
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("todo", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }
}

/// The text of a list is the bare array that clients of the contract expect.
fn success(value: Value) -> CallToolResult {
    let text = value.get("tasks").unwrap_or(&value).to_string();
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    result
}

/// The user of the token. An argument may repeat it, never choose another.
fn caller<'a>(parts: &'a Parts, claimed: Option<&str>) -> Result<&'a str, Refusal> {
    let Caller(user) = parts.extensions.get::<Caller>().ok_or(Refusal::Unidentified)?;
    match claimed {
        Some(claimed) if claimed != user => Err(Refusal::Forbidden),
        _ => Ok(user),
    }
}

fn refused(refusal: Refusal) -> Value {
    let (code, message, more) = match refusal {
        Refusal::Unidentified => ("UNAUTHORIZED", "the call carries no identity".to_owned(), Value::Null),
        Refusal::Unreadable(problem) => ("INVALID_REQUEST", problem, Value::Null),
        Refusal::Forbidden => {
            ("FORBIDDEN", "user_id is not the user of the access token".to_owned(), Value::Null)
        }
        Refusal::NothingToChange => {
            ("INVALID_REQUEST", "give a title or a description to change".to_owned(), Value::Null)
        }
        Refusal::NotFound { id, suggestions } => {
            ("TASK_NOT_FOUND", format!("there is no task {id}"), json!(suggestions))
        }
        Refusal::Store(store::Error::Invalid(fields)) => invalid(&fields),
        Refusal::Store(store::Error::NotFound) => {
            ("INVALID_REQUEST", "the user does not exist".to_owned(), Value::Null)
        }
        Refusal::Store(error) => {
            tracing::error!(error = service::log::chain(&error), "tool call failed");
            ("UNAVAILABLE", "the task list cannot be reached, try again".to_owned(), Value::Null)
        }
    };
    tracing::info!(code, "tool call refused");
    let mut value = json!({ "status": "error", "code": code, "message": message });
    if code == "TASK_NOT_FOUND" {
        value["suggestions"] = more;
    }
    value
}

fn invalid(fields: &[store::FieldError]) -> (&'static str, String, Value) {
    let text: Vec<String> = fields.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
    let is_title = fields.iter().any(|error| error.field == "title");
    let code = if is_title { "INVALID_TITLE" } else { "INVALID_REQUEST" };
    let limits = if is_title { format!(" (1 to {TITLE_MAX} characters)") } else { String::new() };
    (code, format!("{}{limits}", text.join(", ")), Value::Null)
}
