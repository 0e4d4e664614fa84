//! `seaworthy uninstall`: releases go, with their objects.

use std::time::Duration;

use seaworthy_release::{Cascade, Error, Releases, Removal};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::release_args::duration;

/// Remove releases and their objects
///
/// Objects annotated `helm.sh/resource-policy: keep`, volumes of StatefulSets, and definitions (CRDs) that still
/// have objects are left, and named.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_aliases = ["un", "delete", "del"])]
pub struct Uninstall {
    #[arg(required = true)]
    releases: Vec<String>,

    /// Keep the revisions, marked as uninstalled; `rollback` brings one back
    #[arg(long)]
    keep_history: bool,

    /// Wait until the objects are gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "watcher", value_name = "HOW")]
    wait: Option<String>,

    /// How long each hook and the wait may take
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,

    /// What becomes of what the objects own
    #[arg(long, value_enum, default_value = "background")]
    cascade: CascadeFor,

    /// Run no hooks
    #[arg(long)]
    no_hooks: bool,

    /// A release that does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,

    /// Only say what would go
    #[arg(long)]
    dry_run: bool,

    /// With --keep-history: instead of our own words
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CascadeFor {
    Background,
    Foreground,
    Orphan,
}

impl Uninstall {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let (client, namespace) = cluster::connect_to_namespace(cx).await?;
        let releases = Releases::new(client, namespace);
        let removal = Removal {
            timeout: self.timeout,
            wait: self.wait.as_deref().is_some_and(|how| how != "hookOnly" && how != "false"),
            hooks: !self.no_hooks,
            keep_history: self.keep_history,
            cascade: match self.cascade {
                CascadeFor::Background => Cascade::Background,
                CascadeFor::Foreground => Cascade::Foreground,
                CascadeFor::Orphan => Cascade::Orphan,
            },
            description: self.description.clone(),
        };
        for name in &self.releases {
            match self.one(cx, &releases, name, &removal).await {
                Err(Error::NoRelease { .. }) if self.ignore_not_found => {}
                Err(error) => {
                    return Err(Failure::new(Kind::Release, error)
                        .hint("`seaworthy list -A` shows the releases of all namespaces"));
                }
                Ok(()) => println!("release \"{name}\" uninstalled"),
            }
        }
        Ok(())
    }

    async fn one(
        &self,
        cx: &mut Cx,
        releases: &Releases,
        name: &str,
        removal: &Removal,
    ) -> Result<(), Error> {
        let left = if self.dry_run {
            let (_, goes, left) = releases.would_uninstall(name).await?;
            goes.iter().for_each(|object| cx.progress.step("delete", object));
            left
        } else {
            cx.progress.live(format!("removing {name}"));
            cx.at_work = Some((releases.clone(), name.to_owned()));
            releases.uninstall(name, removal, &mut cx.teller()).await?.1
        };
        cx.progress.clear();
        let told = left.told();
        if !told.is_empty() {
            println!("{told}");
        }
        Ok(())
    }
}
