//! Takes back what was done in this conversation, the last thing first. Pure.
//!
//! What was done is read from the calls stored with the messages, so any replica can take it back. Each undo takes back
//! one change more; an undo is itself none. A task that was added is only deleted after a question, like any other.

use serde_json::json;

use super::super::provider::{Call, Error, Named, Reply, State, Step, Turn, Waiting};
use super::super::turn::state_of;
use super::acting::{Outcome, outcome};
use super::parse::Target;
use super::resolve::{self, Found, Listed};
use super::{ask_before_deleting, call, say};

/// Takes back the last change that was not taken back yet.
pub fn last(turn: &Turn<'_>) -> Result<Step, Error> {
    let states = states(turn);
    let Some((state, change)) = last_change(&states) else {
        return Ok(say(
            "I have changed nothing in this conversation that I could take back. A change made on the page can be \
             taken back there.",
        ));
    };
    let Outcome::Done { id, title } = outcome(change)? else { return Err(Error::Tool) };
    if let Some(done) = turn.calls.first() {
        return undone(done);
    }
    Ok(match change.tool.as_str() {
        "delete_task" => call("restore_task", json!({ "task_id": id })),
        "complete_task" => call("reopen_task", json!({ "task_id": id })),
        "reopen_task" => call("complete_task", json!({ "task_id": id })),
        "update_task" => match title_before(state, change, id) {
            Some(before) => call("update_task", json!({ "task_id": id, "title": before })),
            None => {
                say(&format!("I do not know any more what \u{201c}{title}\u{201d} said before I changed it."))
            }
        },
        _ => ask_to_delete(id, title),
    })
}

/// Brings back a task that was deleted here.
pub fn deleted(turn: &Turn<'_>, target: &Target) -> Result<Step, Error> {
    if let Some(done) = turn.calls.first() {
        return undone(done);
    }
    if let Target::Id(id) = target {
        return Ok(call("restore_task", json!({ "task_id": id })));
    }
    let states = states(turn);
    let deletions = states.iter().flat_map(|state| state.calls.iter().rev());
    let deletions = deletions.filter(|call| call.tool == "delete_task" && !call.failed);
    let gone: Vec<Listed> = deletions.filter_map(listed).collect();
    // The last one deleted is the first one meant.
    let found = match target {
        Target::FromEnd(1) => gone.first().cloned(),
        target => match resolve::find(&gone, target, None, |_| true) {
            Found::One(task) => Some(task),
            Found::Many(tasks) => tasks.into_iter().next(),
            Found::None => None,
        },
    };
    Ok(match found {
        Some(task) => call("restore_task", json!({ "task_id": task.id })),
        None => say(
            "I deleted no such task in this conversation. Tell me its number: for an hour I can bring it back.",
        ),
    })
}

/// What was said before, newest first.
fn states(turn: &Turn<'_>) -> Vec<State> {
    turn.history.iter().rev().map(state_of).collect()
}

fn last_change(states: &[State]) -> Option<(&State, &Call)> {
    let mut taken_back = 0;
    for state in states {
        for call in state.calls.iter().rev().filter(|call| is_change(call)) {
            match (state.is_undo, taken_back) {
                (true, _) => taken_back += 1,
                (false, 0) => return Some((state, call)),
                (false, _) => taken_back -= 1,
            }
        }
    }
    None
}

fn is_change(call: &Call) -> bool {
    !call.failed && call.tool != "list_tasks" && call.result["task_id"].is_i64()
}

/// As the list had it that was read before the change.
fn title_before(state: &State, change: &Call, id: i64) -> Option<String> {
    let before = state.calls.iter().take_while(|call| *call != change);
    let lists = before.filter(|call| call.tool == "list_tasks").filter_map(resolve::listed);
    let title = lists.last()?.into_iter().find(|task| task.id == id)?.title;
    change.arguments["title"].is_string().then_some(title)
}

fn listed(call: &Call) -> Option<Listed> {
    let (id, title) = (call.result["task_id"].as_i64()?, call.result["title"].as_str()?);
    Some(Listed { id, title: title.to_owned(), completed: false })
}

fn ask_to_delete(id: i64, title: String) -> Step {
    let mut reply = ask_before_deleting(Named { id, title }, Vec::new());
    if let Some(Waiting::ConfirmDelete { is_undo, .. }) = &mut reply.waiting {
        *is_undo = true;
    }
    Step::Say(reply)
}

fn undone(done: &Call) -> Result<Step, Error> {
    let (text, subject) = match outcome(done)? {
        Outcome::Refused(_) if done.tool == "restore_task" => (
            "I cannot bring that task back: it is not there, or was deleted more than an hour ago."
                .to_owned(),
            None,
        ),
        Outcome::Refused(text) => (text, None),
        Outcome::Done { id, title } => {
            let what = match done.tool.as_str() {
                "restore_task" => format!("\u{201c}{title}\u{201d} is back on your list as task {id}."),
                "reopen_task" => format!("I took that back: \u{201c}{title}\u{201d} is pending again."),
                "complete_task" => format!("I took that back: \u{201c}{title}\u{201d} is completed again."),
                _ => format!("I took that back: task {id} is \u{201c}{title}\u{201d} again."),
            };
            (what, Some(id))
        }
    };
    Ok(Step::Say(Reply { text, subject, waiting: None, is_undo: true }))
}
