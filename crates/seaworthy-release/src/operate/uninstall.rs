//! The objects of a release go, in Helm's order; its history too, unless it is to be kept.

use kube::api::PropagationPolicy;

use super::now;
use crate::apply::{How, Method, Removed, Scaled};
use crate::error::{Error, Result};
use crate::hooks::Runner;
use crate::manifest::{self, Object};
use crate::policy::{Cascade, Left, Removal};
use crate::progress::Tell;
use crate::record::{Release, Status};
use crate::releases::Releases;

impl Releases {
    /// Removes `release`. Volumes stay: Kubernetes keeps claims of StatefulSets. One that was cut off goes on.
    pub async fn uninstall(
        &self,
        release: &str,
        removal: &Removal,
        tell: Tell<'_>,
    ) -> Result<(Release, Left)> {
        let lock = self.lock(release).await?;
        let done = self.remove(release, removal, tell).await;
        lock.release().await;
        done
    }

    /// What an uninstall would delete, and what it would leave.
    pub async fn would_uninstall(&self, release: &str) -> Result<(Release, Vec<String>, Left)> {
        let newest = self.get(release, None).await?;
        let objects = manifest::objects(release, &newest.manifest)?;
        let applier = self.applier(release);
        let (mut goes, mut left) = (Vec::new(), kept(&objects));
        for object in manifest::gone(&objects, &[]) {
            match applier.other_owner(object).await {
                Ok(Some(_)) => left.foreign.push(object.bracketed()),
                Ok(None) => goes.push(object.title()),
                Err(Error::NoSuchKind { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((newest, goes, left))
    }

    async fn remove(&self, name: &str, removal: &Removal, tell: Tell<'_>) -> Result<(Release, Left)> {
        let mut history = self.existing(name).await?;
        let Some(mut newest) = history.pop() else { return Err(self.no_release(name)) };
        if newest.info.status == Status::Uninstalled {
            if removal.keep_history {
                return Err(Error::AlreadyUninstalled { release: name.to_owned() });
            }
            history.push(newest.clone());
            self.forget(&history).await?;
            return Ok((newest, Left::default()));
        }
        newest.info.status = Status::Uninstalling;
        newest.info.deleted = now();
        newest.info.description = "Deletion in progress (or silently failed)".into();
        self.storage.update(&newest).await?;
        let left = self.remove_objects(&history, &mut newest, removal, tell).await?;
        newest.info.status = Status::Uninstalled;
        newest.info.description =
            removal.description.clone().unwrap_or_else(|| "Uninstallation complete".into());
        if removal.keep_history {
            for old in history.iter_mut().filter(|old| old.info.status == Status::Deployed) {
                old.info.status = Status::Superseded;
                self.storage.update(old).await?;
            }
            self.storage.update(&newest).await?;
        } else {
            history.push(newest.clone());
            self.forget(&history).await?;
        }
        Ok((newest, left))
    }

    async fn remove_objects(
        &self,
        history: &[Release],
        newest: &mut Release,
        removal: &Removal,
        tell: Tell<'_>,
    ) -> Result<Left> {
        let applier = self.applier(&newest.name);
        let how = How {
            method: Method::Server,
            force_conflicts: false,
            force_replace: false,
            recreate: false,
            dry_run: false,
            scaled: Scaled::default(),
        };
        let mut runner =
            Runner { applier: &applier, storage: &self.storage, how: &how, timeout: removal.timeout, tell };
        if removal.hooks {
            runner.run(newest, "pre-delete").await?;
        }
        let objects = still_there(history, newest)?;
        let mut left = kept(&objects);
        let gone = manifest::gone(&objects, &[]);
        for object in &gone {
            match applier.remove_own(object, policy(removal.cascade)).await? {
                Removed::Kept => left.kept.push(object.bracketed()),
                Removed::Foreign(_) => left.foreign.push(object.bracketed()),
                Removed::InUse(_) => left.in_use.push(object.bracketed()),
                Removed::Deleted | Removed::Absent => {}
            }
        }
        if removal.wait {
            let is_left = |object: &&&Object| {
                let name = object.bracketed();
                ![&left.kept, &left.foreign, &left.in_use].iter().any(|list| list.contains(&name))
            };
            for object in gone.iter().filter(is_left) {
                applier.wait_until_gone(object, removal.timeout).await?;
            }
        }
        if removal.hooks {
            runner.run(newest, "post-delete").await?;
        }
        Ok(left)
    }

    async fn forget(&self, history: &[Release]) -> Result<()> {
        for release in history {
            self.storage.delete(release).await?;
        }
        Ok(())
    }
}

/// What this revision, and the one that was deployed before it failed, may have left.
fn still_there(history: &[Release], newest: &Release) -> Result<Vec<Object>> {
    let deployed = history.iter().rev().find(|release| release.info.status == Status::Deployed);
    let revisions = deployed.into_iter().chain([newest]);
    let objects = revisions.map(|release| manifest::objects(&release.name, &release.manifest));
    Ok(manifest::joined(objects.collect::<Result<Vec<_>>>()?))
}

fn kept(objects: &[Object]) -> Left {
    let kept = objects.iter().filter(|object| object.is_kept()).map(Object::bracketed);
    Left { kept: kept.collect(), ..Left::default() }
}

fn policy(cascade: Cascade) -> PropagationPolicy {
    match cascade {
        Cascade::Background => PropagationPolicy::Background,
        Cascade::Foreground => PropagationPolicy::Foreground,
        Cascade::Orphan => PropagationPolicy::Orphan,
    }
}
