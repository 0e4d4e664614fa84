//! What must hold for every message there is, tried with thousands made of the words that matter.

use mcp_client::JsonObject;
use serde_json::{Value, json};

use super::super::provider::{Action, Call, Named, State, Step, Turn, Waiting};
use super::{affirms, decide};

const TRIES: u64 = 5_000;
const TASKS: [(i64, &str, bool); 5] = [
    (1, "Buy milk", false),
    (2, "Buy bread", false),
    (3, "Team meeting", false),
    (5, "Delete everything", true),
    (8, "yes", false),
];
const WORDS: &[&str] = &[
    "add",
    "create",
    "remember",
    "delete",
    "remove",
    "cancel",
    "complete",
    "finish",
    "mark",
    "rename",
    "change",
    "show",
    "list",
    "task",
    "tasks",
    "the",
    "my",
    "first",
    "last",
    "second",
    "it",
    "all",
    "everything",
    "milk",
    "buy",
    "meeting",
    "bread",
    "1",
    "2",
    "#3",
    "8",
    "99",
    "-1",
    "99999999999999999999",
    "yes",
    "no",
    "ok",
    "to",
    "as",
    "done",
    "please",
    "don't",
    "not",
    ":",
    "\"",
    "\u{201c}",
    "'; drop table tasks; --",
    "<script>",
    "\u{1f600}",
    "\u{202e}",
    "user_id",
    "{\"task_id\":1}",
    "ignore",
    "previous",
    "instructions",
    "delte",
    "compelte",
    "do",
    "pending",
    "undo",
    "restore",
    "back",
    "bring",
    "reopen",
    "and",
    "then",
    "1-3",
    "clear",
    "tasks:",
    ",",
    ".",
    "what's",
    "is",
    "\n",
];

/// A sequence that is the same every time (xorshift), so that a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn message(&mut self) -> String {
        let words: Vec<&str> = (0..self.below(9)).map(|_| WORDS[self.below(WORDS.len())]).collect();
        words.join(" ")
    }

    fn state(&mut self) -> State {
        let waiting = match self.below(4) {
            0 => Some(Waiting::ConfirmDelete {
                id: 3,
                title: "Team meeting".to_owned(),
                also: vec![Named { id: 8, title: "yes".to_owned() }],
                is_undo: false,
            }),
            1 => Some(Waiting::Choose { action: Action::Delete, ids: vec![1, 2] }),
            2 => Some(Waiting::Choose { action: Action::Complete, ids: vec![1, 2] }),
            _ => None,
        };
        State { waiting, subject: [None, Some(1), Some(77)][self.below(3)], ..State::default() }
    }
}

fn tool(name: &str, arguments: &JsonObject) -> Value {
    match name {
        "list_tasks" => {
            let task = |(id, title, completed)| json!({ "id": id, "title": title, "completed": completed });
            json!({ "tasks": TASKS.map(task) })
        }
        _ => {
            json!({ "task_id": arguments.get("task_id").unwrap_or(&json!(9)), "title": "x", "status": "done" })
        }
    }
}

/// The tool calls of a turn, which must end.
fn turn(message: &str, state: &State) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for _ in 0..8 {
        match decide(&Turn { message, history: &[], state, calls: &calls, tools: &[] }).expect("tools work") {
            Step::Say(reply) => {
                assert!(!reply.text.is_empty(), "`{message}` is answered");
                return calls;
            }
            Step::Call(wishes) => calls.extend(wishes.into_iter().map(|wish| {
                let result = tool(&wish.tool, &wish.arguments);
                Call { tool: wish.tool, arguments: Value::Object(wish.arguments), result, failed: false }
            })),
        }
    }
    panic!("`{message}` never came to an answer with {state:?}");
}

fn every_turn(check: impl Fn(&str, &State, &[Call])) {
    let mut dice = Dice(0x5eed_70d0);
    for _ in 0..TRIES {
        let (message, state) = (dice.message(), dice.state());
        check(&message, &state, &turn(&message, &state));
    }
}

#[test]
fn nothing_is_deleted_but_what_was_asked_about_and_affirmed() {
    every_turn(|message, state, calls| {
        for call in calls.iter().filter(|call| call.tool == "delete_task") {
            let id = call.arguments["task_id"].as_i64().unwrap();
            let asked = state.waiting.as_ref().is_some_and(|waiting| waiting.asks_to_delete(id));
            assert!(asked && affirms(message), "`{message}` with {state:?} deleted {call:?}");
        }
    });
}

#[test]
fn only_tasks_on_the_users_list_are_touched_each_once_and_no_user_is_named() {
    every_turn(|message, state, calls| {
        let changing: Vec<&Call> = calls.iter().filter(|call| call.tool != "list_tasks").collect();
        let mut seen: Vec<&&Call> = changing.iter().filter(|call| call.tool != "add_task").collect();
        seen.dedup();
        assert!(
            changing.len() <= 15 && seen.len() <= TASKS.len(),
            "`{message}` with {state:?}: {changing:?}"
        );
        for call in calls {
            let arguments = call.arguments.as_object().unwrap();
            assert!(!arguments.contains_key("user_id"), "{call:?}");
            // What is brought back is on no list; the store knows whose it is.
            if let Some(id) = arguments.get("task_id").filter(|_| call.tool != "restore_task") {
                assert!(TASKS.iter().any(|task| id == task.0), "`{message}` with {state:?}: {call:?}");
            }
        }
    });
}
