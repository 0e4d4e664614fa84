//! Hooks: objects that run at a moment of a release's life and are no part of it.
//!
//! In Helm's order: by weight, then name, then kind as objects are installed (which is how they are recorded); each
//! must succeed before the next one. When each began and how it ended is recorded in the release as Helm does. One
//! that fails says why in its own words: its last log lines are in the error.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PropagationPolicy};

use crate::apply::{Applier, How};
use crate::diagnose::{self, LogOf};
use crate::error::{Error, Result};
use crate::manifest::{Object, objects};
use crate::progress::Progress;
use crate::ready::{Readiness, readiness};
use crate::record::{Hook, LastRun, Release};
use crate::storage::Storage;

const POLL: Duration = Duration::from_millis(200);
const BEFORE_CREATION: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";

/// What running hooks takes.
pub(crate) struct Runner<'a> {
    pub applier: &'a Applier,
    pub storage: &'a Storage,
    pub how: &'a How,
    pub timeout: Duration,
    pub tell: &'a mut (dyn FnMut(Progress) + Send),
}

/// The hooks of an event, as indices in order. The sort is stable: equals keep their recorded order.
pub(crate) fn in_order(hooks: &[Hook], event: &str) -> Vec<usize> {
    let mut due: Vec<usize> = (0..hooks.len()).filter(|&at| hooks[at].runs_at(event)).collect();
    due.sort_by(|&a, &b| (hooks[a].weight, &hooks[a].name).cmp(&(hooks[b].weight, &hooks[b].name)));
    due
}

