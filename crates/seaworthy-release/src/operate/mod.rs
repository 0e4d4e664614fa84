//! The operations: each one is *record -> check -> apply -> wait -> record*, and may be cut off anywhere.
//!
//! [`Operation`] is the part that installs, upgrades and rollbacks share. Every operation holds the release's lock.

mod define;
mod heal;
mod install;
mod preview;
mod recover;
mod rollback;
mod test;
mod uninstall;

pub use test::{Filter, Tested};

use jiff::Timestamp;
use kube::api::PropagationPolicy;
use serde_json::Value;

use crate::apply::{Applier, Change, How, Method, Removed, Scaled};
use crate::error::{Error, Result};
use crate::hooks::Runner;
use crate::manifest::{self, Object};
use crate::plan::{self, Wanted};
use crate::policy::{Apply, Policy, Wait};
use crate::progress::{Progress, Tell};
use crate::ready::Rules;
use crate::record::{Info, Release, Status};
use crate::releases::Releases;
use crate::storage::SYSTEM_LABELS;
use crate::wait;

/// One operation on one release while it runs.
pub(crate) struct Operation<'a> {
    releases: &'a Releases,
    applier: Applier,
    /// Oldest first.
    history: Vec<Release>,
    policy: &'a Policy,
    tell: Tell<'a>,
    /// What it created, so that it can be cleaned up.
    created: Vec<Object>,
}

impl Releases {
    fn next(&self, name: &str, history: &[Release], status: Status) -> Release {
        let (now, newest) = (now(), history.last());
        let first = newest.map(|release| release.info.first_deployed.clone()).filter(|time| !time.is_empty());
        let info = Info {
            first_deployed: first.unwrap_or_else(|| now.clone()),
            last_deployed: now,
            description: match status {
                Status::PendingInstall => "Initial install underway".into(),
                _ => "Preparing upgrade".into(),
            },
            status,
            ..Info::default()
        };
        Release {
            name: name.to_owned(),
            info,
            chart: Value::Null,
            config: Value::Null,
            manifest: String::new(),
            hooks: Vec::new(),
            version: newest.map_or(1, |release| release.version + 1),
            namespace: self.namespace.clone(),
            apply_method: String::new(),
            labels: Default::default(),
            other: Default::default(),
        }
    }
}

impl<'a> Operation<'a> {
    pub async fn begin(
        releases: &'a Releases,
        name: &str,
        policy: &'a Policy,
        tell: Tell<'a>,
    ) -> Result<Self> {
        let history = releases.healed(name, tell).await?;
        Ok(Self { releases, applier: releases.applier(name), history, policy, tell, created: Vec::new() })
    }

    /// What may be in the cluster: the deployed revision and all that were tried after it.
    fn old_objects(&self) -> Result<Vec<Object>> {
        let deployed = self.history.iter().rposition(|release| release.info.status == Status::Deployed);
        let superseded = self.history.iter().rposition(|release| release.info.status == Status::Superseded);
        let from = deployed.or(superseded).unwrap_or(0);
        let applied =
            self.history[from..].iter().filter(|release| release.info.status != Status::Uninstalled);
        let objects = applied.map(|release| manifest::objects(&release.name, &release.manifest));
        Ok(manifest::joined(objects.collect::<Result<Vec<_>>>()?))
    }

    async fn how(&self, method: Method, objects: &[Object]) -> How {
        How {
            method,
            force_conflicts: self.policy.force_conflicts,
            force_replace: self.policy.force_replace,
            recreate: self.policy.recreate,
            dry_run: false,
            scaled: Scaled::find(&self.applier.client, &self.applier.namespace, objects).await,
        }
    }

    /// Records `release` as pending, makes the cluster match it, waits, and records the end.
    async fn carry_out(&mut self, release: &mut Release, new: &[Object], event: &str) -> Result<()> {
        let method = method_of(release);
        let (old, how) = (self.old_objects()?, self.how(method, new).await);
        self.check(release, &old, new, &how, event).await?;
        self.make_room().await?;
        self.releases.storage.create(release).await?;
        (self.tell)(Progress::Applying { revision: release.version, objects: new.len() });
        self.run_hooks(release, &how, &format!("pre-{event}")).await?;
        for object in new {
            self.put(object, &old, &how).await?;
        }
        for object in manifest::gone(&old, new) {
            let removed = self.applier.remove_own(object, PropagationPolicy::Background).await?;
            self.tell_left(object, &removed);
        }
        self.wait(new).await?;
        self.run_hooks(release, &how, &format!("post-{event}")).await?;
        self.settle(release, event).await
    }

    async fn put(&mut self, object: &Object, old: &[Object], how: &How) -> Result<()> {
        let original = old.iter().find(|old| old.is_same(object));
        match self.applier.put(object, original, how).await?.0 {
            Change::Created => self.created.push(object.clone()),
            Change::Recreated => (self.tell)(Progress::Recreated { object: object.title() }),
            Change::Updated => {}
        }
        Ok(())
    }

