//! The running application: MCP server, backend and pages, each the real program, on a database in a file of its own;
//! and a browser.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::browser::{self, Browser, until};

const SECRET: &str = "a secret that only the tests know, 40 chars";
pub const PASSWORD: &str = "correct horse battery";

/// Everything one test needs. Tests take turns: each is three services, a browser on two cores.
pub struct World {
    pub browser: Browser,
    pub url: String,
    _frontend: Service,
    backend: Option<Service>,
    backend_port: u16,
    mcp_port: u16,
    _mcp: Service,
    dir: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// A program of ours; killed when dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
        let (mcp_port, backend_port, port) = (free_port(), free_port(), free_port());
        let url = database_url(dir.path());
        let mut world = Self {
            _mcp: Service::start("mcp-server", mcp_port, &[("DATABASE_URL", &url)]),
            _frontend: Service::start("frontend", port, &[("BACKEND_URL", &local(backend_port))]),
            browser: Browser::open(),
            url: local(port),
            backend: None,
            backend_port,
            mcp_port,
            dir,
            _turn: turn,
        };
        world.start_backend();
        Some(world)
    }

    pub fn start_backend(&mut self) {
        let mcp = format!("{}/mcp", local(self.mcp_port));
        let url = database_url(self.dir.path());
        let settings =
            [("DATABASE_URL", url.as_str()), ("MCP_SERVER_URL", &mcp), ("CHAT_LIMIT_PER_MINUTE", "1000")];
        self.backend = Some(Service::start("backend", self.backend_port, &settings));
        until("the pages are ready", || ready(&self.url));
        until("the backend is ready", || ready(&local(self.backend_port)));
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
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn database_url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("todo.db").display())
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn ready(url: &str) -> Result<(), String> {
    let (host, path) = (url.trim_start_matches("http://"), "/ready");
    let answer = crate::headers::get(host, path, &[])?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
}

impl Service {
    fn start(name: &str, port: u16, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program(name));
        command.env_clear().env("HOST", "127.0.0.1").env("PORT", port.to_string());
        command.env("BETTER_AUTH_SECRET", SECRET).env("LOG_LEVEL", "error");
        command.envs(settings.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

/// One of our programs beside the one under test, built if need be.
fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--bins", "-p", "backend", "-p", "mcp-server", "-p", "frontend"]);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(built.success(), "the services do not build");
        Path::new(env!("CARGO_BIN_EXE_frontend")).parent().unwrap().to_owned()
    });
    folder.join(name)
}
