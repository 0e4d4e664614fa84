//! The audit log: who asked for what, and what came of it, one JSON line per request.
//!
//! Written on request only, at the level `Metadata` of audit.k8s.io/v1: never a body, so never a Secret. Our own
//! controllers are left out; everybody who comes in from outside is in, also who was refused. Requests never wait for
//! the file: a thread of its own writes it, and what it cannot write (a full disk, a queue that is full) is counted
//! and told in the log.
//!
//! Start at [`AuditLog::open`]; [`Story`] gathers what one request has to tell.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::USER_AGENT;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::auth::User;
use crate::request::ResourcePath;
use crate::status::ApiError;

/// Lines waiting to be written at most.
const QUEUE: usize = 4096;
/// Trouble is told at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Longest URI and user agent that are kept.
const MAX_TEXT: usize = 4096;

/// Where to write, and when to begin a new file.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    pub path: PathBuf,
    /// A file that reaches this size is put aside as `PATH.1`, the one before as `PATH.2`, and so on.
    pub max_bytes: u64,
    /// How many files that were put aside are kept.
    pub kept: usize,
}

impl AuditConfig {
    pub fn new(path: PathBuf) -> Self {
        Self { path, max_bytes: 100 << 20, kept: 5 }
    }
}

/// The address a connection comes from, as requests carry it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// An audit log that is being written.
#[derive(Debug)]
pub struct AuditLog {
    lines: Option<SyncSender<String>>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl AuditLog {
    /// Opens the file for appending; fails when it cannot be opened now.
    pub fn open(config: AuditConfig) -> io::Result<Self> {
        let file = Log::open(config)?;
        let (sender, lines) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        let thread = std::thread::Builder::new()
            .name("audit-writer".into())
            .spawn(move || Writer { file, lost: counted, told: None }.run(&lines))?;
        Ok(Self { lines: Some(sender), lost, thread: Some(thread) })
    }

    pub fn record(&self, event: &Value) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(format!("{event}\n")) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // Without a sender the thread writes what waits and ends.
        drop(self.lines.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit log's thread panicked");
        }
    }
}

struct Writer {
    file: Log,
    lost: Arc<AtomicU64>,
    told: Option<Instant>,
}

impl Writer {
    fn run(mut self, lines: &Receiver<String>) {
        while let Ok(line) = lines.recv() {
            let mut outcome = self.file.write(&line);
            // What waits already goes out together.
            while let Ok(line) = lines.try_recv() {
                outcome = outcome.and(self.file.write(&line));
            }
            let outcome = outcome.and_then(|()| self.file.flush());
            if outcome.is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.tell(outcome.err());
        }
    }

    fn tell(&mut self, error: Option<io::Error>) {
        let due = self.told.is_none_or(|told| told.elapsed() > TOLD_EVERY);
        if !due || (error.is_none() && self.lost.load(Ordering::Relaxed) == 0) {
            return;
        }
        self.told = Some(Instant::now());
        let (path, lost) = (self.file.config.path.display(), self.lost.swap(0, Ordering::Relaxed));
        match error {
            Some(error) => tracing::error!(%path, lost, %error, "the audit log cannot be written"),
            None => tracing::error!(%path, lost, "the audit log lost events"),
        }
    }
}

/// The file and its size.
#[derive(Debug)]
struct Log {
    config: AuditConfig,
    file: Option<BufWriter<File>>,
    size_bytes: u64,
}

impl Log {
    fn open(config: AuditConfig) -> io::Result<Self> {
        let mut log = Self { config, file: None, size_bytes: 0 };
        log.reopen()?;
        Ok(log)
    }