    /// Looks for what would fail. Hooks that run first may change that, so before them it is only told.
    async fn check(
        &mut self,
        release: &Release,
        old: &[Object],
        new: &[Object],
        how: &How,
        event: &str,
    ) -> Result<()> {
        let wanted = Wanted {
            old,
            new,
            definitions: &[],
            how,
            take_ownership: self.policy.take_ownership,
            makes_namespace: false,
        };
        let plan = plan::plan(&self.applier, &wanted).await?;
        let pre = format!("pre-{event}");
        let has_hooks = self.policy.hooks && release.hooks.iter().any(|hook| hook.runs_at(&pre));
        let (stopping, told): (Vec<_>, Vec<_>) = plan.findings.into_iter().partition(|finding| {
            let is_owned = matches!(finding.problem, plan::Problem::Owned { .. });
            finding.stops() && (is_owned || !has_hooks)
        });
        told.into_iter().for_each(|finding| (self.tell)(Progress::Found(finding)));
        match stopping.is_empty() {
            true => Ok(()),
            false => Err(Error::Blocked { release: release.name.clone(), found: stopping }),
        }
    }

    fn tell_left(&mut self, object: &Object, removed: &Removed) {
        let why = match removed {
            Removed::Deleted | Removed::Absent => return,
            Removed::Kept => "its resource policy says so".to_owned(),
            Removed::Foreign(owner) => format!("it belongs to {owner} by now"),
            Removed::InUse(objects) => {
                format!("{objects} objects of its kind exist, and would be deleted with it")
            }
        };
        (self.tell)(Progress::Left { object: object.title(), why });
    }

    async fn run_hooks(&mut self, release: &mut Release, how: &How, event: &str) -> Result<()> {
        if !self.policy.hooks {
            return Ok(());
        }
        let mut runner = Runner {
            applier: &self.applier,
            storage: &self.releases.storage,
            how,
            timeout: self.policy.timeout,
            tell: &mut *self.tell,
        };
        runner.run(release, event).await
    }

    async fn wait(&mut self, objects: &[Object]) -> Result<()> {
        let legacy = match self.policy.wait {
            Wait::Hooks => return Ok(()),
            Wait::Ready => false,
            Wait::Legacy => true,
        };
        let rules = Rules { jobs: self.policy.wait_for_jobs, legacy };
        wait::wait(&self.applier, objects, rules, self.policy.timeout, &mut *self.tell).await
    }

    /// The end of an operation that went well: the revision is deployed, and no other is.
    async fn settle(&mut self, release: &mut Release, event: &str) -> Result<()> {
        release.info.status = Status::Deployed;
        release.info.description = match (&self.policy.description, event) {
            (Some(description), _) => description.clone(),
            (None, "install") => "Install complete".into(),
            (None, "upgrade") => "Upgrade complete".into(),
            (None, _) => format!("Rollback to {}", release.info.rollback_revision),
        };
        for old in self.history.iter_mut().filter(|old| old.info.status == Status::Deployed) {
            old.info.status = Status::Superseded;
            self.releases.storage.update(old).await?;
        }
        self.releases.storage.update(release).await
    }

    /// Forgets the oldest revisions, so that the new one is within the limit. What is deployed is never forgotten.
    async fn make_room(&mut self) -> Result<()> {
        let max = self.policy.max_history;
        let mut too_many = match max {
            0 => 0,
            max => (self.history.len() + 1).saturating_sub(max),
        };
        let deployed = self.history.iter().rposition(|release| release.info.status == Status::Deployed);
        let mut kept = Vec::new();
        for (at, release) in std::mem::take(&mut self.history).into_iter().enumerate() {
            if too_many > 0 && Some(at) != deployed {
                self.releases.storage.delete(&release).await?;
                too_many -= 1;
            } else {
                kept.push(release);
            }
        }
        self.history = kept;
        Ok(())
    }
}

fn method_of(release: &Release) -> Method {
    if release.is_applied_by_server() { Method::Server } else { Method::Client }
}

/// Helm's rule: a new release is applied by the server; later revisions follow the one before them.
fn choose(apply: Apply, before: Option<&Release>) -> Method {
    match (apply, before) {
        (Apply::Server, _) | (Apply::AsBefore, None) => Method::Server,
        (Apply::Client, _) => Method::Client,
        (Apply::AsBefore, Some(before)) => method_of(before),
    }
}

/// The labels of a new revision: those of the one before it, changed as asked; `null` takes one away.
fn labels(
    before: Option<&Release>,
    asked: &std::collections::BTreeMap<String, String>,
) -> Result<std::collections::BTreeMap<String, String>> {
    if let Some(label) = asked.keys().find(|label| SYSTEM_LABELS.contains(&label.as_str())) {
        return Err(Error::SystemLabel { label: label.clone() });
    }
    let mut labels = before.map(|release| release.labels.clone()).unwrap_or_default();
    labels.extend(asked.clone());
    labels.retain(|_, value| value != "null");
    Ok(labels)
}

fn now() -> String {
    Timestamp::now().to_string()
}
