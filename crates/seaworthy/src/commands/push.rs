//! `seaworthy push`: a packed chart to a registry.

use std::path::PathBuf;

use seaworthy_repo::registry;

use crate::chart_args::{HostArgs, LimitArgs};
use crate::failure::{Kind, Or, Outcome};
use crate::helm_files;

/// Upload a packed chart, and its signature where there is one, to a registry
///
///   seaworthy push web-1.2.3.tgz oci://registry.example.com/charts
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Push {
    /// Archive of a chart
    #[arg(value_name = "CHART")]
    chart: PathBuf,

    /// oci:// with the path that the chart's name is appended to
    #[arg(value_name = "REMOTE")]
    remote: String,

    #[command(flatten)]
    hosts: HostArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

impl Push {
    pub async fn run(self) -> Outcome {
        let (access, limits) = (self.hosts.access(), self.limits.limits()?);
        let pushed =
            registry::push_file(&self.chart, &self.remote, &access, &helm_files::settings(), &limits).await;
        let pushed = pushed.or_fail(Kind::Input, format!("cannot push `{}`", self.chart.display()))?;
        println!("Pushed: {}", pushed.reference);
        println!("Digest: {}", pushed.digest);
        Ok(())
    }
}
