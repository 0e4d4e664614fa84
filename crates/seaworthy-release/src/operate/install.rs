//! A rendered chart becomes the next revision: the first one, or one more.

use super::{Operation, choose, labels};
use crate::error::{Error, Result};
use crate::manifest;
use crate::policy::Policy;
use crate::progress::Tell;
use crate::record::{Release, Status};
use crate::releases::{Done, Package, Releases};

/// What is expected of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Nothing, or nothing that was ever deployed.
    New,
    Existing,
    Either,
}

impl Releases {
    /// Installs `package` under a name that is free: never used, uninstalled, or only ever failed.
    pub async fn install(
        &self,
        release: &str,
        package: Package,
        policy: &Policy,
        tell: Tell<'_>,
    ) -> Result<Release> {
        Ok(self.put(release, package, Expect::New, policy, tell).await?.release)
    }

    /// Makes `package` the next revision of a release.
    pub async fn upgrade(
        &self,
        release: &str,
        package: Package,
        policy: &Policy,
        tell: Tell<'_>,
    ) -> Result<Done> {
        self.put(release, package, Expect::Existing, policy, tell).await
    }

    /// Whichever of both is due. With [`Policy::skip_unchanged`] nothing is recorded when nothing would change.
    pub async fn install_or_upgrade(
        &self,
        release: &str,
        package: Package,
        policy: &Policy,
        tell: Tell<'_>,
    ) -> Result<Done> {
        self.put(release, package, Expect::Either, policy, tell).await
    }

    async fn put(
        &self,
        name: &str,
        package: Package,
        expect: Expect,
        policy: &Policy,
        tell: Tell<'_>,
    ) -> Result<Done> {
        let lock = self.lock(name).await?;
        let done = match Operation::begin(self, name, policy, tell).await {
            Ok(mut operation) => operation.put_package(name, package, expect).await,
            Err(error) => Err(error),
        };
        lock.release().await;
        done
    }
}

/// Whether an install may take the name: it runs nothing that ever worked.
pub(crate) fn is_free(history: &[Release]) -> bool {
    let is_gone = history.last().is_some_and(|newest| newest.info.status == Status::Uninstalled);
    is_gone || history.iter().all(|release| release.info.status == Status::Failed)
}

/// No values are stored as none at all.
fn is_same_config(stored: &serde_json::Value, wanted: &serde_json::Value) -> bool {
    let is_empty = |values: &serde_json::Value| values.as_object().is_none_or(serde_json::Map::is_empty);
    stored == wanted || (is_empty(stored) && is_empty(wanted))
}

impl Operation<'_> {
    async fn put_package(&mut self, name: &str, package: Package, expect: Expect) -> Result<Done> {
        let is_free = is_free(&self.history);
        match (expect, self.history.last()) {
            (Expect::Existing, None) => return Err(self.releases.no_release(name)),
            (Expect::Existing, Some(newest)) if newest.info.status == Status::Uninstalled => {
                return Err(self.releases.no_release(name));
            }
            (Expect::New, Some(newest)) if !is_free => {
                return Err(Error::NameInUse {
                    release: name.to_owned(),
                    namespace: self.releases.namespace.clone(),
                    revision: newest.version,
                    status: newest.info.status.name(),
                });
            }
            _ => {}
        }
        let new = manifest::placed(name, &package.manifest, &package.templates)?;
        if let Some(same) = self.unchanged(&package) {
            self.wait(&new).await?;
            return Ok(Done { release: same, changed: false });
        }
        let is_install = is_free && expect != Expect::Existing;
        let status = if is_install { Status::PendingInstall } else { Status::PendingUpgrade };
        let mut release = self.releases.next(name, &self.history, status);
        let before = self.history.last().filter(|before| before.info.status != Status::Uninstalled);
        release.apply_method = choose(self.policy.apply, before).name().to_owned();
        release.labels = labels(before, &self.policy.labels)?;
        release.chart = package.chart;
        release.config = package.config;
        release.manifest = package.manifest;
        release.hooks = package.hooks;
        release.info.notes = package.notes;
        let event = if is_install { "install" } else { "upgrade" };
        match self.carry_out(&mut release, &new, event).await {
            Ok(()) => Ok(Done { release, changed: true }),
            Err(error) => Err(self.recover(release, error).await),
        }
    }

    /// The deployed revision, when it is the newest and is all that `package` wants.
    fn unchanged(&self, package: &Package) -> Option<Release> {
        let newest = self.history.last().filter(|_| self.policy.skip_unchanged)?;
        let is_same = newest.info.status == Status::Deployed
            && newest.manifest == package.manifest
            && is_same_config(&newest.config, &package.config);
        is_same.then(|| newest.clone())
    }
}
