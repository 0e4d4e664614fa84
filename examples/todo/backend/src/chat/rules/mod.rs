//! The default assistant: rules, no model, no network, the same answer every time.
//!
//! A message becomes an [`Intent`](parse::Intent) in `parse`, words for a task become one of the listed
//! tasks in `resolve`, and `decide` here chooses the next step. Invariant: `delete_task` is called only for
//! the task named in a question that the previous message asked and this one affirms.

mod parse;
mod resolve;
mod vocabulary;
mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use mcp_client::JsonObject;
use serde_json::{Value, json};

use self::parse::{Intent, Status, Target};
use self::resolve::{Found, Listed};
use super::follower::Follower;
use super::provider::{Action, Call, Error, Provider, Reply, State, Step, Thinking, Turn, Waiting, Wish};

const HELP: &str = "I keep your todo list. Try \u{201c}add a task to buy groceries\u{201d}, \
    \u{201c}what's pending?\u{201d}, \u{201c}mark task 1 as complete\u{201d}, \u{201c}rename task 1 to \u{2026}\u{201d} \
    or \u{201c}delete the last task\u{201d}.";
const SHOWN_MAX: usize = 20;

pub struct Rules;

impl Provider for Rules {
    fn next<'a>(&'a self, turn: &'a Turn<'a>, _: &'a Follower) -> Thinking<'a> {
        Box::pin(std::future::ready(decide(turn)))
    }

    fn needs_tools(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "rules"
    }
}

/// Whether `message` says yes to the question whether to delete.
pub fn affirms(message: &str) -> bool {
    // "Delete it" is a request as well, where nothing was asked.
    matches!(parse::parse(message), Intent::Yes | Intent::Delete { target: Target::It })
}

/// Whether `message` answers the question that `state` waits with, so that no model has to interpret it.
pub fn settles(message: &str, state: &State) -> bool {
    let intent = parse::parse(message);
    match &state.waiting {
        None => false,
        Some(Waiting::ConfirmDelete { .. }) => affirms(message) || intent == Intent::No,
        Some(Waiting::Choose { .. }) => matches!(intent, Intent::No | Intent::Choice { .. }),
    }
}

/// The question that has to be affirmed before a task is deleted.
pub fn ask_before_deleting(id: i64, title: &str) -> Reply {
    Reply {
        text: format!("Shall I delete task {id}, \u{201c}{title}\u{201d}? Answer yes or no."),
        waiting: Some(Waiting::ConfirmDelete { id, title: title.to_owned() }),
        subject: Some(id),
    }
}

/// The next step of a turn. Pure.
pub fn decide(turn: &Turn<'_>) -> Result<Step, Error> {
    let waiting = turn.state.waiting.as_ref();
    match parse::parse(turn.message) {
        Intent::Yes => confirm(turn, waiting),
        Intent::Delete { target: Target::It } if matches!(waiting, Some(Waiting::ConfirmDelete { .. })) => {
            confirm(turn, waiting)
        }
        Intent::No => {
            Ok(say(if waiting.is_some() { "All right, nothing was changed." } else { "All right." }))
        }
        Intent::Hello => Ok(say(&format!("Hello! {HELP}"))),
        Intent::Thanks => Ok(say("You're welcome.")),
        Intent::Help => Ok(say(HELP)),
        Intent::Add { title } if title.is_empty() => {
            Ok(say("What should the task say? For example: \u{201c}add a task to buy groceries\u{201d}."))
        }
        Intent::Add { title } => add(turn, &title),
        Intent::List { status } => list(turn, status),
        Intent::Complete { target } => act(turn, &[(target, Action::Complete)]),
        Intent::Delete { target } => act(turn, &[(target, Action::Delete)]),
        Intent::Rename { options } if options.is_empty() => {
            Ok(say("What should the new title be? For example: \u{201c}rename task 1 to call mom\u{201d}."))
        }
        Intent::Rename { options } => {
            let options: Vec<_> =
                options.into_iter().map(|(target, title)| (target, Action::Rename { title })).collect();
            act(turn, &options)
        }
        Intent::Reopen => {
            Ok(say("I can't reopen tasks, but the box in front of the task can: click it again."))
        }
        Intent::Choice { target } => choose(turn, waiting, target),
        Intent::Unknown => Ok(say(&format!("I did not understand that. {HELP}"))),
    }
}

