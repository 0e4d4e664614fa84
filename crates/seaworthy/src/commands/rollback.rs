//! `seaworthy rollback`: an earlier revision again, as a new one.

use std::time::{Duration, Instant};

use seaworthy_release::{Policy, Progress, Releases};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::project::{self, ProjectArgs};

/// Go back to an earlier revision
///
///   seaworthy rollback          the last good one before the newest
///   seaworthy rollback 2        that one
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Rollback {
    #[command(flatten)]
    project: ProjectArgs,

    /// Revision, as `seaworthy history` lists it
    revision: Option<u64>,

    /// Seconds to wait until everything is ready
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
}

impl Rollback {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let since = Instant::now();
        let app = project::name(&self.project)?;
        let client = cluster::connect(cx).await?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.clone());
        let policy = Policy { timeout: Duration::from_secs(self.timeout), ..Policy::default() };
        let mut tell = |progress: Progress| match progress {
            Progress::RollingBack { to } => cx.progress.step("rollback", format!("to revision {to}")),
            Progress::Ready { object } => cx.progress.step("", format!("{object:<32} ready")),
            Progress::Waiting { objects } => cx.progress.live(
                objects
                    .into_iter()
                    .map(|(object, why)| format!("{object}: {why}"))
                    .collect::<Vec<_>>()
                    .join("   "),
            ),
            Progress::TookOver { .. } | Progress::Applying { .. } => {}
        };
        let done = Releases::new(client, namespace).rollback(&app, self.revision, policy, &mut tell).await;
        let release = done.map_err(|error| {
            Failure::new(Kind::Release, error).hint("`seaworthy history` lists the revisions")
        })?;
        cx.progress.timed(
            "release",
            format!(
                "revision {} has the content of revision {}",
                release.version, release.info.rollback_revision
            ),
            since,
        );
        Ok(())
    }
}
