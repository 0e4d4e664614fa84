//! What the rules do with tasks: add, list, and change those that were named. Pure.
//!
//! Every function is asked again with the calls it wished for, until it has something to say.

use serde_json::{Value, json};

use super::super::provider::{Action, Call, Error, Named, Reply, Step, Turn, Waiting};
use super::parse::{Status, Target};
use super::resolve::{self, Found, Listed};
use super::{about, ask, ask_before_deleting, call, say, wish};

const SHOWN_MAX: usize = 20;
/// Tasks changed by one request.
const CHANGED_MAX: usize = 15;

pub fn add(turn: &Turn<'_>, titles: &[String]) -> Result<Step, Error> {
    if titles.iter().any(String::is_empty) {
        let text = "What should the task say? For example: \u{201c}buy groceries\u{201d}.";
        return Ok(ask(text, Waiting::Title { id: None }));
    }
    if titles.len() > CHANGED_MAX {
        return Ok(say(&too_many()));
    }
    if turn.calls.is_empty() {
        let wishes = titles.iter().map(|title| wish("add_task", json!({ "title": title })));
        return Ok(Step::Call(wishes.collect()));
    }
    if let [done] = turn.calls {
        return Ok(match outcome(done)? {
            Outcome::Refused(text) => say(&text),
            Outcome::Done { id, title } => {
                about(id, format!("I added \u{201c}{title}\u{201d} to your list as task {id}."))
            }
        });
    }
    let mut added = Vec::new();
    let mut refused = Vec::new();
    for done in turn.calls {
        match outcome(done)? {
            Outcome::Refused(text) => refused.push(text),
            Outcome::Done { id, title } => added.push(Listed { id, title, completed: false }),
        }
    }
    let mut text = format!("I added {} to your list:\n{}", tasks_counted(added.len(), ""), lines(&added));
    refused.dedup();
    for reason in refused {
        text.push('\n');
        text.push_str(&reason);
    }
    Ok(Step::Say(Reply { text, subject: added.last().map(|task| task.id), ..Reply::default() }))
}

