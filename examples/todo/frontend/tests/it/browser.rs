//! A headless Chromium, steered over the WebDriver protocol, with what only its own protocol can do: being a phone,
//! being dark, having no JavaScript, losing the connection.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use base64::Engine;
use serde_json::{Value, json};
use service::client::Client;

pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Two cores shared with a compiler and three services.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a script to come to its end, such as a check of a whole page.
const SCRIPT_MS: u64 = 50_000;
/// Makes the network slow by so many milliseconds, and the processor by such a factor: for finding races.
const LATENCY_MS: &str = "TODO_BROWSER_LATENCY_MS";
const SLOWDOWN: &str = "TODO_BROWSER_SLOWDOWN";
const DESKTOP: (u32, u32) = (1280, 900);

/// A browser with one or more windows. Closed, with its driver, when dropped.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    client: Client,
    base: String,
    session: String,
    driver: Child,
    _said: BufReader<ChildStdout>,
    _profile: tempfile::TempDir,
}

/// Calls `question` until it answers, and fails with its last objection when it never does.
#[track_caller]
pub fn until<T>(what: &str, mut question: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match question() {
            Ok(answer) => return answer,
            Err(objection) if Instant::now() > deadline => {
                panic!("never happened: {what}; at last: {objection}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(40)),
        }
    }
}

/// The program of that name where packages put it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/lib/chromium".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.exists())
}

/// The number that a variable holds, or 0.
fn env(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Where the driver says it listens.
fn port_of(said: &mut impl BufRead) -> u16 {
    for line in said.lines() {
        let line = line.unwrap();
        let port = line
            .split("successfully on port ")
            .nth(1)
            .and_then(|rest| rest.trim_end_matches('.').parse().ok());
        if let Some(port) = port {
            return port;
        }
    }
    panic!("chromedriver ended without a word about its port");
}

/// What is missing on this machine, if something is.
pub fn missing() -> Option<&'static str> {
    let wanted = ["chromium", "chromedriver"].iter().all(|name| program(name).is_some());
    (!wanted).then_some("`chromium` and `chromedriver` are not installed (Debian: chromium, chromium-driver)")
}

