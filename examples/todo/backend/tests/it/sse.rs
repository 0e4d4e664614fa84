//! Reads a stream of events as a client does.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use service::client::{Client, Stream};

use crate::world::{Person, World};

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Events {
    stream: Stream,
    text: String,
}

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Events {
    pub async fn open(
        client: &Client,
        method: Method,
        url: &str,
        person: &Person,
        body: Option<&Value>,
    ) -> Self {
        let stream = client.stream(method, url, Some(&person.token), "text/event-stream", body).await;
        let stream = stream.expect("the backend answers");
        assert_eq!(stream.status, 200, "{url}");
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        Self { stream, text: String::new() }
    }

    /// Live updates of `person` at `base`, after its greeting; `after` continues an earlier stream.
    pub async fn live(world: &World, base: &str, person: &Person, after: Option<&str>) -> Self {
        let query = after.map_or_else(String::new, |id| format!("?after={id}"));
        let url = format!("{base}/api/{}/events{query}", person.id);
        let mut events = Self::open(&world.client, Method::GET, &url, person, None).await;
        assert_eq!(events.next().await.expect("a greeting").name, "hello");
        events
    }

    /// The next event; none at the end. Comments keep a stream alive, not a test.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let lines = event.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    lines.collect::<Vec<_>>().join("\n")
                };
                if event.starts_with(':') {
                    continue;
                }
                let data = serde_json::from_str(&field("data")).expect("JSON");
                return Some(Event { name: field("event"), id: field("id"), data });
            }
            let piece = self.stream.next().await?.expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        }
    }

    /// The next event as one line: what happened to which task, or who said what.
    pub async fn line(&mut self) -> String {
        let Some(event) = self.next().await else { return "end".to_owned() };
        let data = &event.data;
        match event.name.as_str() {
            "task" => format!(
                "{} {} {}",
                data["change"].as_str().unwrap(),
                data["task"]["id"],
                data["task"]["title"].as_str().unwrap()
            ),
            "chat" => {
                format!("{} says {}", data["message"]["role"].as_str().unwrap(), data["message"]["content"])
            }
            name => format!("{name} {data}"),
        }
    }
}
