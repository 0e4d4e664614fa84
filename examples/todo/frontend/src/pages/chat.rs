//! The assistant: the conversation, what it did with which tool, and the answers its questions allow.

use maud::{Markup, html};

use super::{Board, Notice, carried, icons};
use crate::api::{History, Message, ToolCall, Waiting};
use crate::session::Visitor;

/// What an empty conversation offers to say.
pub const SAYINGS: [&str; 4] =
    ["add a task to buy groceries", "show me all my tasks", "what's pending?", "mark task 1 as complete"];

/// Of more, one says the number instead of looking for the button.
const CHOICES_MAX: usize = 8;

pub fn panel(visitor: &Visitor, board: &Board<'_>) -> Markup {
    let (typed, problem) = match &board.notice {
        Some(Notice::Chat { message, problem }) => (message.as_str(), Some(problem)),
        _ => ("", None),
    };
    html! {
        section.chat #chat aria-labelledby="chat-title" {
            div.heading {
                h2 #chat-title { "Assistant" }
                @if board.history.as_ref().is_ok_and(|history| !history.messages.is_empty()) {
                    // The one thing that cannot be undone asks first.
                    details.clear #clear {
                        summary.quiet { "Clear" }
                        form method="post" action="/chat/clear" { (carried(visitor, board.view)) button type="submit" { "Clear the conversation" } }
                    }
                }
            }
            div.messages #messages role="log" aria-labelledby="chat-title" tabindex="0" {
                @match board.history {
                    Ok(history) => (conversation(visitor, board, history)),
                    Err(problem) => p.notice { (problem.line()) },
                }
            }
            div #chat-notice role="alert" { @if let Some(problem) = problem { p.notice { (problem.line()) } } }
            form.say method="post" action="/chat" data-say {
                (carried(visitor, board.view))
                label.hidden for="message" { "Message to the assistant" }
                input #message name="message" value=(typed) placeholder="Say what to do\u{2026}" maxlength="10000" required autocomplete="off" enterkeyhint="send";
                button.primary type="submit" { "Send" }
            }
        }
    }
}

fn conversation(visitor: &Visitor, board: &Board<'_>, history: &History) -> Markup {
    html! {
        @if history.messages.is_empty() {
            div.empty {
                p { "I keep your list. Try one of these, or say it your way." }
                form.answers method="post" action="/chat" data-say {
                    (carried(visitor, board.view))
                    @let has_tasks = board.page.open > 0;
                    @for saying in SAYINGS.iter().filter(|saying| has_tasks || !saying.contains("task 1")) { button type="submit" name="message" value=(saying) { (saying) } }
                }
            }
        }
        @for message in &history.messages { (bubble(message)) }
        @if let Some(waiting) = history.messages.last().and_then(|message| message.waiting.as_ref()) {
            (answers(visitor, board, waiting))
        }
    }
}

fn bubble(message: &Message) -> Markup {
    let is_mine = message.role == "user";
    html! {
        div.bubble.mine[is_mine] {
            span.hidden { (if is_mine { "You: " } else { "Assistant: " }) }
            @if !message.tool_calls.is_empty() { div.tools { @for call in &message.tool_calls { (tool(call)) } } }
            p { (message.content) }
        }
    }
}

/// The name of the tool, and behind it what it was told.
fn tool(call: &ToolCall) -> Markup {
    html! {
        details.tool.failed[call.failed] {
            summary { (icons::tool()) (call.tool) @if call.failed { " failed" } }
            dl {
                @for (name, value) in call.arguments.as_object().into_iter().flatten() {
                    div { dt { (name) } dd { (plain(value)) } }
                }
            }
        }
    }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn answers(visitor: &Visitor, board: &Board<'_>, waiting: &Waiting) -> Markup {
    let choices: Vec<(String, String)> = match waiting {
        Waiting::ConfirmDelete {} => {
            vec![("yes".into(), "Yes, delete it".into()), ("no".into(), "No, keep it".into())]
        }
        Waiting::Choose { ids } => {
            let one = |id: &i64| (format!("task {id}"), named(board, *id));
            let neither = ("no".into(), "None of these".into());
            ids.iter().take(CHOICES_MAX).map(one).chain([neither]).collect()
        }
        Waiting::Other => Vec::new(),
    };
    html! {
        @if !choices.is_empty() {
            form.answers method="post" action="/chat" data-say {
                (carried(visitor, board.view))
                @for (message, label) in choices { button type="submit" name="message" value=(message) { (label) } }
            }
        }
    }
}

fn named(board: &Board<'_>, id: i64) -> String {
    match board.page.tasks.iter().find(|task| task.id == id) {
        Some(task) => format!("#{id} {}", task.title),
        None => format!("Task {id}"),
    }
}
