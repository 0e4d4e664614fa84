//! The application for people who never touch a mouse.

use crate::browser::{Browser, ENTER, ESCAPE, TAB};
use crate::world::World;

#[test]
fn the_keyboard_is_enough() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    // Away from any field: the first Tab of a fresh page is the way past the header.
    browser.go(&world.url);
    browser.press(TAB);
    assert_eq!(browser.run("return document.activeElement.className"), "skip");
    shows_its_focus(browser);

    browser.press("n");
    browser.until_focused("new-title");
    browser.press(&format!("Learn the ropes{ENTER}"));
    browser.until_titles(&["Learn the ropes"]);
    browser.until_focused("new-title");
    browser.press(&format!("Tie a bowline{ENTER}"));
    browser.until_titles(&["Learn the ropes", "Tie a bowline"]);

    browser.press(&format!("{ESCAPE}j"));
    browser.until_focused("box-1");
    shows_its_focus(browser);
    browser.press("j");
    browser.until_focused("box-2");
    browser.press("x");
    browser.until_count("#task-2.done", 1);
    browser.until_focused("box-2");
    browser.press("k");
    browser.until_focused("box-1");
    browser.press("e");
    browser.until_focused("edit-title-1");
    browser.press(&format!(", all of them{ENTER}"));
    browser.until_shown("#title-1", "Learn the ropes, all of them");
    browser.press("d");
    browser.until_titles(&["Tie a bowline"]);
    browser.until_focused("box-2");
    browser.press("u");
    browser.until_titles(&["Learn the ropes, all of them", "Tie a bowline"]);

    browser.press("/");
    browser.until_focused("search");
    browser.press("bowline");
    browser.until_titles(&["Tie a bowline"]);
    browser.press(ESCAPE);
    browser.press("c");
    browser.until_focused("message");
    // Letters in a field are letters.
    browser.press(&format!("add a task to nudge x{ENTER}"));
    browser.until_shown("#messages", "add a task to nudge x");
    browser.until_focused("message");

    browser.press(&format!("{ESCAPE}?"));
    browser.until_count("dialog[open]", 1);
    browser.screenshot("help");
    browser.press(ESCAPE);
    browser.until_count("dialog[open]", 0);
}

/// So long that a person is elsewhere when the answer comes.
const SLOW_MS: u64 = 700;

#[test]
fn a_reply_that_comes_later_leaves_the_focus_where_the_person_went() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    browser.latency(SLOW_MS);
    browser.press("c");
    browser.press(&format!("what's pending?{ENTER}"));
    browser.press_at_once(&format!("{ESCAPE}n"));
    browser.until_focused("new-title");
    browser.press_at_once("Sew");
    world.until_replies(1);
    browser.press(" a flag");
    assert_eq!(browser.focused(), "new-title");
    assert_eq!(browser.value("#new-title"), "Sew a flag");
}

#[test]
fn who_types_faster_than_the_network_loses_nothing() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    browser.press(ESCAPE);
    browser.latency(SLOW_MS);
    browser.press("n");
    browser.press_at_once(&format!("Port{ENTER}Starboard{ENTER}Ste"));
    browser.until_titles(&["Port", "Starboard"]);
    browser.press("rn");
    assert_eq!(browser.value("#new-title"), "Stern");
    browser.press(&format!("{ENTER}{ESCAPE}"));
    browser.until_titles(&["Port", "Starboard", "Stern"]);

    // Two rows deleted and a third one edited, without waiting for anything.
    browser.press("j");
    browser.until_focused("box-1");
    browser.press_at_once("jdkdjje");
    browser.until_titles(&["Stern"]);
    browser.until_focused("edit-title-3");
    browser.press(&format!(" light{ENTER}"));
    browser.press_at_once("x");
    browser.until_shown("#title-3", "Stern light");
    browser.until_count("#task-3.done", 1);
}

#[test]
fn single_key_shortcuts_can_be_switched_off() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    browser.press("?");
    browser.click("#keys");
    browser.press(ESCAPE);
    browser.until_count("dialog[open]", 0);
    browser.run("document.activeElement.blur()");
    browser.press("n");
    assert_ne!(browser.focused(), "new-title");
}

#[test]
fn tab_reaches_every_control_in_the_order_one_reads() {
    let Some(world) = World::start_as("Grace") else { return };
    let browser = &world.browser;
    world.add("Only one");
    browser.go(&world.url);
    let mut order = Vec::new();
    for _ in 0..40 {
        browser.press(TAB);
        let name = browser.focused();
        if name == "body" {
            break;
        }
        shows_its_focus(browser);
        order.push(name);
    }
    let place =
        |id: &str| order.iter().position(|name| name == id).unwrap_or_else(|| panic!("no {id} in {order:?}"));
    let places: Vec<usize> =
        ["new-title", "search", "sort", "box-1", "delete-1", "messages", "message", "help-link"]
            .map(place)
            .to_vec();
    assert!(places.is_sorted(), "{order:?}");
}

#[track_caller]
fn shows_its_focus(browser: &Browser) {
    let outline = browser.run(
        "const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2",
    );
    assert_eq!(outline, true, "`{}` does not show its focus", browser.focused());
}
