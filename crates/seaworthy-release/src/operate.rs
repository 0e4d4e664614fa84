//! The operations: each one is *record -> check -> apply -> wait -> record*, and may be cut off anywhere.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use serde_json::Value;

use crate::apply::Applier;
use crate::error::{Error, Result};
use crate::hooks;
use crate::lock::Lock;
use crate::manifest::{self, Object};
use crate::record::{Hook, Info, Release, Status};
use crate::storage::Storage;
use crate::wait::{self, Progress};

/// Revisions kept, as Helm keeps them by default.
const MAX_HISTORY: usize = 10;

/// A rendered chart, ready to become a revision.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// As Helm serialises a chart: `metadata`, `templates`, `values`, `schema`, `files`.
    pub chart: Value,
    /// Values on top of the chart's own.
    pub config: Value,
    pub manifest: String,
    pub hooks: Vec<Hook>,
    pub notes: String,
}

/// How an operation behaves.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long to wait for readiness.
    pub timeout: Duration,
    /// Go back to the last good revision when an upgrade fails; remove the objects when a first install does.
    pub rollback_on_failure: bool,
    /// Take fields over that another manager set, for example `kubectl scale`.
    pub force_conflicts: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), rollback_on_failure: true, force_conflicts: true }
    }
}

/// A recorded revision, and whether anything had to change.
#[derive(Debug, Clone)]
pub struct Done {
    pub release: Release,
    pub changed: bool,
}

/// The releases of one namespace. Cheap to clone.
#[derive(Clone)]
pub struct Releases {
    client: Client,
    namespace: String,
    storage: Storage,
}

type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

