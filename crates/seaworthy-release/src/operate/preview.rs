//! What an operation would do, without doing any of it: for `diff` and dry runs.

use super::define::{Found, read};
use super::install::is_free;
use super::{Operation, choose, rollback};
use crate::apply::How;
use crate::diff::differences;
use crate::error::Result;
use crate::manifest::{self, Object};
use crate::plan::{self, Action, Finding, Plan, Planned, Problem, Wanted};
use crate::policy::{Crds, Policy};
use crate::record::{Info, Release, Status};
use crate::releases::{Package, Releases};

impl Releases {
    /// The plan of an install or upgrade, and the revision that it would record.
    pub async fn preview(
        &self,
        release: &str,
        package: &Package,
        policy: &Policy,
        crds: Crds,
        makes_namespace: bool,
    ) -> Result<(Plan, Release)> {
        let operation = self.looking(release, policy).await?;
        let is_install = is_free(&operation.history);
        let status = if is_install { Status::PendingInstall } else { Status::PendingUpgrade };
        let mut next = self.next(release, &operation.history, status);
        let before = operation.history.last().filter(|before| before.info.status != Status::Uninstalled);
        next.apply_method = choose(policy.apply, before).name().to_owned();
        next.chart = package.chart.clone();
        next.config = package.config.clone();
        next.manifest = package.manifest.clone();
        next.hooks = package.hooks.clone();
        next.info = Info {
            notes: package.notes.clone(),
            description: "Dry run complete".into(),
            ..std::mem::take(&mut next.info)
        };
        let new = manifest::placed(release, &package.manifest, &package.templates)?;
        let definitions = read(&package.definitions)?;
        let mut plan = operation.preview(&next, &new, &definitions, makes_namespace).await?;
        if crds != Crds::Skip {
            self.preview_definitions(&operation, &definitions, crds, &mut plan).await?;
        }
        Ok((plan, next))
    }

    /// The plan of a rollback.
    pub async fn preview_rollback(
        &self,
        release: &str,
        revision: Option<u64>,
        policy: &Policy,
    ) -> Result<(Plan, Release)> {
        let operation = self.looking(release, policy).await?;
        if operation.history.is_empty() {
            return Err(self.no_release(release));
        }
        let mut target = rollback::target(release, &operation.history, revision)?.clone();
        target.apply_method = choose(policy.apply, Some(&target)).name().to_owned();
        let new = manifest::objects(release, &target.manifest)?;
        let plan = operation.preview(&target, &new, &[], false).await?;
        Ok((plan, target))
    }

    /// An operation that only looks: nothing is healed, nobody is told.
    async fn looking<'a>(&'a self, release: &str, policy: &'a Policy) -> Result<Looking<'a>> {
        let history = self.storage.history(release).await?;
        Ok(Looking { releases: self, name: release.to_owned(), history, policy })
    }

    async fn preview_definitions(
        &self,
        operation: &Looking<'_>,
        definitions: &[Object],
        crds: Crds,
        plan: &mut Plan,
    ) -> Result<()> {
        let applier = self.applier(&operation.name);
        for (at, object) in definitions.iter().enumerate() {
            let found = self.look_at_definition(&applier, object).await?;
            let live = applier.live(object).await?;
            let action = match found {
                Found::Missing => Action::Create,
                Found::Same => Action::Unchanged,
                Found::Differs if crds == Crds::Apply => Action::Update,
                Found::Differs => {
                    plan.findings.push(Finding::about(object, Problem::DefinitionDiffers));
                    Action::Keep
                }
            };
            let lines = match found {
                Found::Same => Vec::new(),
                _ => differences(live.as_ref(), Some(&object.value)),
            };
            let planned = Planned {
                object: object.title(),
                namespace: String::new(),
                place: object.place(),
                action,
                lines,
            };
            plan.objects.insert(at, planned);
        }
        Ok(())
    }
}

struct Looking<'a> {
    releases: &'a Releases,
    name: String,
    history: Vec<Release>,
    policy: &'a Policy,
}

impl Looking<'_> {
    async fn preview(
        &self,
        release: &Release,
        new: &[Object],
        definitions: &[Object],
        makes_namespace: bool,
    ) -> Result<Plan> {
        let mut nobody = |_| {};
        let operation = Operation {
            releases: self.releases,
            applier: self.releases.applier(&self.name),
            history: self.history.clone(),
            policy: self.policy,
            tell: &mut nobody,
            created: Vec::new(),
        };
        let old = operation.old_objects()?;
        let how: How = operation.how(super::method_of(release), new).await;
        let wanted = Wanted {
            old: &old,
            new,
            definitions,
            how: &how,
            take_ownership: self.policy.take_ownership,
            makes_namespace,
        };
        plan::plan(&operation.applier, &wanted).await
    }
}
