//! Events: what `kubectl describe pod` shows under Events.
//!
//! Fire and forget through a bounded queue; a repeated event counts up instead of being written anew.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;

const QUEUE: usize = 256;
/// Events remembered for counting; beyond that all are forgotten and written anew.
const REMEMBERED: usize = 1024;
const MESSAGE_MAX_CHARS: usize = 1024;
const COMPONENT: &str = "kubelet";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Normal,
    Warning,
}

struct Note {
    object: ObjectReference,
    tone: Tone,
    reason: &'static str,
    message: String,
}

/// Takes events from anywhere. When the queue is full an event is dropped: they are a courtesy.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Note>,
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Note").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Writes what recorders send.
pub struct Writer {
    client: Client,
    node_name: String,
    queue: mpsc::Receiver<Note>,
    known: HashMap<(Option<String>, &'static str, String), (String, i32)>,
    written: u64,
}

pub fn channel(client: Client, node_name: String) -> (Recorder, Writer) {
    let (sender, queue) = mpsc::channel(QUEUE);
    (Recorder { queue: sender }, Writer { client, node_name, queue, known: HashMap::new(), written: 0 })
}

impl Recorder {
    /// About the pod, or one of its containers.
    pub fn pod(&self, pod: &Pod, container: Option<&str>, tone: Tone, reason: &'static str, message: String) {
        let meta = &pod.metadata;
        let object = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            field_path: container.map(|name| format!("spec.containers{{{name}}}")),
            ..ObjectReference::default()
        };
        let message = message.chars().take(MESSAGE_MAX_CHARS).collect();
        if self.queue.try_send(Note { object, tone, reason, message }).is_err() {
            tracing::debug!(reason, "an event was dropped, the queue is full");
        }
    }
}

impl Writer {
    /// Ends when the last recorder is gone.
    pub async fn run(mut self) {
        while let Some(note) = self.queue.recv().await {
            if let Err(error) = self.write(note).await {
                tracing::debug!(%error, "an event was not written");
            }
        }
    }

    async fn write(&mut self, note: Note) -> kube::Result<()> {
        let namespace = note.object.namespace.clone().unwrap_or_else(|| "default".into());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let field = note.object.field_path.clone().unwrap_or_default();
        let key = (note.object.uid.clone(), note.reason, format!("{field} {}", note.message));
        let now = Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default());
        if let Some((name, count)) = self.known.get_mut(&key) {
            *count += 1;
            let patch = json!({"count": count, "lastTimestamp": now});
            match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                // It expired; write it anew below.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(|_| ()),
            }
        }
        self.written += 1;
        let unique = format!("{:x}{:x}", Timestamp::now().as_nanosecond(), self.written);
        let name = format!("{}.{unique}", note.object.name.as_deref().unwrap_or("unknown"));
        let source = EventSource { component: Some(COMPONENT.into()), host: Some(self.node_name.clone()) };
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            involved_object: note.object,
            reason: Some(note.reason.into()),
            message: Some(note.message),
            type_: Some(if note.tone == Tone::Normal { "Normal" } else { "Warning" }.into()),
            source: Some(source),
            reporting_component: Some(COMPONENT.into()),
            reporting_instance: Some(self.node_name.clone()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        };
        api.create(&PostParams::default(), &event).await?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, (name, 1));
        Ok(())
    }
}