fn say(text: &str) -> Step {
    Step::Say(Reply { text: text.to_owned(), ..Reply::default() })
}

fn about(subject: i64, text: String) -> Step {
    Step::Say(Reply { text, subject: Some(subject), waiting: None })
}

fn call(tool: &'static str, arguments: Value) -> Step {
    let arguments = match arguments {
        Value::Object(map) => map,
        _ => JsonObject::new(),
    };
    Step::Call(vec![Wish { tool: tool.to_owned(), arguments }])
}

fn add(turn: &Turn<'_>, title: &str) -> Result<Step, Error> {
    let Some(done) = turn.calls.first() else { return Ok(call("add_task", json!({ "title": title }))) };
    match outcome(done)? {
        Outcome::Refused(text) => Ok(say(&text)),
        Outcome::Done { id, title } => {
            Ok(about(id, format!("I added \u{201c}{title}\u{201d} to your list as task {id}.")))
        }
    }
}

fn list(turn: &Turn<'_>, status: Status) -> Result<Step, Error> {
    let Some(done) = turn.calls.first() else {
        return Ok(call("list_tasks", json!({ "status": status.name() })));
    };
    let tasks = resolve::listed(done).ok_or(Error::Tool)?;
    if tasks.is_empty() {
        return Ok(say(match status {
            Status::All => "Your list is empty. Tell me what to remember.",
            Status::Pending => "Nothing is pending. Well done!",
            Status::Completed => "You have not completed any task yet.",
        }));
    }
    let heading = match status {
        Status::All => format!("You have {}:", tasks_counted(tasks.len(), "")),
        Status::Pending => format!("You have {}:", tasks_counted(tasks.len(), "pending ")),
        Status::Completed => format!("You have completed {}:", tasks_counted(tasks.len(), "")),
    };
    Ok(say(&format!("{heading}\n{}", lines(&tasks))))
}

fn tasks_counted(count: usize, kind: &str) -> String {
    format!("{count} {kind}{}", if count == 1 { "task" } else { "tasks" })
}

fn lines(tasks: &[Listed]) -> String {
    let mut lines: Vec<String> = tasks.iter().take(SHOWN_MAX).map(Listed::line).collect();
    if tasks.len() > SHOWN_MAX {
        lines.push(format!("\u{2026} and {} more", tasks.len() - SHOWN_MAX));
    }
    lines.join("\n")
}

/// Finds the task, then acts on it. `options` are readings of one sentence; the first that fits wins.
fn act(turn: &Turn<'_>, options: &[(Target, Action)]) -> Result<Step, Error> {
    let Some((first, first_action)) = options.first() else { return Ok(say(HELP)) };
    match first {
        Target::Nothing => return Ok(say("Which task do you mean? Tell me its number or its title.")),
        Target::Everything => return Ok(say("I change one task at a time. Which one should it be?")),
        _ => {}
    }
    let Some(list) = turn.calls.first() else { return Ok(call("list_tasks", json!({ "status": "all" }))) };
    let tasks = resolve::listed(list).ok_or(Error::Tool)?;
    if let Some(done) = turn.calls.get(1) {
        return finished(done, first_action);
    }
    let subject = turn.state.subject;
    let readings = options.iter().map(|(target, action)| (resolve::find(&tasks, target, subject), action));
    let mut readings: Vec<(Found, &Action)> = readings.collect();
    let best = readings.iter().position(|(found, _)| matches!(found, Found::One(_))).unwrap_or(0);
    match readings.swap_remove(best) {
        (Found::One(task), action) => Ok(start(&task, action)),
        (Found::Many(candidates), action) => Ok(ask_which(&candidates, action)),
        (Found::None, _) => Ok(say(&not_found(&tasks, first))),
    }
}

fn start(task: &Listed, action: &Action) -> Step {
    match action {
        Action::Complete if task.completed => {
            about(task.id, format!("\u{201c}{}\u{201d} is already completed.", task.title))
        }
        Action::Complete => call("complete_task", json!({ "task_id": task.id })),
        Action::Rename { title } => call("update_task", json!({ "task_id": task.id, "title": title })),
        Action::Delete => Step::Say(ask_before_deleting(task.id, &task.title)),
    }
}

