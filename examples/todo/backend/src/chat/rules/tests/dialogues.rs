//! What a sentence means depends on what was said before it.

use super::super::super::provider::{Action, State, Waiting};
use super::{Message, later, outcome, remembered, turn};

#[test]
fn a_deletion_happens_only_after_a_yes() {
    let (_, text, asked) = turn("delete the meeting task", &State::default());
    assert!(text.contains("Team meeting"), "the question names the task: {text}");
    for (answer, expect) in [("yes", "delete 3"), ("Yes, please!", "delete 3"), ("do it", "delete 3")] {
        assert_eq!(turn(answer, &asked).0, [expect], "{answer}");
    }
    for answer in ["no", "never mind", "hello", "show my tasks", "add yes", "yes or no?"] {
        let (calls, ..) = turn(answer, &asked);
        assert!(calls.iter().all(|call| !call.starts_with("delete")), "{answer}: {calls:?}");
    }
    let (_, _, after) = turn("no", &asked);
    assert!(turn("yes", &after).0.is_empty(), "a refused question cannot be affirmed later");
}

#[test]
fn it_means_the_task_talked_about_last() {
    let (_, _, state) = turn("add a task to buy groceries", &State::default());
    assert_eq!(state.subject, Some(8));
    let state = State { subject: Some(3), ..State::default() };
    assert_eq!(turn("mark it as done", &state).0, ["list all", "complete 3"]);
}

#[test]
fn an_ambiguous_title_is_asked_back_and_the_answer_understood() {
    let choose = State {
        waiting: Some(Waiting::Choose { action: Action::Complete, ids: vec![3, 7] }),
        ..State::default()
    };
    for (answer, expect) in
        [("3", "complete 3"), ("the second one", "complete 7"), ("pay bills", "complete 7")]
    {
        assert_eq!(turn(answer, &choose).0.last().map(String::as_str), Some(expect), "{answer}");
    }
    let (calls, _, state) = turn("1", &choose);
    assert!(calls.is_empty(), "1 was not among the choices");
    assert_eq!(state.waiting, choose.waiting);
}

/// A conversation: what was said, and what came of it.
#[track_caller]
fn converse(lines: &[(&str, &str)]) {
    let mut history: Vec<Message> = Vec::new();
    let mut state = State::default();
    for (message, expect) in lines {
        let (calls, text, next) = later(message, &history, &state);
        let made: Vec<String> = calls.into_iter().filter(|call| call != "list all").collect();
        assert_eq!(outcome(&made, &next), *expect, "`{message}` was answered: {text}");
        history.push(remembered(&text, &next));
        state = next;
    }
}

#[test]
fn what_was_done_is_taken_back_by_any_word_for_it() {
    let words = [
        "undo",
        "Undo that!",
        "undo that please",
        "can you undo that?",
        "bring it back",
        "Bring that back please",
        "put it back",
        "revert",
        "oops",
        "take that back",
        "restore it",
        "undelete",
        "undo the last change",
        "undo what you just did",
        "I didn't mean to do that",
        "that was a mistake",
        "no, undo that",
        "recover it",
        "UNDO",
        "undo the deletion",
    ];
    for word in words {
        converse(&[("delete task 3", "ask 3"), ("yes", "delete 3"), (word, "restore 3")]);
    }
    converse(&[("complete task 3", "complete 3"), ("undo", "reopen 3")]);
    converse(&[("reopen task 4", "reopen 4"), ("undo", "complete 4")]);
    converse(&[("rename task 1 to buy oat milk", "update 1 Buy oat milk"), ("undo", "update 1 Buy milk")]);
    converse(&[("add a task to rest", "add Rest"), ("undo", "ask 8"), ("yes", "delete 8")]);
    converse(&[("undo", "nothing"), ("show my tasks", "nothing"), ("undo", "nothing")]);
}

#[test]
fn each_undo_goes_back_one_more_change() {
    converse(&[
        ("complete task 3", "complete 3"),
        ("rename task 1 to buy oat milk", "update 1 Buy oat milk"),
        ("delete task 7", "ask 7"),
        ("yes", "delete 7"),
        ("undo", "restore 7"),
        ("thanks", "nothing"),
        ("undo", "update 1 Buy milk"),
        ("undo", "reopen 3"),
        ("undo", "nothing"),
    ]);
    converse(&[
        ("complete task 1", "complete 1"),
        ("add a task to rest", "add Rest"),
        ("undo", "ask 8"),
        ("yes", "delete 8"),
        ("undo", "reopen 1"),
    ]);
    converse(&[
        ("mark tasks 1 and 3 as done", "complete 1, complete 3"),
        ("undo", "reopen 3"),
        ("undo", "reopen 1"),
    ]);
}

#[test]
fn a_deleted_task_is_brought_back_by_its_name() {
    let gone = [("delete tasks 1 and 3", "ask 1, 3"), ("yes", "delete 1, delete 3")];
    for (words, expect) in [
        ("bring back the milk task", "restore 1"),
        ("restore team meeting", "restore 3"),
        ("undo deleting the meeting", "restore 3"),
        ("restore task 1", "restore 1"),
        ("bring the last one back", "restore 3"),
        ("restore the unicorn", "nothing"),
        ("undo the unicorn", "nothing"),
    ] {
        converse(&[gone[0], gone[1], (words, expect)]);
    }
}

#[test]
fn a_question_is_answered_in_a_word_and_dropped_by_anything_else() {
    converse(&[("add a task", "title"), ("buy milk and honey", "add Buy milk and honey")]);
    converse(&[("add", "title"), ("never mind", "nothing"), ("buy milk", "nothing")]);
    converse(&[("add a task", "title"), ("complete task 3", "complete 3")]);
    converse(&[("rename task 1", "title 1"), ("buy oat milk", "update 1 Buy oat milk")]);
    converse(&[("mark as done", "which [1, 3, 7]"), ("the second one", "complete 3")]);
    converse(&[("mark as done", "which [1, 3, 7]"), ("1 and 7", "complete 1, complete 7")]);
    converse(&[("mark as done", "which [1, 3, 7]"), ("all of them", "complete 1, complete 3, complete 7")]);
    converse(&[
        ("delete", "which [1, 3, 4, 7]"),
        ("the last one", "ask 7"),
        ("no", "nothing"),
        ("yes", "nothing"),
    ]);
    converse(&[("delete task 3", "ask 3"), ("wait, what is on my list?", "nothing"), ("yes", "nothing")]);
}
