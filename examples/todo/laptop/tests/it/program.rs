//! The program under test: started on ports that the system chooses, read line by line, stopped like by Ctrl-C.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use service::client::{Answer, Client};

/// Longer than anything here takes, also where a compiler runs beside it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when dropped.
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: ChildStderr,
}

/// How the program ended, and what it said from where the test had read.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// In the folder `home`, with nothing of this machine's environment.
    pub fn start(home: &Path, settings: &[(&str, &str)], args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_todo"));
        command.args(args).current_dir(home).env_clear();
        command
            .envs([("PORT", "0"), ("BACKEND_PORT", "0"), ("MCP_PORT", "0")])
            .envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = child.stderr.take().unwrap();
        Self { child, lines, errors }
    }

    /// The next address it prints.
    pub fn address(&mut self) -> String {
        loop {
            let Some(line) = self.lines.next() else {
                let mut said = String::new();
                self.errors.read_to_string(&mut said).unwrap();
                panic!("it ended: {said}");
            };
            if let Some((_, address)) = line.unwrap().split_once("http://") {
                return format!("http://{address}");
            }
        }
    }

    pub fn interrupt(&self) {
        let sent = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let out = self.lines.by_ref().map(|line| line.unwrap() + "\n").collect();
        let mut err = String::new();
        self.errors.read_to_string(&mut err).unwrap();
        Ended { code: self.child.wait().unwrap().code(), out, err }
    }
}

/// A browser without a screen: remembers cookies.
pub struct Visitor {
    client: Client,
    cookies: Vec<String>,
}

impl Visitor {
    pub fn new() -> Self {
        Self { client: Client::new(PATIENCE), cookies: Vec::new() }
    }

    pub async fn get(&mut self, url: &str) -> (StatusCode, String) {
        self.send(Method::GET, url, String::new()).await
    }

    pub async fn sign_up(&mut self, pages: &str) -> (StatusCode, String) {
        let url = format!("{pages}/signup");
        self.post(&url, &url, "name=Ada&email=ada%40example.org&password=correct+horse+battery").await
    }

    /// Fills in a form of `page`, which leads to `url`, with the token that the page put into it.
    pub async fn post(&mut self, page: &str, url: &str, fields: &str) -> (StatusCode, String) {
        let (_, page) = self.get(page).await;
        let token = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let token = token.unwrap_or_else(|| panic!("no form in {page}"));
        self.send(Method::POST, url, format!("csrf={token}&{fields}")).await
    }

    /// A window that is told of changes; it was greeted.
    pub fn open_window(&self, pages: &str) -> TcpStream {
        let host = pages.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let cookies = self.cookies.join("; ");
        write!(stream, "GET /events HTTP/1.1\r\nhost: {host}\r\ncookie: {cookies}\r\n\r\n").unwrap();
        let mut told = Vec::new();
        while !String::from_utf8_lossy(&told).contains("event: hello") {
            let mut piece = [0; 512];
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "the stream ended: {}", String::from_utf8_lossy(&told));
            told.extend(&piece[..length]);
        }
        stream
    }

    async fn send(&mut self, method: Method, url: &str, body: String) -> (StatusCode, String) {
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::COOKIE, self.cookies.join("; ").parse().unwrap());
        let answer = self.client.send_raw(method, url, headers, body.into()).await.unwrap();
        self.remember(&answer);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    fn remember(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let name = pair.split_inclusive('=').next().unwrap().to_owned();
            self.cookies.retain(|known| !known.starts_with(&name));
            self.cookies.push(pair);
        }
    }
}