fn finished(done: &Call, action: &Action) -> Result<Step, Error> {
    match (outcome(done)?, action) {
        (Outcome::Refused(text), _) => Ok(say(&text)),
        (Outcome::Done { id, title }, Action::Complete) => {
            Ok(about(id, format!("Done: \u{201c}{title}\u{201d} is completed.")))
        }
        (Outcome::Done { id, title }, Action::Rename { .. }) => {
            Ok(about(id, format!("Task {id} is now \u{201c}{title}\u{201d}.")))
        }
        (Outcome::Done { title, .. }, Action::Delete) => {
            Ok(say(&format!("I deleted \u{201c}{title}\u{201d}.")))
        }
    }
}

fn ask_which(candidates: &[Listed], action: &Action) -> Step {
    let ids = candidates.iter().map(|task| task.id).collect();
    let text = format!("Several tasks fit. Which one do you mean?\n{}", lines(candidates));
    Step::Say(Reply { text, waiting: Some(Waiting::Choose { action: action.clone(), ids }), subject: None })
}

fn not_found(tasks: &[Listed], target: &Target) -> String {
    let wanted = match target {
        Target::Id(id) => format!("There is no task {id}."),
        Target::Title(text) => format!("I found no task like \u{201c}{text}\u{201d}."),
        _ => "I found no such task.".to_owned(),
    };
    match tasks.is_empty() {
        true => format!("{wanted} Your list is empty."),
        false => format!("{wanted} These are yours:\n{}", lines(tasks)),
    }
}

fn confirm(turn: &Turn<'_>, waiting: Option<&Waiting>) -> Result<Step, Error> {
    match (waiting, turn.calls.first()) {
        (Some(Waiting::ConfirmDelete { id, .. }), None) => Ok(call("delete_task", json!({ "task_id": id }))),
        (Some(Waiting::ConfirmDelete { .. }), Some(done)) => finished(done, &Action::Delete),
        (Some(Waiting::Choose { .. }), _) => Ok(Step::Say(Reply {
            text: "Which one? Tell me its number.".to_owned(),
            waiting: waiting.cloned(),
            subject: None,
        })),
        (None, _) => Ok(say("There is nothing to confirm right now.")),
    }
}

/// A bare "3", "the second one" or a title: an answer to "which one?", and nothing otherwise.
fn choose(turn: &Turn<'_>, waiting: Option<&Waiting>, target: Target) -> Result<Step, Error> {
    let Some(Waiting::Choose { action, ids }) = waiting else {
        return Ok(say(&format!("I did not understand that. {HELP}")));
    };
    let target = match target {
        Target::Nth(n) => ids.get(n.saturating_sub(1)).map_or(Target::Nth(n), |id| Target::Id(*id)),
        Target::Last => ids.last().map_or(Target::Last, |id| Target::Id(*id)),
        other => other,
    };
    match target {
        Target::Id(id) if !ids.contains(&id) => Ok(Step::Say(Reply {
            text: "That is none of these. Tell me one of their numbers.".to_owned(),
            waiting: waiting.cloned(),
            subject: None,
        })),
        target => act(turn, &[(target, action.clone())]),
    }
}

enum Outcome {
    Done { id: i64, title: String },
    Refused(String),
}

/// Reads a tool's answer. A tool that could not work at all ends the turn.
fn outcome(call: &Call) -> Result<Outcome, Error> {
    let result = &call.result;
    if !call.failed {
        let id = result["task_id"].as_i64().ok_or(Error::Tool)?;
        return Ok(Outcome::Done { id, title: result["title"].as_str().unwrap_or_default().to_owned() });
    }
    match result["code"].as_str() {
        Some("TASK_NOT_FOUND") => Ok(Outcome::Refused("That task does not exist any more.".to_owned())),
        Some("INVALID_TITLE" | "INVALID_REQUEST") => Ok(Outcome::Refused(format!(
            "That does not work: {}.",
            result["message"].as_str().unwrap_or("invalid")
        ))),
        _ => Err(Error::Tool),
    }
}
