//! The application in a browser that runs no scripts.

use crate::world::World;

#[test]
fn everything_but_liveliness_works_without_javascript() {
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    browser.without_javascript();
    world.sign_up("Grace");

    world.add("Read by candlelight");
    browser.until_shown("#flash", "Added");
    world.add("Write with a quill");
    browser.click("#box-1");
    browser.until_count("#task-1.done", 1);
    browser.click("#more-2 > summary");
    browser.type_into("#edit-title-2", " pen");
    browser.click("#more-2 form button.primary");
    browser.until_shown("#title-2", "Write with a quill pen");

    browser.click(".filters a[href*=completed]");
    browser.until_titles(&["Read by candlelight"]);
    browser.click(".filters a[href='/']");
    browser.type_into("#search", "quill");
    browser.click(".find .apply");
    browser.until_titles(&["Write with a quill pen"]);

    // A form comes back to what was shown.
    browser.click("#delete-2");
    browser.until_shown("#tasks .empty", "Nothing matches");
    browser.click("#flash .undo button");
    browser.until_titles(&["Write with a quill pen"]);
    browser.reload();
    browser.until_count("#flash:not(:empty)", 0);

    browser.go(&world.url);
    world.say("add a task to buy candles");
    browser.until_shown("#messages", "add a task to buy candles");
    browser.until_count(".task", 3);
    browser.click("#messages .tool summary");
    browser.until_shown("#messages .tool", "title");
    browser.screenshot("without-javascript");

    // What the browser itself would have stopped is stopped by the server, beside the field.
    browser.type_into("#new-title", "   ");
    browser.click("form.add > button");
    browser.until_shown("#new-title-error", "Title is required.");
    browser.click("#help-link");
    browser.until_shown("main h1", "Help");
    browser.click(".theme button[value=dark]");
    browser.until_count("html[data-theme=dark]", 1);
    browser.go(&world.url);
    world.log_out();
}
