//! Events for people: what a controller did to an object, or why it could not.
//!
//! Recording never waits: a bounded queue feeds one writer, and what does not fit is dropped. The
//! same sentence about the same object becomes one Event with a count.
//!
//! Start at [`Recorder::normal`]; [`write_events`] is the writer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cx::{Clock, time};
use crate::key::Key;
use crate::kind::Object;

const QUEUE: usize = 512;
/// Sentences remembered for counting.
const REMEMBERED: usize = 1024;
/// Upstream's limit for the message of an Event.
const MESSAGE_BYTES: usize = 1024;

#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Note>,
}

/// One thing to tell about one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    about: About,
    component: &'static str,
    warning: bool,
    reason: &'static str,
    message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct About {
    api_version: String,
    kind: String,
    key: Key,
    uid: String,
}

impl Recorder {
    /// A recorder and the notes it collects, for [`write_events`].
    pub fn new() -> (Recorder, mpsc::Receiver<Note>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Recorder { sender }, receiver)
    }

    pub fn normal<K: Object>(
        &self,
        component: &'static str,
        object: &K,
        reason: &'static str,
        message: String,
    ) {
        self.note(component, object, false, reason, message);
    }

    pub fn warning<K: Object>(
        &self,
        component: &'static str,
        object: &K,
        reason: &'static str,
        message: String,
    ) {
        self.note(component, object, true, reason, message);
    }

    fn note<K: Object>(
        &self,
        component: &'static str,
        object: &K,
        warning: bool,
        reason: &'static str,
        mut message: String,
    ) {
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        }
        let about = About {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            key: Key::of(object.meta()),
            uid: object.meta().uid.clone().unwrap_or_default(),
        };
        let note = Note { about, component, warning, reason, message };
        if self.sender.try_send(note).is_err() {
            tracing::debug!(reason, "event dropped: too many at once");
        }
    }
}

/// Writes what recorders collect, until `shutdown`.
pub async fn write_events(
    client: Client,
    clock: Arc<dyn Clock>,
    mut notes: mpsc::Receiver<Note>,
    shutdown: CancellationToken,
) {
    let mut writer = Writer { client, clock, written: HashMap::new(), order: VecDeque::new(), sequence: 0 };
    loop {
        let note = tokio::select! {
            () = shutdown.cancelled() => return,
            note = notes.recv() => note,
        };
        let Some(note) = note else { return };
        writer.write(note).await;
    }
}

struct Writer {
    client: Client,
    clock: Arc<dyn Clock>,
    /// The Event that carries a sentence, and how often it was said.
    written: HashMap<Note, (Key, i32)>,
    order: VecDeque<Note>,
    sequence: u64,
}

impl Writer {
    async fn write(&mut self, note: Note) {
        let now = self.clock.now();
        if let Some((key, count)) = self.written.get(&note).cloned()
            && self.count_up(&key, count + 1, now).await
        {
            self.written.insert(note, (key, count + 1));
            return;
        }
        self.sequence += 1;
        let event = event(&note, now, self.sequence);
        let key = Key::of(&event.metadata);
        let api = Event::api(self.client.clone(), &key.namespace);
        if let Err(error) = api.create(&kube::api::PostParams::default(), &event).await {
            // The namespace may be going away: an event is not worth a second try.
            tracing::debug!(error = &error as &dyn std::error::Error, "event not written");
            return;
        }
        self.remember(note, key);
    }

    async fn count_up(&self, key: &Key, count: i32, now: Timestamp) -> bool {
        let patch = json!({ "count": count, "lastTimestamp": time(now) });
        let api = Event::api(self.client.clone(), &key.namespace);
        let patch = kube::api::Patch::Merge(patch);
        api.patch(&key.name, &kube::api::PatchParams::default(), &patch).await.is_ok()
    }

    fn remember(&mut self, note: Note, key: Key) {
        if self.written.insert(note.clone(), (key, 1)).is_none() {
            self.order.push_back(note);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.written.remove(&oldest);
        }
    }
}

fn event(note: &Note, now: Timestamp, sequence: u64) -> Event {
    let about = &note.about;
    let namespace = if about.key.namespace.is_empty() { "default" } else { &about.key.namespace };
    let unique = (now.as_nanosecond() as u64).wrapping_add(sequence);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{unique:x}", about.key.name)),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(about.api_version.clone()),
            kind: Some(about.kind.clone()),
            name: Some(about.key.name.clone()),
            namespace: (!about.key.namespace.is_empty()).then(|| about.key.namespace.clone()),
            uid: Some(about.uid.clone()),
            ..ObjectReference::default()
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: Some(time(now)),
        last_timestamp: Some(time(now)),
        source: Some(EventSource { component: Some(note.component.to_owned()), host: None }),
        reporting_component: Some(note.component.to_owned()),
        ..Event::default()
    }
}
