//! An earlier revision again, as a new one.

use super::{Operation, choose};
use crate::error::{Error, Result};
use crate::manifest;
use crate::policy::Policy;
use crate::progress::{Progress, Tell};
use crate::record::{Release, Status};
use crate::releases::Releases;

impl Releases {
    /// Makes a new revision with the content of `revision`, or of the last good one before the newest.
    pub async fn rollback(
        &self,
        release: &str,
        revision: Option<u64>,
        policy: &Policy,
        tell: Tell<'_>,
    ) -> Result<Release> {
        let lock = self.lock(release).await?;
        let done = match Operation::begin(self, release, policy, tell).await {
            Ok(mut operation) => operation.roll_back(release, revision).await,
            Err(error) => Err(error),
        };
        lock.release().await;
        done
    }
}

/// The revision that a rollback means.
pub(crate) fn target<'h>(name: &str, history: &'h [Release], revision: Option<u64>) -> Result<&'h Release> {
    let newest = history.last().map_or(0, |release| release.version);
    match revision {
        Some(revision) => history
            .iter()
            .find(|release| release.version == revision)
            .ok_or_else(|| Error::NoRevision { release: name.into(), revision }),
        None => {
            let is_good = |release: &&Release| {
                release.version < newest
                    && matches!(
                        release.info.status,
                        Status::Superseded | Status::Deployed | Status::Uninstalled
                    )
            };
            let found = history.iter().rev().find(is_good);
            found.ok_or_else(|| Error::NoEarlierRevision { release: name.into() })
        }
    }
}

impl Operation<'_> {
    async fn roll_back(&mut self, name: &str, revision: Option<u64>) -> Result<Release> {
        if self.history.is_empty() {
            return Err(self.releases.no_release(name));
        }
        let target = target(name, &self.history, revision)?.clone();
        self.go_to(name, &target).await
    }

    /// Makes `target` the next revision.
    pub(crate) async fn go_to(&mut self, name: &str, target: &Release) -> Result<Release> {
        let mut release = self.releases.next(name, &self.history, Status::PendingRollback);
        become_like(&mut release, target);
        release.apply_method = choose(self.policy.apply, Some(target)).name().to_owned();
        (self.tell)(Progress::RollingBack { to: target.version });
        let new = manifest::objects(name, &release.manifest)?;
        match self.carry_out(&mut release, &new, "rollback").await {
            Ok(()) => Ok(release),
            Err(error) => Err(self.record_failure(release, error).await),
        }
    }
}

fn become_like(release: &mut Release, target: &Release) {
    release.chart = target.chart.clone();
    release.config = target.config.clone();
    release.manifest = target.manifest.clone();
    release.hooks = target.hooks.clone();
    release.labels = target.labels.clone();
    release.info.notes = target.info.notes.clone();
    release.info.rollback_revision = target.version;
    release.info.description = format!("Rollback to {}", target.version);
}