impl Browser {
    pub fn open() -> Self {
        let profile = tempfile::Builder::new().prefix("todo-browser-").tempdir().unwrap();
        let mut command = Command::new(program("chromedriver").unwrap());
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let port = port_of(&mut said);
        let mut browser = Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            client: Client::new(PATIENCE),
            base: format!("http://127.0.0.1:{port}"),
            session: String::new(),
            driver,
            _said: said,
            _profile: profile,
        };
        until("chromedriver answers", || match browser.send(Method::GET, "/status", None) {
            Ok(status) if status["ready"] == true => Ok(()),
            other => Err(format!("{other:?}")),
        });
        // As root there is no sandbox to be had; proxies are not for this machine's own hosts.
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let size = format!("--window-size={},{}", DESKTOP.0, DESKTOP.1);
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--hide-scrollbars",
            "--lang=en-GB",
            &size,
            &profile,
        ];
        let options = json!({ "binary": program("chromium").unwrap(), "args": args });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": options } } });
        let session = browser.send(Method::POST, "/session", Some(wanted)).unwrap();
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser.post("/timeouts", json!({ "script": SCRIPT_MS })).unwrap();
        browser.prepare();
        browser
    }

    /// What a new window must be told.
    fn prepare(&self) {
        self.colours("light");
        self.latency(env(LATENCY_MS));
        let rate = env(SLOWDOWN);
        if rate > 1 {
            self.chromium("Emulation.setCPUThrottlingRate", json!({ "rate": rate }));
        }
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = format!("{}{path}", self.base);
        let answer = self.runtime.block_on(self.client.send(method, &url, None, body.as_ref()));
        let answer = answer.map_err(|error| service::log::chain(&error))?;
        let body: Value = answer.json().map_err(|error| service::log::chain(&error))?;
        if answer.status.is_success() {
            Ok(body["value"].clone())
        } else {
            Err(body["value"]["message"].to_string())
        }
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        self.send(Method::GET, &format!("/session/{}{path}", self.session), None)
    }

    fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        self.send(Method::POST, &format!("/session/{}{path}", self.session), Some(body))
    }

    /// A command of Chromium's own protocol, for the current window.
    fn chromium(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).unwrap()
    }

    #[track_caller]
    pub fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).unwrap();
    }

    pub fn reload(&self) {
        self.post("/refresh", json!({})).unwrap();
    }

    fn address(&self) -> String {
        self.get("/url").unwrap().as_str().unwrap().to_owned()
    }

    /// Puts another value into a cookie, or takes it away.
    pub fn spoil_cookie(&self, name: &str, value: Option<&str>) {
        let path = format!("/session/{}/cookie/{name}", self.session);
        self.send(Method::DELETE, &path, None).unwrap();
        if let Some(value) = value {
            self.post("/cookie", json!({ "cookie": { "name": name, "value": value, "httpOnly": true } }))
                .unwrap();
        }
    }

    // --- What the window is like ---

    /// A phone of that width, or a desktop when none.
    pub fn phone(&self, width: Option<u32>) {
        let (width, height, scale) = width.map_or((DESKTOP.0, DESKTOP.1, 1), |width| (width, 844, 2));
        let mobile = scale == 2;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.chromium("Emulation.setDeviceMetricsOverride", metrics);
    }

    pub fn colours(&self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.chromium("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    pub fn without_javascript(&self) {
        self.chromium("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    pub fn offline(&self, offline: bool) {
        self.network(offline, env(LATENCY_MS));
    }

    /// Lets every answer of the network come so many milliseconds later.
    pub fn latency(&self, ms: u64) {
        self.network(false, ms);
    }

    fn network(&self, offline: bool, latency: u64) {
        self.chromium("Network.enable", json!({}));
        let conditions = json!({ "offline": offline, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.chromium("Network.emulateNetworkConditions", conditions);
    }

    /// Opens a second window and makes it the current one; gives the names of the old and the new.
    pub fn second_window(&self) -> (String, String) {
        let old = self.get("/window").unwrap().as_str().unwrap().to_owned();
        let new = self.post("/window/new", json!({ "type": "window" })).unwrap();
        let new = new["handle"].as_str().unwrap().to_owned();
        self.look_at(&new);
        self.prepare();
        (old, new)
    }

    pub fn look_at(&self, window: &str) {
        self.post("/window", json!({ "handle": window })).unwrap();
    }

    // --- What a person does ---

    fn find(&self, css: &str) -> Result<String, String> {
        let found = self.post("/element", json!({ "using": "css selector", "value": css }))?;
        Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until everything that was sent has been answered and shown: a person looks before going on.
    #[track_caller]
    pub fn until_at_rest(&self) {
        self.until_count("[aria-busy=true]", 0);
    }

    /// Does `what` to the element as soon as it is there and can be used.
    #[track_caller]
    fn act(&self, css: &str, what: &str, body: &Value) {
        self.until_at_rest();
        until(&format!("{what} of `{css}`"), || {
            let element = self.find(css)?;
            self.post(&format!("/element/{element}/{what}"), body.clone()).map(drop)
        });
    }

    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        self.act(css, "value", &json!({ "text": text }));
    }

    #[track_caller]
    pub fn clear(&self, css: &str) {
        self.act(css, "clear", &json!({}));
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        self.act(css, "click", &json!({}));
    }

    /// Presses keys wherever the focus is.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.until_at_rest();
        self.press_at_once(keys);
    }

    /// As [`Browser::press`], also while answers are still on their way.
    pub fn press_at_once(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
            })
            .collect();
        self.post(
            "/actions",
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }),
        )
        .unwrap();
    }

    // --- What a person sees ---

    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).unwrap()
    }

    pub fn run_later(&self, script: &str) -> Value {
        self.post("/execute/async", json!({ "script": script, "args": [] })).unwrap()
    }

    fn text(&self, css: &str) -> Result<String, String> {
        let element = self.find(css)?;
        let text = self.get(&format!("/element/{element}/text"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    pub fn value(&self, css: &str) -> String {
        let read = || {
            let element = self.find(css)?;
            self.get(&format!("/element/{element}/property/value"))
        };
        until(&format!("`{css}` has a value"), read).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the element shows `text`.
    #[track_caller]
    pub fn until_shown(&self, css: &str, text: &str) {
        until(&format!("`{css}` shows {text:?}"), || {
            let shown = self.text(css)?;
            if shown.contains(text) { Ok(()) } else { Err(format!("{shown:?}")) }
        });
    }

    #[track_caller]
    pub fn until_address(&self, end: &str) {
        until(&format!("the address ends with {end:?}"), || match self.address() {
            address if address.ends_with(end) => Ok(()),
            address => Err(address),
        });
    }

    /// How many elements there are right now.
    pub fn count(&self, css: &str) -> usize {
        let found = self.post("/elements", json!({ "using": "css selector", "value": css })).unwrap();
        found.as_array().map_or(0, Vec::len)
    }

    #[track_caller]
    pub fn until_count(&self, css: &str, count: usize) {
        until(&format!("{count} of `{css}`"), || match self.count(css) {
            is if is == count => Ok(()),
            is => Err(is.to_string()),
        });
    }

    /// The titles of the list as a person reads them, top to bottom.
    #[track_caller]
    pub fn until_titles(&self, expect: &[&str]) {
        until(&format!("the list shows {expect:?}"), || {
            let found =
                self.post("/elements", json!({ "using": "css selector", "value": "#tasks .task .title" }))?;
            let mut titles = Vec::new();
            for element in found.as_array().into_iter().flatten() {
                let text =
                    self.get(&format!("/element/{}/text", element[ELEMENT].as_str().unwrap_or_default()))?;
                titles.push(text.as_str().unwrap_or_default().to_owned());
            }
            if titles == expect { Ok(()) } else { Err(format!("{titles:?}")) }
        });
    }

    /// The id of the element that has the focus, or its name.
    pub fn focused(&self) -> String {
        let script = "const e = document.activeElement; return e.id || e.name || e.tagName.toLowerCase()";
        self.run(script).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn until_focused(&self, id: &str) {
        until(&format!("`{id}` has the focus"), || {
            let focused = self.focused();
            if focused == id { Ok(()) } else { Err(focused) }
        });
    }

    /// Keeps a picture of the whole page as `target/screenshots/NAME.png`.
    pub fn screenshot(&self, name: &str) {
        self.keep_picture(name).unwrap();
    }

    fn keep_picture(&self, name: &str) -> Result<PathBuf, String> {
        let told = |error: std::io::Error| error.to_string();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        std::fs::create_dir_all(&folder).map_err(told)?;
        let wanted = json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } });
        let image = self.post("/goog/cdp/execute", wanted)?;
        let image =
            base64::engine::general_purpose::STANDARD.decode(image["data"].as_str().unwrap_or_default());
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, image.map_err(|error| error.to_string())?).map_err(told)?;
        Ok(path)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
            eprintln!("what was to be seen: {:?}", self.keep_picture(&format!("failed-{test}")));
        }
        // Ends Chromium's processes; killing the driver alone would leave them.
        let _ = self.send(Method::DELETE, &format!("/session/{}", self.session), None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
