//! Hooks: objects that run at a moment of a release's life and are no part of it.
//!
//! In Helm's order: by weight, then name, then kind as objects are installed (which is how they are recorded); each
//! must succeed before the next one. One that fails says why in its own words: its last log lines are in the error.

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
    for hook in in_order(&release.hooks, event) {
        for object in objects(&release.name, &hook.manifest)? {
            run_one(applier, hook, &object, timeout).await?;
        }
    }
    Ok(())
}

/// The hooks of an event. The sort is stable: equals keep their recorded order.
fn in_order<'a>(hooks: &'a [Hook], event: &str) -> Vec<&'a Hook> {
    let mut due: Vec<&Hook> =
        hooks.iter().filter(|hook| hook.events.iter().any(|name| name == event)).collect();
    due.sort_by(|a, b| (a.weight, &a.name).cmp(&(b.weight, &b.name)));
    due
}

async fn run_one(applier: &Applier, hook: &Hook, object: &Object, timeout: Duration) -> Result<()> {
    let has = |policy: &str| hook.delete_policies.iter().any(|name| name == policy);
    if hook.delete_policies.is_empty() || has(BEFORE_CREATION) {
        delete_and_wait(applier, object, timeout).await?;
    }
    applier.create(object).await?;
    let ended = match succeeded(applier, object, timeout).await {
        Err(Error::Hook { object: title, why }) => {
            Err(Error::Hook { object: title, why: with_log(why, &applier.logs(object).await) })
        }
        ended => ended,
    };
    if has(if ended.is_ok() { SUCCEEDED } else { FAILED }) {
        applier.delete(object).await?;
    }
    ended
}

fn with_log(why: String, lines: &[String]) -> String {
    lines.iter().fold(why, |text, line| format!("{text}\n      log | {line}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str, kind: &str, weight: i64) -> Hook {
        serde_json::from_value(
            serde_json::json!({ "name": name, "kind": kind, "weight": weight, "events": ["pre-install"] }),
        )
        .unwrap()
    }

    #[test]
    fn weight_decides_then_the_name_and_kinds_only_keep_their_order() {
        let hooks = [
            hook("z", "ConfigMap", 0),
            hook("a", "Secret", 5),
            hook("a", "ConfigMap", 0),
            hook("a", "Job", 0),
            hook("m", "Job", -1),
        ];
        let order: Vec<String> = in_order(&hooks, "pre-install")
            .iter()
            .map(|hook| format!("{}/{}", hook.kind, hook.name))
            .collect();
        assert_eq!(order, ["Job/m", "ConfigMap/a", "Job/a", "ConfigMap/z", "Secret/a"]);
        assert!(in_order(&hooks, "post-install").is_empty());
    }

    #[test]
    fn a_failed_hook_shows_its_last_lines() {
        assert_eq!(
            with_log("it failed".into(), &["no such table".into()]),
            "it failed\n      log | no such table"
        );
    }
}
