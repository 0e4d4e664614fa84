//! The way of a person who has just heard of the application.

use crate::world::{PASSWORD, World};

#[test]
fn a_person_signs_up_and_keeps_a_list() {
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    browser.go(&world.url);
    browser.until_shown("main.landing", "Your list, in plain words.");
    browser.click("main .primary");

    // What is wrong is said beside the field, and what was typed is kept.
    browser.type_into("#name", "Grace");
    browser.type_into("#email", "grace@example");
    browser.type_into("#password", PASSWORD);
    browser.click("main form button.primary");
    browser.until_shown("#email-error", "Email is not an email address.");
    assert_eq!(browser.value("#name"), "Grace");
    browser.screenshot("sign-up-error");
    browser.clear("#email");
    browser.type_into("#email", "grace@example.com");
    browser.type_into("#password", PASSWORD);
    // Pressed twice by mistake, the account just made would be "already registered".
    browser
        .run("const button = document.querySelector('main form .primary'); button.click(); button.click()");
    browser.until_shown("#tasks .empty", "A clear horizon.");
    browser.screenshot("empty");

    world.add("Call the harbour office");
    world.add("Paint the dinghy");
    world.add("Buy new rope");
    browser.until_shown("#flash", "Added \u{201c}Buy new rope\u{201d}.");
    browser.until_titles(&["Call the harbour office", "Paint the dinghy", "Buy new rope"]);

    // Edit, at first in error.
    browser.click("#more-1 > summary");
    browser.type_into("#edit-title-1", " not at all");
    browser.click("#more-1 .cancel");
    browser.until_count("#more-1[open]", 0);
    assert_eq!(browser.value("#edit-title-1"), "Call the harbour office");
    browser.click("#more-2 > summary");
    browser.clear("#edit-title-2");
    browser.type_into("#edit-title-2", "Paint the dinghy blue");
    browser.type_into("#edit-description-2", "Two coats, and let it dry overnight.");
    browser.click("#more-2 form button.primary");
    browser.until_shown("#title-2", "Paint the dinghy blue");
    browser.until_shown("#task-2 .description", "Two coats");

    // Complete, filter, search and order.
    browser.click("#box-1");
    browser.until_count("#task-1.done", 1);
    browser.until_shown("#count", "1 of 3 done");
    browser.click(".filters a[href*=pending]");
    browser.until_titles(&["Paint the dinghy blue", "Buy new rope"]);
    browser.click(".filters a[href*=completed]");
    browser.until_titles(&["Call the harbour office"]);
    browser.click(".filters a[href='/']");
    browser.type_into("#search", "ROPE");
    browser.until_titles(&["Buy new rope"]);
    browser.until_address("/?search=ROPE");
    browser.clear("#search");
    browser.until_count(".task", 3);
    browser.click("#sort option[value=title]");
    browser.until_titles(&["Buy new rope", "Call the harbour office", "Paint the dinghy blue"]);

    // What is deleted can be had back, with everything that was in it.
    browser.click("#delete-2");
    browser.until_titles(&["Buy new rope", "Call the harbour office"]);
    browser.until_shown("#flash", "Deleted \u{201c}Paint the dinghy blue\u{201d}.");
    browser.screenshot("undo");
    browser.click("#flash .undo button");
    browser.until_count(".task", 3);
    browser.until_shown("#task-2 .description", "Two coats");

    // An edit and a tick can be taken back too.
    browser.click("#box-3");
    browser.until_shown("#flash", "Done:");
    browser.click("#flash .undo button");
    browser.until_count("#task-3.done", 0);
    browser.click("#more-3 > summary");
    browser.clear("#edit-title-3");
    browser.type_into("#edit-title-3", "Nonsense");
    browser.click("#more-3 form button.primary");
    browser.until_shown("#title-3", "Nonsense");
    browser.click("#flash .undo button");
    browser.until_shown("#title-3", "Buy new rope");

    // Everything is still there after logging out and in.
    world.log_out();
    browser.go(&format!("{}/login", world.url));
    browser.type_into("#email", "grace@example.com");
    browser.type_into("#password", "not the password");
    browser.click("main form button.primary");
    browser.until_shown(".notice", "wrong");
    browser.type_into("#password", PASSWORD);
    browser.click("main form button.primary");
    browser.until_titles(&["Call the harbour office", "Paint the dinghy blue", "Buy new rope"]);
}

#[test]
fn what_one_person_writes_another_never_sees() {
    let Some(world) = World::start_as("Ada") else { return };
    let browser = &world.browser;
    world.add("Ada's secret plan");
    world.log_out();
    world.sign_up("Eve");
    browser.until_shown("#tasks .empty", "A clear horizon.");
    world.say("show me all my tasks");
    browser.until_shown("#messages", "show me all my tasks");
    world.until_replies(1);
    let page = browser.run("return document.body.textContent");
    assert!(!page.as_str().unwrap().contains("secret plan"));
}

#[test]
fn a_long_list_has_pages() {
    let Some(world) = World::start_as("Penelope") else { return };
    let browser = &world.browser;
    // The same form as a person's, fifty-two times.
    let done = browser.run_later(
        "const done = arguments[0]; (async () => { const csrf = document.querySelector('[name=csrf]').value; \
         for (let i = 1; i <= 52; i++) await fetch('/tasks', { method: 'POST', redirect: 'manual', body: new URLSearchParams({ csrf, title: `Thread ${i}` }) }); \
         done('done'); })()",
    );
    assert_eq!(done, "done");
    browser.reload();
    browser.until_count(".task", 50);
    browser.click(".pages a[rel=next]");
    browser.until_titles(&["Thread 51", "Thread 52"]);
    browser.until_shown(".pages", "Page 2 of 2");
    browser.click(".pages a[rel=prev]");
    browser.until_count(".task", 50);
}
