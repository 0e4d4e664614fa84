//! `seaworthy upgrade`: the next revision of a release.

use seaworthy_helm::names;
use seaworthy_release::{MAX_HISTORY, Release, Releases, Status};

use super::install::{
    PutArgs, define, install, print_preview, print_release, print_rendered, release_failure,
};
use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::printing::Output;
use crate::release_args::DryRun;
use crate::release_chart::{self, ReuseArgs};

/// Upgrade a release to another version of its chart, or to other values
///
///   seaworthy upgrade web ./charts/web --set image.tag=v3 --wait
///   seaworthy upgrade --install web ./charts/web       install it if it is not there
///   seaworthy diff web ./charts/web                    what would change
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_version_flag = true)]
pub struct Upgrade {
    release: String,

    /// Folder, archive, repository/name, URL or oci://
    chart: String,

    /// Install the release if there is none by this name
    #[arg(short, long)]
    install: bool,

    #[command(flatten)]
    reuse: ReuseArgs,

    /// Delete what it created when it fails
    #[arg(long)]
    cleanup_on_fail: bool,

    /// Revisions to keep; 0 keeps all
    #[arg(long, default_value_t = MAX_HISTORY, value_name = "NUMBER")]
    history_max: usize,

    #[command(flatten)]
    put: PutArgs,
}

impl Upgrade {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        names::validate(&self.release).map_err(|error| Failure::new(Kind::Input, error))?;
        let mut found =
            release_chart::find(cx, &self.chart, &self.put.source, &self.put.values, &self.put.render)
                .await?;
        if self.install && self.put.dry_run.chosen() != Some(DryRun::Client) {
            cluster::start_or_connect(cx).await?;
        }
        let (client, namespace) = cluster::connect_to_namespace(cx).await?;
        let releases = Releases::new(client.clone(), &namespace);
        let name = self.release.as_str();
        let history = releases.history(name).await.map_err(|error| Failure::new(Kind::Release, error))?;
        let Some(before) = current(&history) else {
            return self.nothing_to_upgrade(cx, &releases, &found).await;
        };
        found.reuse(before, self.reuse)?;
        let mut policy = self.put.policy(Some(self.history_max))?;
        policy.cleanup_on_fail = self.cleanup_on_fail;
        let revision = history.last().map_or(1, |newest| newest.version + 1);
        match self.put.dry_run.chosen() {
            Some(DryRun::Client) => {
                let package = found.render(None, name, &namespace, revision, false).await?;
                return print_rendered(name, &namespace, &package, &self.put);
            }
            Some(_) => {
                let package = found.render(Some(&client), name, &namespace, revision, false).await?;
                return print_preview(&releases, name, &package, &policy, &self.put).await;
            }
            None => {}
        }
        define(cx, &releases, name, &found, &self.put).await?;
        let package = found.render(Some(&client), name, &namespace, revision, false).await?;
        cx.at_work = Some((releases.clone(), name.to_owned()));
        let done = releases.upgrade(name, package, &policy, &mut cx.teller()).await;
        let hint = format!("`seaworthy status {name}` and `seaworthy history {name}` show how it stands");
        let done = done.map_err(|error| release_failure(error, &hint))?;
        cx.progress.clear();
        if self.put.output.output == Output::Table {
            println!("Release \"{name}\" has been upgraded.");
        }
        print_release(&done.release, &self.put)
    }

    async fn nothing_to_upgrade(
        &self,
        cx: &mut Cx,
        releases: &Releases,
        found: &release_chart::Found,
    ) -> Outcome {
        if !self.install {
            let missing = releases.existing(&self.release).await.err();
            let error = missing.map_or_else(
                || {
                    Failure::new(
                        Kind::Release,
                        anyhow::anyhow!("release `{}` was never deployed", self.release),
                    )
                },
                |error| release_failure(error, ""),
            );
            return Err(error.hint("`--install` installs it"));
        }
        if self.put.output.output == Output::Table {
            println!("Release \"{}\" does not exist. Installing it now.", self.release);
        }
        install(cx, &self.release, found, &self.put, Some(self.history_max)).await
    }
}

/// What an upgrade starts from: the deployed revision, else the newest that was tried.
fn current(history: &[Release]) -> Option<&Release> {
    let newest = history.last().filter(|newest| newest.info.status != Status::Uninstalled)?;
    let deployed = history.iter().rev().find(|release| release.info.status == Status::Deployed);
    deployed.or(Some(newest))
}
