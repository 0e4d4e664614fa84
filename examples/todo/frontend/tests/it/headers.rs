//! What a browser is told over HTTP, and what it is refused. Needs no browser, and no backend.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::program::Program;

/// The pages alone, with nothing behind them.
struct Pages(Program);

impl Pages {
    fn start() -> Self {
        Self(Program::start("frontend", &[("BACKEND_URL", "http://127.0.0.1:1"), ("LOG_LEVEL", "off")]))
    }

    #[track_caller]
    fn get(&self, path: &str, headers: &[&str]) -> String {
        get(&self.0.host(), path, headers).unwrap()
    }

    fn post(&self, path: &str, headers: &[&str], body: &str) -> String {
        let length = format!("content-length: {}", body.len());
        let mut all = vec!["content-type: application/x-www-form-urlencoded", length.as_str()];
        all.extend(headers);
        ask(&self.0.host(), "POST", path, &all, body).unwrap()
    }
}

pub fn get(host: &str, path: &str, headers: &[&str]) -> Result<String, String> {
    ask(host, "GET", path, headers, "")
}

/// Status line, headers in lower case, and body as they came.
fn ask(host: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Result<String, String> {
    let talk = || {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    talk().map_err(|error: std::io::Error| error.to_string())
}

#[track_caller]
fn check(answer: &str, status: u16, has: &[&str]) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for text in has {
        assert!(answer.contains(text), "no {text:?} in {answer}");
    }
}

#[test]
fn every_page_forbids_inline_code_frames_and_guessing() {
    let pages = Pages::start();
    for path in ["/", "/signup", "/login", "/help", "/nothing-here"] {
        let answer = pages.get(path, &[]);
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{path}: no {header:?} in {answer}");
        }
        assert!(
            !answer.contains("<style") && !answer.contains(" style=") && !answer.contains("<script>"),
            "{path}"
        );
        assert!(!answer.contains("strict-transport-security"), "plain HTTP promises nothing about TLS");
    }
}

#[test]
fn behind_tls_cookies_are_secure_and_the_browser_is_told_to_stay_with_it() {
    let answer = Pages::start().get("/login", &["x-forwarded-proto: https"]);
    check(
        &answer,
        200,
        &["strict-transport-security: max-age=", "; HttpOnly; SameSite=Lax; ", "; Secure\r\n"],
    );
}

#[test]
fn a_form_without_its_token_changes_nothing() {
    let pages = Pages::start();
    let cookie = "cookie: todo_csrf=0123456789abcdef0123456789abcdef; todo_session=x.y.z";
    for path in [
        "/signup",
        "/login",
        "/logout",
        "/theme",
        "/tasks",
        "/tasks/1/complete",
        "/tasks/1/reopen",
        "/tasks/1/edit",
        "/tasks/1/delete",
        "/tasks/1/restore",
        "/chat",
        "/chat/clear",
    ] {
        check(&pages.post(path, &[cookie], "title=x&message=x"), 403, &["too old"]);
        let forged = pages.post(
            path,
            &[cookie, "sec-fetch-site: cross-site"],
            "csrf=0123456789abcdef0123456789abcdef",
        );
        check(&forged, 403, &["too old"]);
    }
}

#[test]
fn health_is_about_the_application_and_readiness_about_the_backend() {
    let pages = Pages::start();
    for path in ["/health", "/api/health"] {
        check(
            &pages.get(path, &[]),
            200,
            &[r#""status":"healthy""#, r#""service":"frontend""#, r#""version":""#],
        );
    }
    check(&pages.get("/ready", &[]), 503, &[r#""backend":"unavailable""#]);
}

#[test]
fn without_the_backend_a_person_is_told_and_stays_logged_in() {
    let answer = Pages::start().get("/", &["cookie: todo_session=x.y.z"]);
    check(&answer, 503, &["One moment", "Try again"]);
    assert!(!answer.contains("todo_session="), "the session cookie is left alone");
}

#[test]
fn an_asset_named_by_its_content_is_kept_for_good() {
    let pages = Pages::start();
    let page = pages.get("/", &[]);
    let at = page.find("/assets/app.css?v=").unwrap();
    let href = &page[at..at + page[at..].find('"').unwrap()];
    check(&pages.get(href, &[]), 200, &["text/css", "immutable"]);
    check(&pages.get("/assets/app.css?v=0", &[]), 200, &["max-age=3600"]);
    check(&pages.get("/assets/../Cargo.toml", &[]), 404, &[]);
}

#[test]
fn an_address_that_only_takes_forms_leads_home() {
    check(&Pages::start().get("/tasks", &[]), 303, &["location: /\r\n"]);
}

#[test]
fn a_stream_of_events_is_for_people_who_are_logged_in() {
    check(&Pages::start().get("/events", &[]), 401, &[]);
}

#[test]
fn a_theme_is_remembered_and_leads_back_only_to_our_own_pages() {
    let pages = Pages::start();
    let cookie = "cookie: todo_csrf=0123456789abcdef0123456789abcdef";
    let csrf = "csrf=0123456789abcdef0123456789abcdef";
    let answer =
        pages.post("/theme", &[cookie], &format!("{csrf}&theme=dark&page=https://evil.example&view=//evil"));
    check(&answer, 303, &["location: /\r\n", "todo_theme=dark; "]);
    check(&pages.get("/", &["cookie: todo_theme=dark"]), 200, &[r#"data-theme="dark""#]);
}
