//! Hooks: objects that run at a moment of a release's life and are no part of it.
//!
//! In Helm's order: by weight, then kind, then name; each must succeed before the next one.

use std::time::Duration;

use crate::apply::Applier;
use crate::error::{Error, Result};
use crate::manifest::{Object, objects};
use crate::ready::{Readiness, readiness};
use crate::record::{Hook, Release};

const POLL: Duration = Duration::from_millis(200);
const BEFORE_CREATION: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";

/// Runs the hooks of `release` for `event` (`pre-install`, `post-upgrade`, ...), waiting at most `timeout` for each.
pub(crate) async fn run(applier: &Applier, release: &Release, event: &str, timeout: Duration) -> Result<()> {
    let mut hooks: Vec<&Hook> =
        release.hooks.iter().filter(|hook| hook.events.iter().any(|name| name == event)).collect();
    hooks.sort_by(|a, b| (a.weight, &a.kind, &a.name).cmp(&(b.weight, &b.kind, &b.name)));
    for hook in hooks {
        for object in objects(&release.name, &hook.manifest)? {
            run_one(applier, hook, &object, timeout).await?;
        }
    }
    Ok(())
}

async fn run_one(applier: &Applier, hook: &Hook, object: &Object, timeout: Duration) -> Result<()> {
    let has = |policy: &str| hook.delete_policies.iter().any(|name| name == policy);
    if hook.delete_policies.is_empty() || has(BEFORE_CREATION) {
        delete_and_wait(applier, object, timeout).await?;
    }
    applier.create(object).await?;
    let ended = succeeded(applier, object, timeout).await;
    if has(if ended.is_ok() { SUCCEEDED } else { FAILED }) {
        applier.delete(object).await?;
    }
    ended
}

async fn delete_and_wait(applier: &Applier, object: &Object, timeout: Duration) -> Result<()> {
    if !applier.delete(object).await? {
        return Ok(());
    }
    let api = applier.api(object).await?;
    let gone = async {
        while matches!(api.get_metadata_opt(object.name()).await, Ok(Some(_))) {
            tokio::time::sleep(POLL).await;
        }
    };
    let late = |_| Error::Hook { object: object.title(), why: "the one before it is not gone yet".into() };
    tokio::time::timeout(timeout, gone).await.map_err(late)
}

/// Jobs and Pods must end well; everything else is done when it exists.
async fn succeeded(applier: &Applier, object: &Object, timeout: Duration) -> Result<()> {
    if !matches!(object.kind(), "Job" | "Pod") {
        return Ok(());
    }
    let failed = |why: String| Error::Hook { object: object.title(), why };
    let api = applier.api(object).await?;
    let done = async {
        loop {
            if let Ok(found) = api.get(object.name()).await {
                let value = serde_json::to_value(&found).unwrap_or_default();
                match (readiness(&value), object.kind()) {
                    (Readiness::Failed(why), _) => return Err(failed(why)),
                    (Readiness::Ready, "Job") => return Ok(()),
                    (Readiness::Ready, _) if value["status"]["phase"] == "Succeeded" => return Ok(()),
                    _ => {}
                }
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(timeout, done).await {
        Ok(ended) => ended,
        Err(_) => Err(failed(format!("not done after {} s", timeout.as_secs()))),
    }
}
