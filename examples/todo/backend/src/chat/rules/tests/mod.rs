//! Sentences people type, and what must come of them: one by one in `requests`, several at once in `several`, and in the
//! course of a conversation in `dialogues`.

mod dialogues;
mod requests;
mod several;

use mcp_client::JsonObject;
use serde_json::{Value, json};

use store::{Message, Role};

use super::super::provider::{Call, State, Step, Turn, Waiting};
use super::decide;

/// The list every conversation here starts with.
fn fixture() -> Vec<(i64, &'static str, bool)> {
    vec![
        (1, "Buy milk", false),
        (3, "Team meeting", false),
        (4, "Call the dentist", true),
        (7, "Pay bills", false),
    ]
}

/// What a fake tool answers, as the MCP server would.
fn tool(name: &str, arguments: &JsonObject) -> (Value, bool) {
    // Task 8 is the one that was added last.
    let known = |id: i64| fixture().into_iter().chain([(8, "Rest", false)]).find(|task| task.0 == id);
    match name {
        "list_tasks" => {
            let wanted = arguments.get("status").and_then(Value::as_str).unwrap_or("all").to_owned();
            let shown = move |done: bool| wanted == "all" || (wanted == "completed") == done;
            let tasks: Vec<Value> = fixture()
                .into_iter()
                .filter(|task| shown(task.2))
                .map(|(id, title, completed)| json!({ "id": id, "title": title, "completed": completed }))
                .collect();
            (json!({ "tasks": tasks }), false)
        }
        "add_task" => (json!({ "task_id": 8, "status": "created", "title": arguments["title"] }), false),
        "update_task" => (
            json!({ "task_id": arguments["task_id"], "status": "updated", "title": arguments["title"] }),
            false,
        ),
        _ => match arguments["task_id"].as_i64().and_then(known) {
            Some((id, title, _)) => (json!({ "task_id": id, "status": "done", "title": title }), false),
            None => (
                json!({ "status": "error", "code": "TASK_NOT_FOUND", "message": "there is no such task" }),
                true,
            ),
        },
    }
}

/// Lets the rules answer `message`; gives the calls that were made, and the next state.
fn turn(message: &str, state: &State) -> (Vec<String>, String, State) {
    later(message, &[], state)
}

/// The same after other messages.
fn later(message: &str, history: &[Message], state: &State) -> (Vec<String>, String, State) {
    let mut calls: Vec<Call> = Vec::new();
    for _ in 0..8 {
        let turn = Turn { message, history, state, calls: &calls, tools: &[] };
        match decide(&turn).expect("the fake tools work") {
            Step::Say(reply) => {
                let made = calls.iter().map(short).collect();
                let state =
                    State { calls, waiting: reply.waiting, subject: reply.subject, is_undo: reply.is_undo };
                return (made, reply.text, state);
            }
            Step::Call(wishes) => calls.extend(wishes.into_iter().map(|wish| {
                let (result, failed) = tool(&wish.tool, &wish.arguments);
                Call { tool: wish.tool, arguments: Value::Object(wish.arguments), result, failed }
            })),
        }
    }
    panic!("`{message}` never came to an answer");
}

fn short(call: &Call) -> String {
    let arguments = &call.arguments;
    match call.tool.as_str() {
        "list_tasks" => format!("list {}", arguments["status"].as_str().unwrap_or_default()),
        "add_task" => format!("add {}", arguments["title"].as_str().unwrap_or_default()),
        "update_task" => {
            format!("update {} {}", arguments["task_id"], arguments["title"].as_str().unwrap_or_default())
        }
        name => format!("{} {}", name.trim_end_matches("_task"), arguments["task_id"]),
    }
}

/// What came of a turn: a question, or the calls.
fn outcome(calls: &[String], state: &State) -> String {
    match &state.waiting {
        Some(Waiting::ConfirmDelete { id, also, .. }) => {
            let more: String = also.iter().map(|task| format!(", {}", task.id)).collect();
            format!("ask {id}{more}")
        }
        Some(Waiting::Choose { ids, .. }) => format!("which {ids:?}"),
        Some(Waiting::Title { id: Some(id) }) => format!("title {id}"),
        Some(Waiting::Title { id: None }) => "title".to_owned(),
        None if calls.is_empty() => "nothing".to_owned(),
        None => calls.join(", "),
    }
}

/// Checks the question each sentence leads to, or its last tool call; `ask 3` stands for the question whether to delete
/// task 3, `which [..]` for one between tasks, `title` for one about what to call a task.
#[track_caller]
fn check(expect: &str, sentences: &[&str]) {
    check_calls(expect, sentences, |calls| calls.last().cloned().into_iter().collect());
}

/// Checks all that came of each sentence, the list that was read apart.
#[track_caller]
fn check_all(expect: &str, sentences: &[&str]) {
    check_calls(expect, sentences, |calls| {
        calls.iter().filter(|call| *call != "list all").cloned().collect()
    });
}

#[track_caller]
fn check_calls(expect: &str, sentences: &[&str], that_count: impl Fn(&[String]) -> Vec<String>) {
    let mut wrong = String::new();
    for sentence in sentences {
        let (calls, text, state) = turn(sentence, &State::default());
        let got = outcome(&that_count(&calls), &state);
        if got != expect {
            wrong.push_str(&format!("\n`{sentence}` came to `{got}`: {text}"));
        }
    }
    assert!(wrong.is_empty(), "should all come to `{expect}`:{wrong}");
}

/// What is stored of a turn.
fn remembered(text: &str, state: &State) -> Message {
    let state = serde_json::to_string(state).unwrap();
    Message { role: Role::Assistant, content: text.to_owned(), state, created_at: String::new() }
}
