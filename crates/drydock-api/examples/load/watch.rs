//! Fan-out: 1,000 watches of one thing, and how long after a write each of them has heard of it.
//!
//! A client can take two times: from sending the write, which has the disk in it, and from its answer, which has not.
//! A watch that hears of a write before the writer does counts as 0 in the second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::client::{Client, Error};
use crate::{ask, figure, millis, percentile};

const NAMESPACE: &str = "fan-out";
const WATCHERS: usize = 1000;
const CONNECTIONS: usize = 16;
const WRITES: usize = 100;
const GAP: Duration = Duration::from_millis(30);
const MARK: &[u8] = b"\"name\":\"event-";

pub async fn fan_out(kubeconfig: &str) -> Result<(), Error> {
    let watching = Client::connect(kubeconfig, CONNECTIONS).await?;
    let writing = Client::connect(kubeconfig, 1).await?;
    let namespace = format!(r#"{{"metadata":{{"name":"{NAMESPACE}"}}}}"#).into_bytes();
    writing.expect(Method::POST, "/api/v1/namespaces", Some(namespace)).await?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let (heard, mut told) = mpsc::unbounded_channel();
    let revision = revision(&watching, &path).await?;
    for _ in 0..WATCHERS {
        let query = format!("{path}?watch=true&resourceVersion={revision}");
        let stream = watching.open(Method::GET, &query, None).await?;
        tokio::spawn(listen(stream, heard.clone()));
    }
    drop(heard);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut writes = Vec::new();
    ask("work", 0, "begins").await;
    for n in 0..WRITES {
        let body = format!(
            r#"{{"metadata":{{"name":"event-{n:04}"}},"data":{{"text":"{}"}}}}"#,
            "bG9yZW0g".repeat(100)
        );
        let sent = Instant::now();
        writing.expect(Method::POST, &path, Some(body.into_bytes())).await?;
        writes.push((sent, Instant::now()));
        tokio::time::sleep(GAP).await;
    }
    let (mut since_sent, mut since_answer) = (Vec::new(), Vec::new());
    let writes = Arc::new(writes);
    let all = WATCHERS * WRITES;
    while since_sent.len() < all {
        let next = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
        let Ok(Some((n, at))) = next else { break };
        let Some((sent, answered)) = writes.get::<usize>(n) else { continue };
        since_sent.push(millis(at.saturating_duration_since(*sent)));
        since_answer.push(millis(at.saturating_duration_since(*answered)));
    }
    ask("work", since_sent.len().max(1), "watch, 1,000 watchers, an event").await;
    figure("watch, 1,000 watchers, events missed", (all - since_sent.len()) as f64, "");
    for (name, times) in [("after the answer", &mut since_answer), ("after sending", &mut since_sent)] {
        for percent in [50, 99] {
            let value = percentile(times, percent);
            figure(&format!("watch, 1,000 watchers, {name}, p{percent}"), value, "ms");
        }
    }
    Ok(())
}

async fn revision(client: &Client, path: &str) -> Result<String, Error> {
    let mut response = client.open(Method::GET, &format!("{path}?limit=1"), None).await?;
    let bytes = response.body_mut().collect().await?.to_bytes();
    let list: serde_json::Value = serde_json::from_slice(&bytes)?;
    Ok(list["metadata"]["resourceVersion"].as_str().ok_or("no revision")?.to_owned())
}

async fn listen(mut stream: hyper::Response<Incoming>, heard: mpsc::UnboundedSender<(usize, Instant)>) {
    while let Some(Ok(frame)) = stream.body_mut().frame().await {
        let at = Instant::now();
        let Ok(data) = frame.into_data() else { continue };
        for n in events(&data) {
            if heard.send((n, at)).is_err() {
                return;
            }
        }
    }
}

/// The numbers of the events in a piece of the stream. Events are far smaller than pieces may be.
fn events(data: &[u8]) -> impl Iterator<Item = usize> {
    let places = data.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    places.filter_map(|(at, _)| {
        std::str::from_utf8(data.get(at + MARK.len()..at + MARK.len() + 4)?).ok()?.parse().ok()
    })
}
