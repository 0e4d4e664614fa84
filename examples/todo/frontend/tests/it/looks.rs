//! Pictures of every page for people to look at, and what can be measured of a layout.

use crate::browser::{Browser, until};
use crate::world::World;

/// Nothing may stick out of the window: on a phone one would have to scroll sideways.
#[track_caller]
fn fits(browser: &Browser, what: &str) {
    let wider = browser.run(
        "const w = document.documentElement.clientWidth; return [...document.querySelectorAll('body *')] \
         .filter(e => e.getBoundingClientRect().right > w + 1 && getComputedStyle(e).position !== 'absolute') \
         .map(e => e.outerHTML.slice(0, 80)).slice(0, 3)",
    );
    assert_eq!(wider, serde_json::json!([]), "{what} is wider than the window");
}

/// A thumb needs room. Text within a sentence is exempt, as the accessibility guidelines have it.
#[track_caller]
fn can_be_hit(browser: &Browser, what: &str) {
    let small = browser.run(
        "return [...document.querySelectorAll('button, input:not([type=hidden]), select, a.button, .filters a')] \
         .filter(e => e.offsetParent && !e.closest('.hidden, p')).map(e => [e.getBoundingClientRect(), e]) \
         .filter(([r]) => r.width && (r.height < 24 || r.width < 24)).map(([, e]) => e.outerHTML.slice(0, 80))",
    );
    assert_eq!(small, serde_json::json!([]), "{what} has controls too small to hit");
}

fn keep(browser: &Browser, page: &str) {
    for (size, width) in [("desktop", None), ("phone", Some(390)), ("narrow", Some(320))] {
        browser.phone(width);
        for scheme in ["light", "dark"] {
            browser.colours(scheme);
            if width != Some(320) {
                browser.screenshot(&format!("{page}-{size}-{scheme}"));
            }
        }
        fits(browser, &format!("{page} on {size}"));
        can_be_hit(browser, &format!("{page} on {size}"));
    }
    browser.phone(None);
    browser.colours("light");
}

#[test]
fn every_page_fits_a_phone_and_a_desktop_in_light_and_dark() {
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    browser.go(&world.url);
    keep(browser, "welcome");
    browser.go(&format!("{}/signup", world.url));
    keep(browser, "sign-up");
    world.sign_up("Grace");
    for title in [
        "Call the harbour office",
        "Paint the dinghy",
        "Buy new rope for the mainsail and have the old one spliced",
    ] {
        world.add(title);
    }
    world.add(&"Averyveryverylongwordthatneverends".repeat(5));
    browser.run(
        "const day = (n) => new Date(Date.now() + n * 864e5).toISOString().slice(0, 10); window.days = [day(-3), day(0), day(9)]; return 0",
    );
    for (id, offset) in [(1, 0), (2, 1), (3, 2)] {
        browser.click(&format!("#more-{id} > summary"));
        browser.run(&format!(
            "document.getElementById('edit-due-{id}').value = window.days[{offset}]; return 0"
        ));
        if id == 2 {
            browser.type_into("#edit-description-2", "Two coats of blue.\nLet it dry overnight.");
        }
        browser.click(&format!("#more-{id} form button.primary"));
        browser.until_count(&format!("#task-{id} time"), 1);
    }
    browser.click("#box-4");
    browser.until_count("#task-4.done", 1);
    world.say("add a task to buy groceries");
    browser.until_shown("#messages .tool summary", "add_task");
    world.say("what's pending?");
    world.until_replies(2);
    world.say("delete the rope task");
    world.until_replies(3);
    keep(browser, "board");
    browser.phone(Some(390));
    until("the last words are to be seen on a smaller window too", || {
        let script = "const log = document.getElementById('messages'); return log.scrollHeight - log.scrollTop - log.clientHeight";
        let below = browser.run(script);
        if below.as_f64().is_some_and(|below| below < 2.0) { Ok(()) } else { Err(below.to_string()) }
    });
    browser.phone(None);
    browser.click("#more-2 > summary");
    keep(browser, "editing");
    browser.go(&format!("{}/help", world.url));
    keep(browser, "help-page");
    browser.go(&format!("{}/nothing-here", world.url));
    keep(browser, "not-found");
}
