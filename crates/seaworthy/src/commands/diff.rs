//! `seaworthy diff`: what an upgrade or a rollback would change in the cluster.

use seaworthy_release::plan::Plan;
use seaworthy_release::{Releases, Status};

use crate::chart_args::{SourceArgs, ValuesArgs};
use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::printing::plan;
use crate::release_args::{ChangeArgs, OwnArgs, WaitArgs, policy};
use crate::release_chart::{self, RenderArgs, ReuseArgs};

/// Show what an upgrade would change, object by object, and what would make it fail
///
///   seaworthy diff web ./charts/web --set replicas=3
///   seaworthy diff web --revision 2                     what a rollback to revision 2 would change
///
/// The cluster is asked what would come of each object, so its defaults and checks have their say; nothing is
/// changed. What Secrets hold is not shown.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_version_flag = true)]
pub struct Diff {
    release: String,

    /// Folder, archive, repository/name, URL or oci://
    #[arg(required_unless_present = "revision")]
    chart: Option<String>,

    /// Compare with this revision instead of a chart
    #[arg(long, conflicts_with = "chart", value_name = "NUMBER")]
    revision: Option<u64>,

    /// End with 7 when there are differences
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    reuse: ReuseArgs,
    #[command(flatten)]
    values: ValuesArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    render: RenderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    own: OwnArgs,
}

impl Diff {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let (client, namespace) = cluster::connect_to_namespace(cx).await?;
        let releases = Releases::new(client.clone(), &namespace);
        let mut policy = policy(&self.wait, &self.change, None);
        self.own.put_into(&self.wait, &mut policy)?;
        let plan = match &self.chart {
            None => releases.preview_rollback(&self.release, self.revision, &policy).await,
            Some(chart) => {
                let mut found =
                    release_chart::find(cx, chart, &self.source, &self.values, &self.render).await?;
                let history = releases.history(&self.release).await;
                let history = history.map_err(|error| Failure::new(Kind::Release, error))?;
                let deployed = history.iter().rev().find(|release| release.info.status == Status::Deployed);
                if let Some(before) = deployed.or(history.last()) {
                    found.reuse(before, self.reuse)?;
                }
                let revision = history.last().map_or(1, |newest| newest.version + 1);
                let is_install = history.is_empty();
                let package =
                    found.render(Some(&client), &self.release, &namespace, revision, is_install).await?;
                let crds = self.own.crds();
                releases.preview(&self.release, &package, &policy, crds, self.own.create_namespace).await
            }
        };
        let (plan, _) = plan.map_err(|error| Failure::new(Kind::Release, error))?;
        self.print(&plan)
    }

    fn print(&self, found: &Plan) -> Outcome {
        print!("{}", plan::text(found));
        eprint!("{}", plan::findings(&found.findings));
        if found.is_blocked() {
            let error = anyhow::anyhow!("release `{}` would fail", self.release);
            return Err(Failure::new(Kind::Release, error));
        }
        match self.exit_code && !found.is_empty() {
            true => Err(Failure::new(Kind::Differs, anyhow::anyhow!("there are differences"))),
            false => Ok(()),
        }
    }
}
