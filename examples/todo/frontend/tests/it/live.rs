//! What comes by itself: replies while they are made, the list changed by the chat, the other window's changes; and
//! what is said when nothing comes any more.

use crate::browser::ESCAPE;
use crate::world::{NO_LIMIT, World};

#[test]
fn the_assistant_changes_the_list_and_shows_how() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    browser.click(".empty .answers button[value^='add a task']");
    browser.until_titles(&["Buy groceries"]);
    browser.until_shown("#messages", "add a task to buy groceries");
    browser.until_shown("#messages .tool summary", "add_task");
    world.say("delete the groceries task");
    browser.until_count("#messages .bubble.mine", 2);
    world.until_replies(2);
    browser.until_titles(&["Buy groceries"]);
    browser.screenshot("chat-confirm");
    browser.click("#messages .answers button[value=yes]");
    browser.until_titles(&[]);
    world.until_replies(3);
    browser.until_shown("#messages .bubble:last-of-type", "elete");
    browser.click("#clear > summary");
    browser.screenshot("chat-clear");
    browser.press(ESCAPE);
    browser.until_count("#clear[open]", 0);
    browser.click("#clear > summary");
    browser.click("#clear button");
    browser.until_shown("#messages .empty", "I keep your list.");
}

#[test]
fn two_windows_of_one_person_show_each_others_changes() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    let (first, second) = browser.second_window();
    browser.go(&world.url);
    browser.until_shown("header .who", "Grace");

    world.add("Seen in both windows");
    browser.look_at(&first);
    browser.until_titles(&["Seen in both windows"]);

    // Half a sentence in one window survives what happens in the other.
    browser.type_into("#new-title", "half a thou");
    browser.look_at(&second);
    world.say("add a task to buy rope");
    browser.until_titles(&["Seen in both windows", "Buy rope"]);
    browser.look_at(&first);
    browser.until_titles(&["Seen in both windows", "Buy rope"]);
    browser.until_shown("#messages", "add a task to buy rope");
    assert_eq!(browser.value("#new-title"), "half a thou");
    browser.until_focused("new-title");

    browser.click("#box-1");
    browser.look_at(&second);
    browser.until_count("#task-1.done", 1);
    browser.click("#delete-2");
    browser.look_at(&first);
    browser.until_titles(&["Seen in both windows"]);
}

#[test]
fn a_lost_connection_is_said_and_nothing_typed_is_lost() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    world.add("Before the storm");
    browser.offline(true);
    browser.until_shown("#offline", "You are offline.");
    browser.type_into("#new-title", "In the storm");
    browser.click("form.add > button");
    browser.until_shown("#notice", "You are offline.");
    assert_eq!(browser.value("#new-title"), "In the storm");
    browser.screenshot("offline");
    browser.offline(false);
    browser.click("form.add > button");
    browser.until_titles(&["Before the storm", "In the storm"]);
    browser.until_count("#offline:not(:empty)", 0);
}

#[test]
fn a_service_that_is_away_is_said_and_comes_back_without_a_reload() {
    let Some(mut world) = World::start_as("Grace") else { return };
    world.add("Before the outage");
    world.stop_backend();
    world.browser.type_into("#new-title", "During the outage");
    world.browser.click("form.add > button");
    world.browser.until_shown("#notice", "does not answer");
    world.say("what's pending?");
    world.browser.until_shown("#chat-notice", "does not answer");
    assert_eq!(world.browser.value("#message"), "what's pending?");
    world.start_backend(NO_LIMIT);
    world.browser.click("form.add > button");
    world.browser.until_titles(&["Before the outage", "During the outage"]);
    world.browser.click("form.say button");
    world.until_replies(1);

    // Told to wait, one still has the words to say again, and the notice stays until then.
    world.stop_backend();
    world.start_backend(0);
    world.say("what's done?");
    world.browser.until_shown("#chat-notice", "try again");
    world.add("After the outage");
    world.browser.until_shown("#chat-notice", "try again");
    assert_eq!(world.browser.value("#message"), "what's done?");
}

#[test]
fn a_question_with_several_answers_offers_them_as_buttons() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    world.add("Buy rope");
    world.add("Splice the old rope");
    world.say("complete the rope task");
    browser.until_count("#messages .answers button", 3);
    browser.click("#messages .answers button[value=no]");
    world.until_replies(2);
    browser.until_count("#messages .answers", 0);
    browser.until_count(".task.done", 0);

    world.say("complete the rope task");
    browser.until_shown("#messages .answers", "#1 Buy rope");
    // What was begun in the field is not what the button says.
    browser.type_into("#message", "and then");
    browser.click("#messages .answers button[value='task 2']");
    browser.until_count("#task-2.done", 1);
    world.until_replies(4);
    assert_eq!(browser.value("#message"), "and then");
    browser.until_count("#task-1.done", 0);
}

#[test]
fn a_session_that_ends_in_the_middle_of_work_loses_nothing_that_was_typed() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    world.add("Before the end");
    for (value, title) in [(None, "The cookie ran out"), (Some("x.y.z"), "The token ran out")] {
        browser.type_into("#message", "half a sen");
        browser.click("#more-1 > summary");
        browser.type_into("#edit-description-1", "half a note");
        browser.type_into("#new-title", title);
        browser.spoil_cookie("todo_session", value);
        browser.click("form.add > button");
        browser.until_shown(".notice", "Your session is over.");
        browser.screenshot("session-over");
        world.log_in("Grace");
        assert_eq!(browser.value("#message"), "half a sen");
        assert_eq!(browser.value("#edit-description-1"), "half a note");
        assert_eq!(browser.value("#new-title"), title);
        browser.until_count("#more-1[open]", 1);
        browser.clear("#message");
        browser.clear("#edit-description-1");
        browser.click("#more-1 > summary");
        browser.click("form.add > button");
        browser.until_shown("ul.list .task:last-child .title", title);
    }

    // Somebody else who logs in at this window is not shown what was typed.
    browser.type_into("#message", "a secret");
    browser.spoil_cookie("todo_session", None);
    browser.click("#box-1");
    browser.until_shown(".notice", "Your session is over.");
    world.sign_up("Eve");
    assert_eq!(browser.value("#message"), "");
}