    fn reopen(&mut self) -> io::Result<&mut BufWriter<File>> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.config.path)?;
        self.size_bytes = file.metadata()?.len();
        Ok(self.file.insert(BufWriter::new(file)))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.size_bytes > 0 && self.size_bytes + line.len() as u64 > self.config.max_bytes {
            self.flush()?;
            self.file = None;
            self.put_aside()?;
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(line.as_bytes()),
            None => self.reopen()?.write_all(line.as_bytes()),
        };
        self.size_bytes += line.len() as u64;
        self.renew_on_error(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.as_mut().map_or(Ok(()), io::Write::flush);
        self.renew_on_error(flushed)
    }

    /// After an error the file is opened anew for the next line, without what was left in the buffer.
    fn renew_on_error(&mut self, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err()
            && let Some(file) = self.file.take()
        {
            // Parts of a line that did not get through must not be written on dropping.
            let _ = file.into_parts();
        }
        outcome
    }

    fn put_aside(&self) -> io::Result<()> {
        let numbered = |number: usize| numbered(&self.config.path, number);
        if self.config.kept == 0 {
            return fs::remove_file(&self.config.path);
        }
        for number in (1..self.config.kept).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.config.path, numbered(1))
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// What admission adds to the event of a request. Travels as an extension of the answer.
#[derive(Debug, Clone, Default)]
pub struct Annotations(pub BTreeMap<String, String>);

/// What is known of a request while it is being answered.
#[derive(Debug)]
pub struct Story {
    received: Timestamp,
    uri: String,
    agent: String,
    peer: Option<IpAddr>,
    /// Who asks, once that is known.
    pub caller: Option<User>,
    /// Whom they act as.
    pub acting: Option<User>,
    pub verb: String,
    pub path: Option<ResourcePath>,
    /// Whether roles allowed it; not decided when nobody was recognised.
    pub allowed: Option<bool>,
    pub long_running: bool,
    annotations: Annotations,
}

impl Story {
    pub fn of(request: &Request<Body>, now: Timestamp) -> Self {
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
        Self {
            received: now,
            uri: request.uri().to_string().chars().take(MAX_TEXT).collect(),
            agent: agent.chars().take(MAX_TEXT).collect(),
            peer: request.extensions().get::<Peer>().map(|peer| peer.0),
            caller: None,
            acting: None,
            verb: request.method().as_str().to_ascii_lowercase(),
            path: None,
            allowed: None,
            long_running: false,
            annotations: Annotations::default(),
        }
    }

    /// Whether it is of those that are recorded.
    pub fn is_from_outside(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| !caller.internal)
    }

    /// The event, with the answer's code, and the error if that is the answer.
    pub fn event(&self, code: StatusCode, error: Option<&ApiError>, now: Timestamp) -> Value {
        let stage = if self.long_running && error.is_none() { "ResponseStarted" } else { "ResponseComplete" };
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": uuid::Uuid::new_v4().to_string(), "stage": stage, "requestURI": self.uri, "verb": self.verb,
            "user": self.caller.as_ref().map_or_else(|| json!({}), User::to_value),
            "responseStatus": { "metadata": {}, "code": code.as_u16() },
            "requestReceivedTimestamp": micros(self.received), "stageTimestamp": micros(now),
        });
        if let Some(peer) = self.peer {
            event["sourceIPs"] = json!([peer.to_string()]);
        }
        if !self.agent.is_empty() {
            event["userAgent"] = self.agent.as_str().into();
        }
        if let Some(acting) = &self.acting {
            event["impersonatedUser"] = acting.to_value();
        }
        if let Some(path) = &self.path {
            event["objectRef"] = object_ref(path);
        }
        if let Some(error) = error {
            event["responseStatus"]["status"] = "Failure".into();
            event["responseStatus"]["reason"] = error.reason.into();
            event["responseStatus"]["message"] = error.message.as_str().into();
        }
        if let Some(allowed) = self.allowed {
            let decision = if allowed { "allow" } else { "forbid" };
            event["annotations"] = json!(self.annotations.0);
            event["annotations"]["authorization.k8s.io/decision"] = decision.into();
        }
        event
    }
}

/// Tells the log of one request, however it ends: also of one whose client went away before the answer.
pub struct Record<'a> {
    log: Option<&'a AuditLog>,
    pub story: Story,
}

