//! The default assistant: rules, no model, no network, the same answer every time.
//!
//! A message becomes [`Intent`](parse::Intent)s in `parse`, words for a task become one of the listed tasks in
//! `resolve`, and `decide` here chooses the next step; what is done with tasks is in `acting`, what takes it back in
//! `undo`. Invariant: `delete_task` is called only for the tasks named in a question that the previous message asked and
//! this one affirms.

mod acting;
mod parse;
mod resolve;
mod sentence;
mod targets;
mod undo;
mod vocabulary;
mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use mcp_client::JsonObject;
use serde_json::{Value, json};

use self::parse::{Intent, Target};
use super::follower::Follower;
use super::provider::{Action, Error, Named, Provider, Reply, State, Step, Thinking, Turn, Waiting, Wish};

const HELP: &str = "I keep your todo list. Try \u{201c}add a task to buy groceries\u{201d}, \
    \u{201c}what's pending?\u{201d}, \u{201c}mark task 1 as complete\u{201d}, \u{201c}rename task 1 to \u{2026}\u{201d}, \
    \u{201c}delete the last task\u{201d} or \u{201c}undo that\u{201d}.";

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
    is_yes(&parse::parse_one(message))
}

/// "Delete it" is a request as well, where nothing was asked.
fn is_yes(intent: &Intent) -> bool {
    match intent {
        Intent::Yes => true,
        Intent::Delete { targets } => targets[..] == [Target::It],
        _ => false,
    }
}

/// Whether `message` answers the question that `state` waits with, so that no model has to interpret it.
pub fn settles(message: &str, state: &State) -> bool {
    let intent = parse::parse_one(message);
    match &state.waiting {
        None => false,
        Some(Waiting::ConfirmDelete { .. }) => is_yes(&intent) || intent == Intent::No,
        Some(Waiting::Choose { .. } | Waiting::Title { .. }) => {
            matches!(intent, Intent::No | Intent::Choice { .. })
        }
    }
}

/// The question that has to be affirmed before tasks are deleted.
pub fn ask_before_deleting(first: Named, also: Vec<Named>) -> Reply {
    let Named { id, title } = first;
    let text = match also.len() {
        0 => format!("Shall I delete task {id}, \u{201c}{title}\u{201d}? Answer yes or no."),
        more => {
            let lines = also.iter().map(|task| format!("\n{}. {}", task.id, task.title));
            let lines: String = std::iter::once(format!("\n{id}. {title}")).chain(lines).collect();
            format!("Shall I delete these {} tasks? Answer yes or no.{lines}", more + 1)
        }
    };
    let subject = also.is_empty().then_some(id);
    let waiting = Some(Waiting::ConfirmDelete { id, title, also, is_undo: false });
    Reply { text, waiting, subject, is_undo: false }
}

/// The next step of a turn: of its first request that is not done yet. Pure.
pub fn decide(turn: &Turn<'_>) -> Result<Step, Error> {
    let intents = parse::parse(turn.message);
    let (mut done, mut texts) = (0, Vec::new());
    let mut state = turn.state.clone();
    let mut last = Reply::default();
    for (at, intent) in intents.iter().enumerate() {
        let mut used = 0;
        let reply = loop {
            let part = Turn { state: &state, calls: &turn.calls[done..done + used], ..*turn };
            match answer(&part, intent)? {
                Step::Say(reply) => break reply,
                Step::Call(wishes) if turn.calls.len() < done + used + wishes.len() => {
                    return Ok(Step::Call(wishes));
                }
                Step::Call(wishes) => used += wishes.len(),
            }
        };
        done += used;
        texts.push(reply.text.clone());
        // A question is only understood when it is the last thing said.
        let is_question = reply.waiting.is_some();
        state = State { waiting: None, subject: reply.subject.or(state.subject), ..state };
        last = reply;
        if is_question && at + 1 < intents.len() {
            texts.push("Tell me the rest again after that.".to_owned());
            break;
        }
    }
    Ok(Step::Say(Reply { text: texts.join("\n\n"), ..last }))
}

