//! A headless Chromium, steered over the WebDriver protocol.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use serde_json::{Value, json};

use crate::http::{Request, send};
use crate::program::{self, Running, until};

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/lib/chromium"];

/// A browser window. Closed, with its driver, when dropped.
pub struct Browser {
    port: u16,
    session: String,
    _driver: Running,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a window, unless this machine has no Chromium.
    pub fn open() -> Option<Browser> {
        let (driver, chromium) =
            (program::find("chromedriver", &FOLDERS)?, program::find("chromium", &FOLDERS)?);
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(driver);
        command.arg(format!("--port={port}"));
        let driver = program::start(command);
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { port, session: String::new(), _driver: driver, _profile: profile };
        until("chromedriver answers", || match browser.try_ask("GET", "/status", None) {
            Ok(status) if status["ready"] == true => Ok(()),
            other => Err(format!("{other:?}")),
        });
        // As root there is no sandbox to be had; proxies are not for this machine's own hosts.
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--window-size=1200,900",
            &profile,
        ];
        let options = json!({ "binary": chromium, "args": args });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": options } } });
        let session = browser
            .try_ask("POST", "/session", Some(wanted))
            .unwrap_or_else(|error| panic!("no browser: {error}"));
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn try_ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let request = Request { port: self.port, host: "localhost", method, path, token: None, body };
        let answer = send(&request).map_err(|error| error.to_string())?;
        match answer.status {
            200 => Ok(answer.json()["value"].clone()),
            _ => Err(answer.body),
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        self.try_ask(method, &format!("/session/{}{path}", self.session), body)
    }

    pub fn go(&self, url: &str) {
        self.ask("POST", "/url", Some(json!({ "url": url }))).unwrap();
    }

    fn element(&self, css: &str) -> String {
        until(&format!("the page has `{css}`"), || {
            let found =
                self.ask("POST", "/element", Some(json!({ "using": "css selector", "value": css })))?;
            Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned())
        })
    }

    pub fn type_into(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.ask("POST", &format!("/element/{element}/value"), Some(json!({ "text": text }))).unwrap();
    }

    pub fn click(&self, css: &str) {
        let element = self.element(css);
        self.ask("POST", &format!("/element/{element}/click"), Some(json!({}))).unwrap();
    }

    /// Waits until the element shows `text`.
    pub fn until_shown(&self, css: &str, text: &str) {
        until(&format!("`{css}` shows {text:?}"), || {
            let element = self.element(css);
            let shown = self.ask("GET", &format!("/element/{element}/text"), None)?;
            shown.as_str().is_some_and(|shown| shown.contains(text)).then_some(()).ok_or(shown.to_string())
        });
    }

    pub fn screenshot(&self, file: &Path) {
        let image = self.ask("GET", "/screenshot", None).unwrap();
        let image = base64::engine::general_purpose::STANDARD.decode(image.as_str().unwrap()).unwrap();
        fs::write(file, image).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium's processes; killing the driver alone would leave them.
        let _ = self.ask("DELETE", "", None);
    }
}
