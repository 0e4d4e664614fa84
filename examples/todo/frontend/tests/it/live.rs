//! What comes by itself: replies while they are made, the list changed by the chat, the other window's changes; and
//! what is said when nothing comes any more.

use crate::world::World;

#[test]
fn the_assistant_changes_the_list_and_shows_how() {
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    world.sign_up("Grace");
    browser.click(".empty .answers button[value^='add a task']");
    browser.until_titles(&["Buy groceries"]);
    browser.until_shown("#messages", "add a task to buy groceries");
    browser.until_shown("#messages .tool summary", "add_task");
    world.say("delete the groceries task");
    browser.until_count("#messages .bubble.mine", 2);
    browser.until_count("#messages .bubble:not(.mine):not([aria-busy])", 2);
    browser.until_titles(&["Buy groceries"]);
    browser.screenshot("chat-confirm");
    browser.click("#messages .answers button[value=yes]");
    browser.until_titles(&[]);
    browser.until_count("#messages .bubble:not(.mine):not([aria-busy])", 3);
    browser.until_shown("#messages .bubble:last-of-type", "elete");
    browser.click("#chat .heading button");
    browser.until_shown("#messages .empty", "I keep your list.");
}

#[test]
fn two_windows_of_one_person_show_each_others_changes() {
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    world.sign_up("Grace");
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
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    world.sign_up("Grace");
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
    let Some(mut world) = World::start() else { return };
    world.sign_up("Grace");
    world.add("Before the outage");
    world.stop_backend();
    world.browser.type_into("#new-title", "During the outage");
    world.browser.click("form.add > button");
    world.browser.until_shown("#notice", "does not answer");
    world.say("what's pending?");
    world.browser.until_shown("#chat-notice", "does not answer");
    assert_eq!(world.browser.value("#message"), "what's pending?");
    world.start_backend();
    world.browser.click("form.add > button");
    world.browser.until_titles(&["Before the outage", "During the outage"]);
    world.browser.click("form.say button");
    world.browser.until_count("#messages .bubble:not(.mine):not([aria-busy])", 1);
}
