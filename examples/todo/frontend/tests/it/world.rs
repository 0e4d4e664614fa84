//! The running application: MCP server, backend and pages, each the real program, on a database in a file of its own;
//! and a browser.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::browser::{self, Browser, until};
use crate::headers::get;
use crate::program::Program;

const SECRET: &str = "a secret that only the tests know, 40 chars";
pub const PASSWORD: &str = "correct horse battery";
/// More messages a minute than any test sends.
pub const NO_LIMIT: u32 = 1_000;

/// Everything one test needs. Tests take turns: each is three services, a browser on two cores.
pub struct World {
    pub browser: Browser,
    pub url: String,
    _pages: Program,
    backend: Option<Program>,
    backend_port: u16,
    mcp: Program,
    dir: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// Starts everything; none when this machine lacks a piece, which is said.
    pub fn start() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        if let Some(lacking) = browser::missing() {
            assert!(std::env::var_os("TODO_REQUIRE_BROWSER").is_none(), "{lacking}");
            eprintln!("skipped: {lacking}");
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::Builder::new().prefix("todo-browser-test-").tempdir().unwrap();
        let database = database_url(&dir);
        let mcp =
            Program::start("mcp-server", &[("DATABASE_URL", &database), ("BETTER_AUTH_SECRET", SECRET)]);
        let settings = backend_settings(&database, &mcp.url(), NO_LIMIT);
        let backend = Program::start("backend", &settings.each_ref().map(as_pair));
        let pages = Program::start("frontend", &[("BACKEND_URL", &backend.url())]);
        let world = Self {
            browser: Browser::open(),
            url: pages.url(),
            _pages: pages,
            backend_port: backend.port,
            backend: Some(backend),
            mcp,
            dir,
            _turn: turn,
        };
        world.until_ready();
        Some(world)
    }

    /// The same with somebody who has just signed up, before an empty list.
    pub fn start_as(name: &str) -> Option<Self> {
        let world = Self::start()?;
        world.sign_up(name);
        Some(world)
    }

    fn until_ready(&self) {
        until("the pages are ready", || {
            let answer = get(self.url.trim_start_matches("http://"), "/ready", &[])?;
            if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
        });
    }

    /// Starts the backend again where the pages look for it, with so many messages a minute for each person.
    pub fn start_backend(&mut self, chat_limit: u32) {
        let settings = backend_settings(&database_url(&self.dir), &self.mcp.url(), chat_limit);
        let backend = Program::start_on(self.backend_port, "backend", &settings.each_ref().map(as_pair));
        self.backend = Some(backend.unwrap());
        self.until_ready();
    }

    pub fn stop_backend(&mut self) {
        self.backend = None;
    }

    /// Signs somebody up in the browser.
    pub fn sign_up(&self, name: &str) {
        let browser = &self.browser;
        browser.go(&format!("{}/signup", self.url));
        browser.type_into("#name", name);
        browser.type_into("#email", &format!("{}@example.com", name.to_lowercase()));
        browser.type_into("#password", PASSWORD);
        browser.click("main form button.primary");
        browser.until_shown("header .who", name);
    }

    pub fn add(&self, title: &str) {
        self.browser.type_into("#new-title", title);
        self.browser.click("form.add > button");
        self.browser.until_shown("ul.list .task:last-child .title", title);
    }

    pub fn say(&self, message: &str) {
        self.browser.type_into("#message", message);
        self.browser.click("form.say button");
    }

    /// Waits until the assistant has said so much, to the end.
    #[track_caller]
    pub fn until_replies(&self, count: usize) {
        self.browser.until_count("#messages .bubble:not(.mine):not([aria-busy])", count);
    }

    pub fn log_out(&self) {
        self.browser.click("header .who button");
        self.browser.until_shown("main.landing", "Log in");
    }

    pub fn log_in(&self, name: &str) {
        self.browser.type_into("#email", &format!("{}@example.com", name.to_lowercase()));
        self.browser.type_into("#password", PASSWORD);
        self.browser.click("main form button.primary");
        self.browser.until_shown("header .who", name);
    }
}

fn backend_settings(database: &str, mcp: &str, chat_limit: u32) -> [(&'static str, String); 4] {
    [
        ("DATABASE_URL", database.to_owned()),
        ("MCP_SERVER_URL", format!("{mcp}/mcp")),
        ("BETTER_AUTH_SECRET", SECRET.to_owned()),
        ("CHAT_LIMIT_PER_MINUTE", chat_limit.to_string()),
    ]
}

fn as_pair<'a>((name, value): &'a (&'static str, String)) -> (&'a str, &'a str) {
    (name, value)
}

fn database_url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("todo.db").display())
}
