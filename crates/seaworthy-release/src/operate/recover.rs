//! After a failure: it is recorded, and undone where that is wanted.

use kube::api::PropagationPolicy;

use super::Operation;
use crate::error::{Error, Result};
use crate::manifest;
use crate::record::{Release, Status};

impl Operation<'_> {
    /// Records the failure, undoes what was done where that is wanted, and says how it ended.
    pub(super) async fn recover(&mut self, failed: Release, error: Error) -> Error {
        if was_nothing_done(&error) {
            return error;
        }
        let (failed, recorded) = self.mark_failed(failed, &error).await;
        let undone = match recorded {
            Ok(()) => self.undo(&failed).await,
            Err(_) => Ok("what was applied stays as it is".to_owned()),
        };
        let outcome = undone.unwrap_or_else(|second| format!("and it could not be undone: {second}"));
        Error::Failed { release: failed.name, revision: failed.version, outcome, source: Box::new(error) }
    }

    /// The same for a failed rollback, which is not undone.
    pub(super) async fn record_failure(&mut self, failed: Release, error: Error) -> Error {
        if was_nothing_done(&error) {
            return error;
        }
        let (failed, _) = self.mark_failed(failed, &error).await;
        let cleaned = self.clean_up().await;
        let outcome = match cleaned {
            Ok(Some(cleaned)) => cleaned,
            Ok(None) => "what was applied stays as it is".to_owned(),
            Err(second) => format!("and it could not be cleaned up: {second}"),
        };
        Error::Failed { release: failed.name, revision: failed.version, outcome, source: Box::new(error) }
    }

    async fn mark_failed(&self, mut failed: Release, error: &Error) -> (Release, Result<()>) {
        failed.info.status = Status::Failed;
        failed.info.description = summary(&failed, error);
        let recorded = self.releases.storage.update(&failed).await;
        if let Err(error) = &recorded {
            tracing::warn!(%error, "the failure could not be recorded");
        }
        (failed, recorded)
    }

    async fn undo(&mut self, failed: &Release) -> Result<String> {
        let cleaned = self.clean_up().await?;
        if !self.policy.rollback_on_failure {
            return Ok(cleaned.unwrap_or_else(|| "what was applied stays as it is".to_owned()));
        }
        let is_good =
            |release: &&Release| matches!(release.info.status, Status::Deployed | Status::Superseded);
        let Some(target) = self.history.iter().rev().find(is_good).cloned() else {
            return self.withdraw(failed).await;
        };
        let policy = self.policy.for_undoing();
        let mut history = std::mem::take(&mut self.history);
        history.push(failed.clone());
        let mut back = Operation {
            releases: self.releases,
            applier: self.releases.applier(&failed.name),
            history,
            policy: &policy,
            tell: &mut *self.tell,
            created: Vec::new(),
        };
        Box::pin(back.go_to(&failed.name, &target)).await?;
        Ok(format!("rolled back to revision {}", target.version))
    }

    /// Deletes what the failed operation created, if that is wanted.
    async fn clean_up(&mut self) -> Result<Option<String>> {
        if !self.policy.cleanup_on_fail || self.created.is_empty() {
            return Ok(None);
        }
        let created = std::mem::take(&mut self.created);
        for object in manifest::gone(&created, &[]) {
            self.applier.remove_own(object, PropagationPolicy::Background).await?;
        }
        Ok(Some(format!("the {} objects it created were removed again", created.len())))
    }

    /// Takes the objects of a first install away again; the failed revision stays in the history.
    async fn withdraw(&mut self, failed: &Release) -> Result<String> {
        let objects = manifest::objects(&failed.name, &failed.manifest)?;
        for object in manifest::gone(&objects, &[]) {
            let removed = self.applier.remove_own(object, PropagationPolicy::Background).await?;
            self.tell_left(object, &removed);
        }
        Ok("it was the first one, so its objects were removed again (volumes are kept)".into())
    }
}

/// Nothing was recorded or applied yet: there is nothing to undo.
fn was_nothing_done(error: &Error) -> bool {
    matches!(
        error,
        Error::Blocked { .. }
            | Error::NoSuchKind { .. }
            | Error::Manifest { .. }
            | Error::NoNamespace { .. }
            | Error::TooLarge { .. }
    )
}

/// One line for the history, as Helm words it.
fn summary(failed: &Release, error: &Error) -> String {
    let text = error.to_string();
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let line = text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ");
    let what = match failed.info.rollback_revision {
        0 if failed.version == 1 => "Release",
        0 => "Upgrade",
        _ => "Rollback",
    };
    format!("{what} \"{}\" failed: {line}{source}", failed.name)
}