impl Releases {
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        Self { storage: Storage::new(client.clone(), &namespace), client, namespace }
    }

    /// All revisions of `release`, oldest first.
    pub async fn history(&self, release: &str) -> Result<Vec<Release>> {
        self.storage.history(release).await
    }

    /// The newest revision of every release.
    pub async fn list(&self) -> Result<Vec<Release>> {
        let mut newest = std::collections::BTreeMap::new();
        for release in self.storage.all().await? {
            newest.insert(release.name.clone(), release);
        }
        Ok(newest.into_values().collect())
    }

    /// Installs `package` as `release`, or upgrades it. Nothing is recorded when nothing would change and all is ready.
    pub async fn install_or_upgrade(
        &self,
        release: &str,
        package: Package,
        policy: Policy,
        tell: Tell<'_>,
    ) -> Result<Done> {
        let lock = self.lock(release).await?;
        let done = self.put(release, package, policy, tell).await;
        lock.release().await;
        done
    }

    /// Makes a new revision with the content of `revision`, or of the last good one before the newest.
    pub async fn rollback(
        &self,
        release: &str,
        revision: Option<u64>,
        policy: Policy,
        tell: Tell<'_>,
    ) -> Result<Release> {
        let lock = self.lock(release).await?;
        let done = self.go_back(release, revision, policy, tell).await;
        lock.release().await;
        done
    }

    /// Removes the objects and the history of `release`. Volumes stay: Kubernetes keeps claims of StatefulSets.
    pub async fn uninstall(&self, release: &str, policy: Policy) -> Result<()> {
        let lock = self.lock(release).await?;
        let done = self.remove(release, policy).await;
        lock.release().await;
        done
    }

    async fn lock(&self, release: &str) -> Result<Lock> {
        Lock::take(self.client.clone(), &self.namespace, release).await
    }

    fn applier(&self, release: &str) -> Applier {
        Applier::new(self.client.clone(), release, &self.namespace)
    }

    async fn put(&self, name: &str, package: Package, policy: Policy, tell: Tell<'_>) -> Result<Done> {
        let history = self.healed(name, tell).await?;
        let deployed = history.iter().rev().find(|release| release.info.status == Status::Deployed);
        if let Some(same) =
            deployed.filter(|deployed| is_same(deployed, &package) && is_newest(deployed, &history))
        {
            let objects = manifest::objects(name, &same.manifest)?;
            self.wait(name, &objects, policy, tell).await?;
            return Ok(Done { release: same.clone(), changed: false });
        }
        let status = if history.is_empty() { Status::PendingInstall } else { Status::PendingUpgrade };
        let mut release = self.next(name, &history, status);
        release.chart = package.chart;
        release.config = package.config;
        release.manifest = package.manifest;
        release.hooks = package.hooks;
        release.info.notes = package.notes;
        let event = if history.is_empty() { "install" } else { "upgrade" };
        let target = deployed.cloned();
        match self.carry_out(&mut release, &history, event, policy, tell).await {
            Ok(()) => Ok(Done { release, changed: true }),
            Err(error) => Err(self.recover(release, target, error, policy, tell).await),
        }
    }

    async fn go_back(
        &self,
        name: &str,
        revision: Option<u64>,
        policy: Policy,
        tell: Tell<'_>,
    ) -> Result<Release> {
        let history = self.healed(name, tell).await?;
        let newest = history.last().ok_or_else(|| self.no_release(name))?;
        let target = match revision {
            Some(revision) => history
                .iter()
                .find(|release| release.version == revision)
                .ok_or_else(|| Error::NoRevision { release: name.into(), revision })?,
            None => {
                let is_good = |release: &&Release| {
                    release.version < newest.version
                        && matches!(release.info.status, Status::Superseded | Status::Deployed)
                };
                history
                    .iter()
                    .rev()
                    .find(is_good)
                    .ok_or_else(|| Error::NoEarlierRevision { release: name.into() })?
            }
        };
        let mut release = self.next(name, &history, Status::PendingRollback);
        become_like(&mut release, target);
        tell(Progress::RollingBack { to: target.version });
        match self.carry_out(&mut release, &history, "rollback", policy, tell).await {
            Ok(()) => Ok(release),
            Err(error) => Err(self
                .recover(release, None, error, Policy { rollback_on_failure: false, ..policy }, tell)
                .await),
        }
    }

    async fn remove(&self, name: &str, policy: Policy) -> Result<()> {
        let mut history = self.storage.history(name).await?;
        let newest = history.last_mut().ok_or_else(|| self.no_release(name))?;
        newest.info.status = Status::Uninstalling;
        newest.info.deleted = now();
        self.storage.update(newest).await?;
        let applier = self.applier(name);
        hooks::run(&applier, newest, "pre-delete", policy.timeout).await?;
        let objects = manifest::objects(name, &newest.manifest)?;
        for object in manifest::gone(&objects, &[]) {
            applier.delete_own(object).await?;
        }
        hooks::run(&applier, newest, "post-delete", policy.timeout).await?;
        for release in &history {
            self.storage.delete(release).await?;
        }
        Ok(())
    }

    /// The history, after a revision that a dead process left pending was marked as failed.
    async fn healed(&self, name: &str, tell: Tell<'_>) -> Result<Vec<Release>> {
        let mut history = self.storage.history(name).await?;
        for release in history.iter_mut().filter(|release| release.info.status.is_pending()) {
            tell(Progress::TookOver { revision: release.version });
            release.info.status = Status::Failed;
            release.info.description = "Interrupted; the next operation took over".into();
            self.storage.update(release).await?;
        }
        Ok(history)
    }

    fn next(&self, name: &str, history: &[Release], status: Status) -> Release {
        let (now, newest) = (now(), history.last());
        let first = newest.map(|release| release.info.first_deployed.clone()).filter(|time| !time.is_empty());
        let info = Info {
            first_deployed: first.unwrap_or_else(|| now.clone()),
            last_deployed: now,
            description: "Initial install underway".into(),
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
            apply_method: "ssa".into(),
            other: Default::default(),
        }
    }

    /// Records `release` as pending, makes the cluster match it, waits, and records the end.
    async fn carry_out(
        &self,
        release: &mut Release,
        history: &[Release],
        event: &str,
        policy: Policy,
        tell: Tell<'_>,
    ) -> Result<()> {
        let applier = self.applier(&release.name);
        let new = manifest::objects(&release.name, &release.manifest)?;
        // What may be in the cluster: the newest revision that was applied, finished or not.
        let old = match history.last() {
            Some(newest) => manifest::objects(&release.name, &newest.manifest)?,
            None => Vec::new(),
        };
        let added: Vec<Object> =
            new.iter().filter(|object| !old.iter().any(|old| old.is_same(object))).cloned().collect();
        applier.check_ownership(&added).await?;
        self.storage.create(release).await?;
        tell(Progress::Applying { revision: release.version, objects: new.len() });
        hooks::run(&applier, release, &format!("pre-{event}"), policy.timeout).await?;
        for object in &new {
            applier.apply(object, policy.force_conflicts).await?;
        }
        for object in manifest::gone(&old, &new) {
            applier.delete_own(object).await?;
        }
        self.wait(&release.name, &new, policy, tell).await?;
        hooks::run(&applier, release, &format!("post-{event}"), policy.timeout).await?;
        release.info.status = Status::Deployed;
        release.info.description = match event {
            "install" => "Install complete".into(),
            "upgrade" => "Upgrade complete".into(),
            _ => format!("Rollback to {}", release.info.rollback_revision),
        };
        self.storage.update(release).await?;
        self.retire(history).await
    }

    /// Supersedes what was deployed, and forgets what is too old.
    async fn retire(&self, history: &[Release]) -> Result<()> {
        for release in history.iter().filter(|release| release.info.status == Status::Deployed) {
            let mut release = release.clone();
            release.info.status = Status::Superseded;
            self.storage.update(&release).await?;
        }
        let too_many = (history.len() + 1).saturating_sub(MAX_HISTORY);
        for release in &history[..too_many] {
            self.storage.delete(release).await?;
        }
        Ok(())
    }

    async fn wait(&self, name: &str, objects: &[Object], policy: Policy, tell: Tell<'_>) -> Result<()> {
        wait::wait(&self.client, &self.applier(name), &self.namespace, objects, policy.timeout, tell).await
    }

    /// Records the failure, undoes what was done where that is wanted, and says how it ended.
    async fn recover(
        &self,
        mut failed: Release,
        target: Option<Release>,
        error: Error,
        policy: Policy,
        tell: Tell<'_>,
    ) -> Error {
        // Nothing was recorded or applied yet: there is nothing to undo.
        if matches!(error, Error::Owned { .. } | Error::NoSuchKind { .. } | Error::Manifest { .. }) {
            return error;
        }
        failed.info.status = Status::Failed;
        failed.info.description = summary(&error);
        let recorded = self.storage.update(&failed).await;
        let undone = match (&recorded, policy.rollback_on_failure, target) {
            (Err(_), _, _) | (_, false, _) => Ok("what was applied stays as it is".to_owned()),
            (Ok(()), true, Some(target)) => {
                let back = Box::pin(self.go_back(
                    &failed.name,
                    Some(target.version),
                    Policy { rollback_on_failure: false, ..policy },
                    tell,
                ))
                .await;
                back.map(|_| format!("rolled back to revision {}", target.version))
            }
            (Ok(()), true, None) => self.withdraw(&failed).await,
        };
        let outcome = match undone {
            Ok(outcome) => outcome,
            Err(second) => format!("and it could not be undone: {second}"),
        };
        Error::Failed { release: failed.name, revision: failed.version, outcome, source: Box::new(error) }
    }

    /// Takes the objects of a first install away again; the failed revision stays in the history.
    async fn withdraw(&self, failed: &Release) -> Result<String> {
        let applier = self.applier(&failed.name);
        let objects = manifest::objects(&failed.name, &failed.manifest)?;
        for object in manifest::gone(&objects, &[]) {
            applier.delete_own(object).await?;
        }
        Ok("it was the first one, so its objects were removed again (volumes are kept)".into())
    }

    fn no_release(&self, name: &str) -> Error {
        Error::NoRelease { release: name.to_owned(), namespace: self.namespace.clone() }
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}

fn is_same(deployed: &Release, package: &Package) -> bool {
    deployed.manifest == package.manifest && deployed.config == package.config
}

fn is_newest(release: &Release, history: &[Release]) -> bool {
    history.last().is_some_and(|newest| newest.version == release.version)
}

fn become_like(release: &mut Release, target: &Release) {
    release.chart = target.chart.clone();
    release.config = target.config.clone();
    release.manifest = target.manifest.clone();
    release.hooks = target.hooks.clone();
    release.info.notes = target.info.notes.clone();
    release.info.rollback_revision = target.version;
    release.info.description = format!("Rollback to {}", target.version);
}

/// One line for the history.
fn summary(error: &Error) -> String {
    let text = error.to_string();
    text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ")
}
