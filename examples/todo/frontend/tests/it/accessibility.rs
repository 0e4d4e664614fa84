//! The pages before axe-core, the checker that most accessibility tools are built on.
//!
//! It is no part of this repository (MPL-2.0, fetched by `.ci/setup`); where it is absent this says so.

use std::path::PathBuf;

use serde_json::Value;

use crate::browser::Browser;
use crate::world::World;

const PLACE: &str = "/usr/local/share/axe-core/axe.min.js";

fn axe() -> Option<String> {
    let path = std::env::var_os("AXE_CORE").map_or_else(|| PathBuf::from(PLACE), PathBuf::from);
    match std::fs::read_to_string(&path) {
        Ok(script) => Some(script),
        Err(error) => {
            let lacking =
                format!("axe-core is not at `{}` ({error}); `.ci/setup` fetches it", path.display());
            let is_set = |name| std::env::var_os(name).is_some();
            assert!(!is_set("TODO_REQUIRE_BROWSER") || is_set("TODO_WITHOUT_AXE"), "{lacking}");
            eprintln!("skipped: {lacking}");
            None
        }
    }
}

/// Each width and each scheme once.
const ONCE: [(&str, &str); 2] = [("desktop", "light"), ("phone", "dark")];
/// Each width in each scheme.
const ALL: [(&str, &str); 4] =
    [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")];

/// Every finding counts, not only serious ones: each rule, and the first element that breaks it.
#[track_caller]
fn check(browser: &Browser, axe: &str, page: &str, looks: &[(&str, &str)]) {
    browser.run(axe);
    for (size, scheme) in looks {
        browser.phone((*size == "phone").then_some(390));
        browser.colours(scheme);
        let findings = browser.run_later(
            "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }) \
             .then(r => done(r.violations.map(v => `${v.impact} ${v.id}: ${v.nodes[0].html} ${v.nodes[0].failureSummary}`)), e => done([String(e)]))",
        );
        assert_eq!(findings, Value::Array(Vec::new()), "{page}, {size}, {scheme}");
    }
    browser.phone(None);
    browser.colours("light");
}

#[test]
fn no_page_has_an_accessibility_finding() {
    let Some(axe) = axe() else { return };
    let Some(world) = World::start() else { return };
    let browser = &world.browser;
    for (path, name) in [
        ("/", "welcome"),
        ("/signup", "sign up"),
        ("/login", "log in"),
        ("/login?again", "log in again"),
        ("/help", "help"),
        ("/no", "not found"),
    ] {
        browser.go(&format!("{}{path}", world.url));
        check(browser, &axe, name, &ONCE);
    }
    browser.go(&format!("{}/login", world.url));
    browser.type_into("#email", "nobody@example.com");
    browser.type_into("#password", "not a password");
    browser.click("main form button.primary");
    browser.until_shown(".notice", "wrong");
    check(browser, &axe, "a refused login", &ONCE);

    world.sign_up("Grace");
    check(browser, &axe, "an empty list", &ONCE);
    world.add("Call the harbour office");
    world.add("Paint the dinghy");
    browser.click("#box-1");
    browser.until_count("#task-1.done", 1);
    browser.click("#more-2 > summary");
    browser.run("document.getElementById('edit-due-2').value = '2020-01-01'; return 0");
    browser.type_into("#edit-description-2", "Two coats.");
    browser.click("#more-2 form button.primary");
    browser.until_count("#task-2 time.late", 1);
    world.say("delete the dinghy task");
    world.until_replies(1);
    browser.click("#more-2 > summary");
    browser.click("#messages .tool summary");
    browser.click("#clear > summary");
    check(browser, &axe, "the board at work", &ALL);
    browser.run("document.activeElement.blur()");
    browser.press("?");
    browser.until_count("dialog[open]", 1);
    check(browser, &axe, "the help dialog", &ONCE);
}
