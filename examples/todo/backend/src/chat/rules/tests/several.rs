//! Several tasks in one sentence, and several requests in one message.

use super::check_all;

#[test]
fn several_tasks_are_added_at_once() {
    check_all(
        "add Milk, add Eggs, add Bread",
        &[
            "add tasks: milk, eggs and bread",
            "add three tasks: milk, eggs, bread",
            "add these tasks: milk; eggs; bread",
            "please add the following items: milk, eggs, and bread",
            "create tasks for milk, eggs and bread",
            "add tasks:\n- milk\n- eggs\n- bread",
            "add these todos:\n1. milk\n2. eggs\n3. bread",
            "Add 3 tasks: Milk, Eggs and Bread.",
        ],
    );
    check_all(
        "add Buy milk, eggs and bread",
        &["add a task to buy milk, eggs and bread", "add buy milk, eggs and bread"],
    );
    check_all("add Buy bread and milk", &["remember to buy bread and milk", "i need to buy bread and milk"]);
}

#[test]
fn several_tasks_are_completed_at_once() {
    check_all(
        "complete 1, complete 3",
        &[
            "mark tasks 1 and 3 as done",
            "complete 1 and 3",
            "complete tasks 1, 3",
            "mark #1 and #3 as completed",
            "tasks 1 and 3 are done",
            "finish task one and task three",
            "complete the first two tasks",
            "mark the first and the second as done",
            "I finished 1 & 3",
            "check off tasks 1 and 3 please",
        ],
    );
    check_all(
        "complete 1, complete 3, complete 7",
        &[
            "complete all tasks",
            "mark everything as done",
            "complete 1, 3 and 7",
            "mark all of them as complete",
        ],
    );
    check_all("complete 7", &["complete the last two tasks"]);
    check_all("nothing", &["complete tasks 1 and 99", "mark tasks 1 to 500 as done"]);
}

#[test]
fn several_tasks_are_deleted_after_one_question_that_names_them() {
    check_all(
        "ask 1, 3",
        &[
            "delete tasks 1 and 3",
            "remove the first two tasks",
            "delete 1 and 3",
            "get rid of task 1 and task 3",
        ],
    );
    check_all(
        "ask 1, 3, 4, 7",
        &[
            "delete everything",
            "delete all my tasks",
            "clear my list",
            "remove all of them",
            "wipe everything",
        ],
    );
    check_all(
        "ask 4",
        &[
            "delete all completed tasks",
            "clear completed tasks",
            "remove the completed ones",
            "clear out all finished tasks",
        ],
    );
}

#[test]
fn several_requests_are_done_one_after_the_other() {
    check_all(
        "add Buy bread, complete 3",
        &[
            "add buy bread and mark task 3 as done",
            "Add a task to buy bread. Mark task 3 as done.",
            "add a task to buy bread, then complete task 3",
            "add buy bread; complete task 3",
            "please add buy bread and then mark the meeting task as complete, thanks",
            "add buy bread\ncomplete task 3",
            "remember to buy bread. also mark task 3 as done please",
        ],
    );
    check_all(
        "add Buy bread, add Call mom",
        &["add buy bread and add call mom", "add buy bread. add call mom."],
    );
    check_all("complete 1, update 3 Nap", &["complete task 1 and rename task 3 to nap"]);
    check_all("ask 1", &["delete task 1 and mark task 3 as done"]);
    check_all("nothing", &["add a. add b. add c. add d. add e. add f."]);
}

#[test]
fn a_title_with_verbs_in_it_stays_one_title() {
    for title in [
        "Call mom and remind her to pay",
        "Buy paint and finish the first coat",
        "Clean up and delete old photos",
        "Read the list and mark mistakes",
        "Meet Mr. Finish at noon",
    ] {
        check_all(
            &format!("add {title}"),
            &[&format!("add a task to {title}"), &format!("remind me to {title}")],
        );
    }
}