fn answer(turn: &Turn<'_>, intent: &Intent) -> Result<Step, Error> {
    let waiting = turn.state.waiting.as_ref();
    let is_asked = matches!(waiting, Some(Waiting::ConfirmDelete { .. }));
    match intent {
        intent if is_yes(intent) && (is_asked || *intent == Intent::Yes) => confirm(turn, waiting),
        Intent::No => {
            Ok(say(if waiting.is_some() { "All right, nothing was changed." } else { "All right." }))
        }
        Intent::Hello => Ok(say(&format!("Hello! {HELP}"))),
        Intent::Thanks => Ok(say("You're welcome.")),
        Intent::Help => Ok(say(HELP)),
        Intent::Add { titles } => acting::add(turn, titles),
        Intent::List { status } => acting::list(turn, *status),
        Intent::Complete { targets } => acting::act(turn, targets, &Action::Complete),
        Intent::Reopen { targets } => acting::act(turn, targets, &Action::Reopen),
        Intent::Delete { targets } => acting::act(turn, targets, &Action::Delete),
        Intent::Rename { target, options } => acting::rename(turn, target, options),
        Intent::Undo => undo::last(turn),
        Intent::Restore { target } => undo::deleted(turn, target),
        Intent::Choice { targets } => choose(turn, waiting, targets),
        Intent::TooMuch => Ok(say("That is a lot at once. Please tell me one or two things at a time.")),
        Intent::Yes | Intent::Unknown => match waiting {
            Some(Waiting::Title { id }) if !turn.message.trim().is_empty() => titled(turn, *id),
            _ => Ok(say(&not_understood())),
        },
    }
}

fn not_understood() -> String {
    format!("I did not understand that. {HELP}")
}

fn say(text: &str) -> Step {
    Step::Say(Reply { text: text.to_owned(), ..Reply::default() })
}

fn about(subject: i64, text: String) -> Step {
    Step::Say(Reply { text, subject: Some(subject), ..Reply::default() })
}

fn ask(text: &str, waiting: Waiting) -> Step {
    Step::Say(Reply { text: text.to_owned(), waiting: Some(waiting), ..Reply::default() })
}

fn wish(tool: &'static str, arguments: Value) -> Wish {
    let arguments = match arguments {
        Value::Object(map) => map,
        _ => JsonObject::new(),
    };
    Wish { tool: tool.to_owned(), arguments }
}

fn call(tool: &'static str, arguments: Value) -> Step {
    Step::Call(vec![wish(tool, arguments)])
}

fn confirm(turn: &Turn<'_>, waiting: Option<&Waiting>) -> Result<Step, Error> {
    match waiting {
        Some(Waiting::ConfirmDelete { id, also, is_undo, .. }) => {
            let ids = std::iter::once(*id).chain(also.iter().map(|task| task.id));
            if turn.calls.is_empty() {
                return Ok(Step::Call(ids.map(|id| wish("delete_task", json!({ "task_id": id }))).collect()));
            }
            let text = acting::told(turn.calls, &Action::Delete)?;
            Ok(Step::Say(Reply { text, is_undo: *is_undo, ..Reply::default() }))
        }
        Some(Waiting::Choose { .. }) => Ok(ask_again("Which one? Tell me its number.", waiting)),
        Some(Waiting::Title { .. }) => Ok(ask_again("What should it say?", waiting)),
        None => Ok(say("There is nothing to confirm right now.")),
    }
}

fn ask_again(text: &str, waiting: Option<&Waiting>) -> Step {
    Step::Say(Reply { text: text.to_owned(), waiting: waiting.cloned(), ..Reply::default() })
}

/// A bare "3", "the second one" or a title: an answer to a question, and nothing otherwise.
fn choose(turn: &Turn<'_>, waiting: Option<&Waiting>, targets: &[Target]) -> Result<Step, Error> {
    let (action, ids) = match waiting {
        Some(Waiting::Choose { action, ids }) => (action, ids),
        Some(Waiting::Title { id }) => return titled(turn, *id),
        _ => return Ok(say(&not_understood())),
    };
    let chosen = |target: &Target| match target {
        Target::Nth(n) => {
            n.checked_sub(1).and_then(|at| ids.get(at)).map_or(target.clone(), |id| Target::Id(*id))
        }
        Target::FromEnd(n) => n
            .checked_sub(1)
            .and_then(|at| ids.iter().rev().nth(at))
            .map_or(target.clone(), |id| Target::Id(*id)),
        other => other.clone(),
    };
    let targets: Vec<Target> = match targets.contains(&Target::Everything) {
        true => ids.iter().map(|id| Target::Id(*id)).collect(),
        false => targets.iter().map(chosen).collect(),
    };
    if targets.iter().any(|target| matches!(target, Target::Id(id) if !ids.contains(id))) {
        return Ok(ask_again("That is none of these. Tell me one of their numbers.", waiting));
    }
    match action {
        Action::Rename { title } => {
            let options: Vec<_> = targets.into_iter().take(1).map(|target| (target, title.clone())).collect();
            acting::rename(turn, &Target::Nothing, &options)
        }
        action => acting::act(turn, &targets, action),
    }
}

/// The whole message is the title that was asked for.
fn titled(turn: &Turn<'_>, id: Option<i64>) -> Result<Step, Error> {
    let title = targets::capitalised(turn.message.trim().trim_end_matches('.'));
    match id {
        None => acting::add(turn, &[title]),
        Some(id) => acting::rename(turn, &Target::Id(id), &[(Target::Id(id), title)]),
    }
}
