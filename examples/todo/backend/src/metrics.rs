//! What the backend counts besides requests.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use service::metrics::{Outcomes, Reading, register_readings};
use store::Store;

/// Seconds; rules take milliseconds, models seconds.
const CHAT_BUCKETS_S: [f64; 8] = [0.005, 0.015, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ToolCall {
    tool: String,
    outcome: &'static str,
}

pub struct Counters {
    pub chats: Outcomes,
    pub chat_time: Histogram,
    pub logins: Outcomes,
    pub streams: Streams,
    tools: Family<ToolCall, Counter>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            chats: Outcomes::default(),
            chat_time: Histogram::new(CHAT_BUCKETS_S),
            logins: Outcomes::default(),
            streams: Streams::default(),
            tools: Family::default(),
        }
    }
}

impl Counters {
    pub fn register(&self, registry: &mut Registry, store: &Store) {
        registry.register("chat_turns", "Chat messages by outcome", self.chats.clone());
        registry.register(
            "chat_turn_duration_seconds",
            "Time to answer a chat message",
            self.chat_time.clone(),
        );
        registry.register("tool_calls", "Tools the assistant called, by outcome", self.tools.clone());
        registry.register("logins", "Attempts to log in by outcome", self.logins.clone());
        registry.register("event_streams", "Streams of live updates that are open", self.streams.0.clone());
        let store = store.clone();
        register_readings(registry, move || {
            let reading = |(name, help, is_counter, value)| Reading { name, help, is_counter, value };
            store.readings().map(reading).to_vec()
        });
    }

    /// A model may invent names: those are one series, not as many as it likes.
    pub fn count_tool(&self, tool: &str, failed: bool) {
        const KNOWN: [&str; 7] = [
            "add_task",
            "list_tasks",
            "complete_task",
            "delete_task",
            "update_task",
            "restore_task",
            "reopen_task",
        ];
        let tool = KNOWN.iter().find(|known| **known == tool).map_or("unknown", |known| known);
        let outcome = if failed { "error" } else { "ok" };
        self.tools.get_or_create(&ToolCall { tool: tool.to_owned(), outcome }).inc();
    }
}

#[derive(Clone, Default)]
pub struct Streams(Gauge);

impl Streams {
    /// Counts a stream as open until the result is dropped.
    pub fn open(&self) -> OpenStream {
        self.0.inc();
        OpenStream(self.0.clone())
    }
}

pub struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
