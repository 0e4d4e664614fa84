//! Operations that were cut off: what they left pending is marked as failed, and the next one goes on from there.

use crate::error::{Error, Result};
use crate::lock::{Lock, helm_at_work};
use crate::progress::{Progress, Tell};
use crate::record::{Release, Status};
use crate::releases::Releases;

impl Releases {
    /// The history, after a revision that a dead process left pending was marked as failed. Called with the lock held,
    /// so only Helm, which knows no locks, can still be at work on one.
    pub(crate) async fn healed(&self, name: &str, tell: Tell<'_>) -> Result<Vec<Release>> {
        let mut history = self.storage.history(name).await?;
        let pending = |release: &&mut Release| release.info.status.is_pending();
        if history.iter_mut().any(|release| pending(&release))
            && let Some(holder) = helm_at_work(name, &self.namespace)
        {
            return Err(Error::Busy { release: name.to_owned(), holder });
        }
        for release in history.iter_mut().filter(pending) {
            tell(Progress::TookOver { revision: release.version });
            self.fail(release, "Interrupted; the next operation took over").await?;
        }
        Ok(history)
    }

    /// Records that an operation of this process ends here, and lets the next one in. For Ctrl-C.
    pub async fn abandon(&self, name: &str) -> Result<()> {
        for mut release in self.storage.history(name).await? {
            if release.info.status.is_pending() {
                self.fail(&mut release, "Interrupted").await?;
            }
        }
        Lock::forget(self.client.clone(), &self.namespace, name).await
    }

    async fn fail(&self, release: &mut Release, description: &str) -> Result<()> {
        release.info.status = Status::Failed;
        release.info.description = description.to_owned();
        self.storage.update(release).await
    }
}
