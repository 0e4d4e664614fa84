//! Events are news, not records: they are removed an hour after they last happened.
//!
//! One task per API, which ends with it. Nothing else expires.

use std::sync::{Arc, Weak};
use std::time::Duration;

use drydock_store::{Expect, List, Txn};
use jiff::Timestamp;
use serde_json::Value;

use crate::server::Server;
use crate::stored;

const EVENTS: &str = "core/events/";
const LIFETIME_S: i64 = 3600;
const ROUND: Duration = Duration::from_secs(300);

/// Starts the task. It holds the server only while it works.
pub(crate) fn start(server: &Arc<Server>) {
    let (server, shutdown): (Weak<Server>, _) = (Arc::downgrade(server), server.shutdown.clone());
    tokio::spawn(async move {
        while shutdown.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_some() {
            let Some(server) = server.upgrade() else { return };
            remove_old(&server).await;
        }
    });
}

async fn remove_old(server: &Server) {
    let page = server.store.list(List { prefix: EVENTS, ..List::default() });
    for item in page.map(|page| page.items).unwrap_or_default() {
        let old = stored::decode(&item.entry).is_ok_and(|event| is_old(&event.value, server.now()));
        // At its revision only: an event that happens again meanwhile stays.
        let txn = Txn::new().delete(item.key, Expect::At(item.entry.revision));
        if old && let Err(error) = server.store.write(txn).await {
            tracing::debug!(%error, "an old event was not removed");
        }
    }
}

fn is_old(event: &Value, now: Timestamp) -> bool {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let times =
        times.iter().filter_map(|pointer| event.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok());
    times.max().is_some_and(|last| now.as_second() - last.as_second() > LIFETIME_S)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(event: Value, expect: bool) {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(is_old(&event, now), expect, "{event}");
    }

    #[test]
    fn an_event_is_as_old_as_its_last_occurrence() {
        let created = json!({ "creationTimestamp": "2026-01-01T08:00:00Z" });
        check(json!({ "metadata": created }), true);
        check(json!({ "metadata": created, "lastTimestamp": "2026-01-01T11:30:00Z" }), false);
        check(
            json!({ "metadata": created, "lastTimestamp": null, "eventTime": "2026-01-01T10:00:00.5Z" }),
            true,
        );
    }

    #[test]
    fn an_event_without_any_time_stays() {
        check(json!({}), false);
    }
}
