//! What the assistant can do besides the tools of the MCP server: bring back what was deleted, and reopen a task.
//!
//! They are for taking back what a chat did, so they live here and not among the five tools of the contract. Whose tasks
//! they touch is the session's user, never an argument.

use mcp_client::{JsonObject, Tool};
use serde_json::{Value, json};
use store::{Change, Store, Task};

use super::provider::Call;

const RESTORE: &str = "restore_task";
const REOPEN: &str = "reopen_task";

/// As models are told of them.
pub fn described() -> Vec<Tool> {
    let id = json!({ "type": "integer", "description": "The number of the task." });
    let parameters = json!({ "type": "object", "properties": { "task_id": id }, "required": ["task_id"] });
    let tool = |name: &str, description: &str| Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: parameters.clone(),
    };
    vec![
        tool(RESTORE, "Bring back a task that was deleted within the last hour, to undo its deletion."),
        tool(REOPEN, "Make a completed task pending again."),
    ]
}

pub fn has(tool: &str) -> bool {
    matches!(tool, RESTORE | REOPEN)
}

/// Calls one of them for `user`; it fails like a tool of the server, in its result.
pub async fn call(store: &Store, user: &str, tool: String, arguments: JsonObject) -> Call {
    let outcome = match (tool.as_str(), arguments.get("task_id").and_then(task_number)) {
        (_, None) => Err(refusal("INVALID_REQUEST", "task_id is not a number")),
        (RESTORE, Some(id)) => said(store.restore_task(user, id).await, "restored"),
        (_, Some(id)) => {
            let change = Change { completed: Some(false), ..Change::default() };
            said(store.update_task(user, id, &change).await, "reopened")
        }
    };
    let failed = outcome.is_err();
    let result = outcome.unwrap_or_else(|refusal| refusal);
    Call { tool, arguments: Value::Object(arguments), result, failed }
}

/// Models write numbers as text at times.
pub fn task_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn said(outcome: Result<Task, store::Error>, status: &str) -> Result<Value, Value> {
    match outcome {
        Ok(task) => Ok(json!({ "task_id": task.id, "status": status, "title": task.title })),
        Err(store::Error::NotFound) => Err(refusal("TASK_NOT_FOUND", "there is no such task")),
        Err(error) => {
            tracing::error!(error = service::log::chain(&error), "a tool of our own failed");
            Err(refusal("UNAVAILABLE", "the task list cannot be reached, try again"))
        }
    }
}

fn refusal(code: &str, message: &str) -> Value {
    json!({ "status": "error", "code": code, "message": message })
}