impl<'a> Record<'a> {
    pub fn of(log: Option<&'a AuditLog>, request: &Request<Body>, now: Timestamp) -> Self {
        Self { log, story: Story::of(request, now) }
    }

    pub fn end(&mut self, outcome: &Result<Response<Body>, ApiError>, now: Timestamp) {
        let (code, error) = match outcome {
            Ok(response) => (response.status(), None),
            Err(error) => (error.code, Some(error)),
        };
        let told = outcome.as_ref().ok().and_then(|response| response.extensions().get::<Annotations>());
        self.story.annotations = told.cloned().unwrap_or_default();
        if let Some(log) = self.log.take()
            && self.story.is_from_outside()
        {
            log.record(&self.story.event(code, error, now));
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let gone = ApiError::client_gone();
        self.end(&Err(gone), Timestamp::now());
    }
}

fn object_ref(path: &ResourcePath) -> Value {
    let fields = [
        ("resource", path.plural.as_str()),
        ("namespace", path.namespace.as_deref().unwrap_or("")),
        ("name", path.name()),
        ("apiGroup", path.group.as_str()),
        ("apiVersion", path.version.as_str()),
        ("subresource", path.subresource.as_str()),
    ];
    let said = fields.into_iter().filter(|(_, text)| !text.is_empty());
    Value::Object(said.map(|(field, text)| (field.to_owned(), text.into())).collect())
}

fn micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_that_is_full_is_put_aside_and_the_oldest_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let config = AuditConfig { path: path.clone(), max_bytes: 12, kept: 2 };
        let log = AuditLog::open(config).unwrap();
        for number in 100..105 {
            log.record(&json!(format!("n{number}")));
        }
        drop(log);
        assert_eq!(read(&path), ["\"n104\""]);
        assert_eq!(read(&numbered(&path, 1)), ["\"n103\""]);
        assert_eq!(read(&numbered(&path, 2)), ["\"n102\""]);
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn a_log_that_is_there_is_continued_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for number in 1..3 {
            AuditLog::open(AuditConfig::new(path.clone())).unwrap().record(&json!(number));
        }
        assert_eq!(read(&path), ["1", "2"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_disk_that_takes_nothing_stops_nobody() {
        // Every write to it fails as a full disk's does.
        let Ok(log) = AuditLog::open(AuditConfig::new("/dev/full".into())) else {
            panic!("/dev/full cannot be opened");
        };
        for number in 0..3 * QUEUE {
            log.record(&json!(number));
        }
        drop(log);
    }

    #[test]
    fn an_event_names_the_caller_the_object_and_the_outcome() {
        let request = Request::get("/api/v1/namespaces/a/secrets/b?x=y").header(USER_AGENT, "kubectl/v1");
        let request = request.body(Body::empty()).unwrap();
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let mut story = Story::of(&request, now);
        story.caller = Some(User::new("jane", ["dev"]));
        story.path = Some(ResourcePath {
            version: "v1".into(),
            plural: "secrets".into(),
            namespace: Some("a".into()),
            name: Some("b".into()),
            ..ResourcePath::default()
        });
        story.allowed = Some(false);
        let refused = ApiError::forbidden("", "secrets", "b", "no");
        let event = story.event(refused.code, Some(&refused), now);
        assert_eq!(event["requestURI"], "/api/v1/namespaces/a/secrets/b?x=y");
        assert_eq!(event["user"], json!({ "username": "jane", "groups": ["dev", "system:authenticated"] }));
        let object = json!({ "resource": "secrets", "namespace": "a", "name": "b", "apiVersion": "v1" });
        assert_eq!(event["objectRef"], object);
        assert_eq!(
            (&event["responseStatus"]["code"], &event["responseStatus"]["reason"]),
            (&json!(403), &json!("Forbidden"))
        );
        assert_eq!(event["requestReceivedTimestamp"], "2026-01-01T00:00:00.500000Z");
        assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
    }
}