impl Runner<'_> {
    /// Runs the hooks of `release` for `event` (`pre-install`, `post-upgrade`, ...), and cleans up as their policies say.
    pub async fn run(&mut self, release: &mut Release, event: &str) -> Result<()> {
        let due = in_order(&release.hooks, event);
        let ended = self.start(release, event, &due).await;
        let cleaned = self.clean_up(release, &due, ended.as_ref().err().map(|(at, _)| *at)).await;
        // Why a hook failed matters more than that it could not be deleted.
        ended.map_err(|(_, error)| error)?;
        cleaned
    }

    /// Runs the hooks at `due`, one after the other. The error says at which of them it ended.
    pub async fn start(
        &mut self,
        release: &mut Release,
        event: &str,
        due: &[usize],
    ) -> std::result::Result<(), (usize, Error)> {
        for (position, &at) in due.iter().enumerate() {
            if release.hooks[at].delete_policies.is_empty() {
                release.hooks[at].delete_policies = vec![BEFORE_CREATION.to_owned()];
            }
            let ended = self.run_one(release, event, at).await;
            let hook = &mut release.hooks[at];
            hook.last_run.completed_at = now();
            hook.last_run.phase = if ended.is_ok() { "Succeeded" } else { "Failed" }.to_owned();
            ended.map_err(|error| (position, error))?;
        }
        Ok(())
    }

    /// Deletes what is to go after its end: of a failed hook, and of those that succeeded.
    pub async fn clean_up(&mut self, release: &Release, due: &[usize], failed: Option<usize>) -> Result<()> {
        for (position, &at) in due.iter().enumerate().rev() {
            let hook = &release.hooks[at];
            let policy = match failed {
                Some(failed) if position > failed => continue,
                Some(failed) if position == failed => FAILED,
                _ => SUCCEEDED,
            };
            if policy == SUCCEEDED && hook.output_log_policies.iter().any(|name| name == SUCCEEDED) {
                self.show_log(release, hook).await?;
            }
            self.delete_by(release, hook, policy).await?;
        }
        Ok(())
    }

    async fn run_one(&mut self, release: &mut Release, event: &str, at: usize) -> Result<()> {
        let hook = release.hooks[at].clone();
        self.delete_by(release, &hook, BEFORE_CREATION).await?;
        release.hooks[at].last_run =
            LastRun { started_at: now(), phase: "Running".into(), ..LastRun::default() };
        self.storage.update(release).await?;
        for mut object in objects(&release.name, &hook.manifest)? {
            object.source_file.clone_from(&hook.path);
            (self.tell)(Progress::Hook { event: event.to_owned(), object: object.title() });
            self.applier.put_hook(&object, self.how).await?;
            let Err(why) = self.succeeded(&object).await? else { continue };
            let shown = hook.output_log_policies.iter().any(|name| name == FAILED);
            if shown {
                self.show_log(release, &hook).await?;
            }
            let why = self.in_its_words(&object, why).await;
            let place = object.place();
            return Err(Error::Hook { event: event.to_owned(), object: object.title(), place, why });
        }
        Ok(())
    }

    async fn in_its_words(&self, object: &Object, why: String) -> String {
        let Some(selector) = Applier::pods_of_hook(object) else { return why };
        let namespace = object.namespace().unwrap_or(&self.applier.namespace);
        let lines = diagnose::logs_of(&self.applier.client, namespace, &selector, LogOf::End).await;
        lines.iter().fold(why, |text, line| format!("{text}\n      log | {}", line.text))
    }

    /// Everything a hook has written, because its chart asks for it.
    async fn show_log(&mut self, release: &Release, hook: &Hook) -> Result<()> {
        for object in objects(&release.name, &hook.manifest)? {
            let Some(selector) = Applier::pods_of_hook(&object) else { continue };
            let namespace = object.namespace().unwrap_or(&self.applier.namespace);
            let lines = diagnose::logs_of(&self.applier.client, namespace, &selector, LogOf::All).await;
            (self.tell)(Progress::HookLog { object: object.title(), lines });
        }
        Ok(())
    }

    async fn delete_by(&self, release: &Release, hook: &Hook, policy: &str) -> Result<()> {
        // A definition would take all its objects along.
        if hook.kind == "CustomResourceDefinition" || !hook.delete_policies.iter().any(|name| name == policy)
        {
            return Ok(());
        }
        for object in objects(&release.name, &hook.manifest)? {
            if !object.name().is_empty()
                && self.applier.delete(&object, PropagationPolicy::Background).await?
            {
                self.applier.wait_until_gone(&object, self.timeout).await?;
            }
        }
        Ok(())
    }

    /// Jobs and Pods must end well; everything else is done when it exists. The inner error says why it did not.
    async fn succeeded(&self, object: &Object) -> Result<std::result::Result<(), String>> {
        if !matches!(object.kind(), "Job" | "Pod") || object.name().is_empty() {
            return Ok(Ok(()));
        }
        let api = self.applier.api(object).await?;
        let done = async {
            loop {
                if let Ok(found) = api.get(object.name()).await {
                    let value = self.applier.as_value(object, &found);
                    match (readiness(&value), object.kind()) {
                        (Readiness::Failed(why), _) => return Err(why),
                        (Readiness::Ready, "Job") => return Ok(()),
                        (Readiness::Ready, _) if value["status"]["phase"] == "Succeeded" => return Ok(()),
                        _ => {}
                    }
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(self.timeout, done).await {
            Ok(ended) => Ok(ended),
            Err(_) => Ok(Err(self.what_keeps(object).await)),
        }
    }

    async fn what_keeps(&self, object: &Object) -> String {
        let late = format!("not done after {} s", self.timeout.as_secs());
        let namespace = object.namespace().unwrap_or(&self.applier.namespace);
        let pods: Api<Pod> = Api::namespaced(self.applier.client.clone(), namespace);
        let Some(selector) = Applier::pods_of_hook(object) else { return late };
        let found = pods.list(&selector).await.map(|list| list.items).unwrap_or_default();
        match diagnose::trouble(&found, false, Timestamp::now()) {
            Some(trouble) => format!("{late}; pod {}: {}", trouble.pod, trouble.why),
            None => late,
        }
    }
}

fn now() -> String {
    Timestamp::now().to_string()
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
            .map(|&at| format!("{}/{}", hooks[at].kind, hooks[at].name))
            .collect();
        assert_eq!(order, ["Job/m", "ConfigMap/a", "Job/a", "ConfigMap/z", "Secret/a"]);
        assert!(in_order(&hooks, "post-install").is_empty());
    }
}