pub fn list(turn: &Turn<'_>, status: Status) -> Result<Step, Error> {
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

fn too_many() -> String {
    format!("That is more than the {CHANGED_MAX} tasks I change at once. Please tell me in parts.")
}

/// Completes, reopens or deletes the tasks that were named; deletes nothing without asking.
pub fn act(turn: &Turn<'_>, targets: &[Target], action: &Action) -> Result<Step, Error> {
    let Some(list) = turn.calls.first() else { return Ok(call("list_tasks", json!({ "status": "all" }))) };
    let tasks = resolve::listed(list).ok_or(Error::Tool)?;
    if turn.calls.len() > 1 {
        let text = told(&turn.calls[1..], action)?;
        let subject = turn.calls.last().and_then(|call| call.result["task_id"].as_i64());
        return Ok(Step::Say(Reply { text, subject, ..Reply::default() }));
    }
    let found = match find_all(turn, &tasks, targets, action) {
        Ok(found) => found,
        Err(step) => return Ok(*step),
    };
    let mut changing = found.iter().filter(|task| changes(task, action));
    if found.len() > CHANGED_MAX {
        return Ok(say(&too_many()));
    }
    if *action == Action::Delete {
        let mut named = found.iter().map(|task| Named { id: task.id, title: task.title.clone() });
        let Some(first) = named.next() else { return Ok(say("There is nothing to delete.")) };
        return Ok(Step::Say(ask_before_deleting(first, named.collect())));
    }
    let tool = if *action == Action::Complete { "complete_task" } else { "reopen_task" };
    let wishes: Vec<_> = changing.by_ref().map(|task| wish(tool, json!({ "task_id": task.id }))).collect();
    if !wishes.is_empty() {
        return Ok(Step::Call(wishes));
    }
    let state = if *action == Action::Complete { "already completed" } else { "still pending" };
    Ok(match found.first() {
        Some(task) if found.len() == 1 => {
            about(task.id, format!("\u{201c}{}\u{201d} is {state}.", task.title))
        }
        Some(_) => say(&format!("All of them are {state}.")),
        None if *action == Action::Complete => say("Nothing is pending. Well done!"),
        None => say("None of your tasks is completed."),
    })
}

/// The tasks that `targets` mean, each once; or what to say when that is not clear.
fn find_all(
    turn: &Turn<'_>,
    tasks: &[Listed],
    targets: &[Target],
    action: &Action,
) -> Result<Vec<Listed>, Box<Step>> {
    let mut found: Vec<Listed> = Vec::new();
    for target in targets {
        let one = match target {
            Target::Nothing => return Err(Box::new(ask_which_of(tasks, action))),
            Target::Everything => tasks.iter().filter(|task| changes(task, action)).cloned().collect(),
            Target::EverythingCompleted => tasks.iter().filter(|task| task.completed).cloned().collect(),
            target => match resolve::find(tasks, target, turn.state.subject, |task| changes(task, action)) {
                Found::One(task) => vec![task],
                Found::Many(candidates) => return Err(Box::new(ask_which(&candidates, action))),
                Found::None => return Err(Box::new(say(&not_found(tasks, target)))),
            },
        };
        for task in one {
            if !found.contains(&task) {
                found.push(task);
            }
        }
    }
    Ok(found)
}

/// Whether `action` would make a difference to `task`. Pending tasks are the likelier ones to be renamed or deleted, which
/// only matters where a title fits several.
fn changes(task: &Listed, action: &Action) -> bool {
    match action {
        Action::Complete | Action::Rename { .. } => !task.completed,
        Action::Reopen => task.completed,
        Action::Delete => true,
    }
}

/// Finds the task, then renames it. `options` are readings of one sentence; the first that fits wins.
pub fn rename(turn: &Turn<'_>, target: &Target, options: &[(Target, String)]) -> Result<Step, Error> {
    let Some(list) = turn.calls.first() else { return Ok(call("list_tasks", json!({ "status": "all" }))) };
    let tasks = resolve::listed(list).ok_or(Error::Tool)?;
    if let Some(done) = turn.calls.get(1) {
        return Ok(match outcome(done)? {
            Outcome::Refused(text) => say(&text),
            Outcome::Done { id, title } => about(id, format!("Task {id} is now \u{201c}{title}\u{201d}.")),
        });
    }
    let find = |target: &Target| resolve::find(&tasks, target, turn.state.subject, |task| !task.completed);
    let Some((first, first_title)) = options.first() else {
        let id = match find(target) {
            Found::One(task) => Some(task.id),
            _ => None,
        };
        const TEXT: &str =
            "What should the new title be? For example: \u{201c}rename task 1 to call mom\u{201d}.";
        return Ok(id.map_or_else(
            || say(TEXT),
            |id| ask("What should the new title be?", Waiting::Title { id: Some(id) }),
        ));
    };
    let mut readings: Vec<(Found, &String)> =
        options.iter().map(|(target, title)| (find(target), title)).collect();
    let best = readings.iter().position(|(found, _)| matches!(found, Found::One(_))).unwrap_or(0);
    match readings.swap_remove(best) {
        (Found::One(task), title) => Ok(call("update_task", json!({ "task_id": task.id, "title": title }))),
        (Found::Many(candidates), title) => {
            Ok(ask_which(&candidates, &Action::Rename { title: title.clone() }))
        }
        (Found::None, _) if *first == Target::Nothing => {
            Ok(ask_which_of(&tasks, &Action::Rename { title: first_title.clone() }))
        }
        (Found::None, _) => Ok(say(&not_found(&tasks, first))),
    }
}

fn ask_which(candidates: &[Listed], action: &Action) -> Step {
    let ids = candidates.iter().map(|task| task.id).collect();
    let text = format!("Several tasks fit. Which one do you mean?\n{}", lines(candidates));
    ask(&text, Waiting::Choose { action: action.clone(), ids })
}

/// No task was named at all: any of those that could be meant.
fn ask_which_of(tasks: &[Listed], action: &Action) -> Step {
    let likely: Vec<Listed> = tasks.iter().filter(|task| changes(task, action)).cloned().collect();
    if likely.is_empty() || likely.len() > SHOWN_MAX {
        return say("Which task do you mean? Tell me its number or its title.");
    }
    let ids = likely.iter().map(|task| task.id).collect();
    let text = format!("Which task do you mean?\n{}", lines(&likely));
    ask(&text, Waiting::Choose { action: action.clone(), ids })
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

/// What `calls` came to.
pub fn told(calls: &[Call], action: &Action) -> Result<String, Error> {
    let (mut done, mut texts) = (Vec::new(), Vec::new());
    for call in calls {
        match outcome(call)? {
            Outcome::Done { title, .. } => done.push(format!("\u{201c}{title}\u{201d}")),
            Outcome::Refused(text) => texts.push(text),
        }
    }
    let are = if done.len() == 1 { "is" } else { "are" };
    let names = joined(&done);
    let text = match action {
        _ if done.is_empty() => None,
        Action::Complete => Some(format!("Done: {names} {are} completed.")),
        Action::Reopen => Some(format!("{names} {are} pending again.")),
        Action::Delete => Some(format!("I deleted {names}.")),
        Action::Rename { .. } => Some(format!("Renamed: {names}.")),
    };
    texts.dedup();
    Ok(text.into_iter().chain(texts).collect::<Vec<_>>().join(" "))
}

fn joined(names: &[String]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}

pub enum Outcome {
    Done { id: i64, title: String },
    Refused(String),
}

/// Reads a tool's answer. A tool that could not work at all ends the turn.
pub fn outcome(call: &Call) -> Result<Outcome, Error> {
    let result: &Value = &call.result;
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
