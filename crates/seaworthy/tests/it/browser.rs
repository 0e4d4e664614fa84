//! What a person does with the example, in a real browser.

use std::path::Path;

use crate::program;
use crate::todo::{SENTENCE, TITLE};
use crate::webdriver::Browser;
use crate::world::World;

const NAME: &str = "Grace";
const EMAIL: &str = "grace@example.com";
const PASSWORD: &str = "correct horse battery";

#[test]
fn a_person_signs_up_and_says_what_to_do() {
    let Some(world) = World::begin() else { return };
    let Some(browser) = Browser::open() else {
        return program::missing("chromium and chromedriver are not on this machine");
    };
    let url = world.run(&world.example(), &["up"]).ok();
    let url = url.trim();

    browser.go(&format!("{url}/signup"));
    browser.type_into("#name", NAME);
    browser.type_into("#email", EMAIL);
    browser.type_into("#password", PASSWORD);
    browser.click("main form button");
    browser.until_shown("header .who", NAME);
    browser.click("header .who button");
    browser.until_shown("main.landing", "Log in");

    browser.go(&format!("{url}/login"));
    browser.type_into("#email", EMAIL);
    browser.type_into("#password", PASSWORD);
    browser.click("main form button");
    browser.until_shown("header .who", NAME);

    browser.type_into("#message", SENTENCE);
    browser.click("form.say button");
    browser.until_shown("#tasks ul.list .title", TITLE);
    browser.until_shown("#messages", SENTENCE);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("todo.png"));
    let row = world
        .sql("select title from tasks join users on users.id = user_id where email = 'grace@example.com'");
    assert_eq!(row, TITLE, "what the page shows is in PostgreSQL");
}
