//! `seaworthy dependency`: the charts that a chart is made of.

use std::path::PathBuf;

use seaworthy_helm::Chart;
use seaworthy_repo::dependencies;

use crate::chart_args::{DependencyArgs, LimitArgs};
use crate::cx::Cx;
use crate::failure::{Kind, Or, Outcome};
use crate::table;

/// Keep the charts that a chart is made of
///
///   seaworthy dependency list charts/web
///   seaworthy dependency update charts/web    resolve anew, fetch, write Chart.lock
///   seaworthy dependency build charts/web     fetch what Chart.lock says
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_aliases = ["dep", "dependencies"])]
pub struct Dependency {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Fetch what Chart.lock says into charts/
    Build(Fetch),
    /// Resolve what Chart.yaml asks for, fetch it into charts/ and write Chart.lock
    #[command(visible_alias = "up")]
    Update(Fetch),
    /// List what Chart.yaml asks for and how it stands
    #[command(visible_alias = "ls")]
    List(List),
}

#[derive(Debug, clap::Args)]
struct Fetch {
    /// Folder of the chart
    #[arg(value_name = "CHART", default_value = ".")]
    chart: PathBuf,

    #[command(flatten)]
    how: DependencyArgs,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Folder or archive of the chart
    #[arg(value_name = "CHART", default_value = ".")]
    chart: PathBuf,

    /// Widest column
    #[arg(long, value_name = "N", default_value_t = 80)]
    max_col_width: usize,

    #[command(flatten)]
    limits: LimitArgs,
}

impl Dependency {
    pub async fn run(self, _: &mut Cx) -> Outcome {
        let mut tell = |line: String| println!("{line}");
        match self.action {
            Action::Build(fetch) => fetch.how.build(&fetch.chart, &mut tell).await,
            Action::Update(fetch) => fetch.how.update(&fetch.chart, &mut tell).await,
            Action::List(list) => list.run(),
        }
    }
}

impl List {
    fn run(self) -> Outcome {
        let limits = self.limits.limits()?;
        let chart = Chart::load_within(&self.chart, &limits)
            .or_fail(Kind::Input, format!("cannot load the chart `{}`", self.chart.display()))?;
        if chart.metadata.dependencies.is_empty() {
            println!("WARNING: no dependencies at {}", self.chart.join("charts").display());
            return Ok(());
        }
        let mut rows = vec![["NAME", "VERSION", "REPOSITORY", "STATUS"].map(str::to_owned)];
        for (dependency, status) in dependencies::list(&self.chart, &chart, &limits) {
            rows.push([dependency.name, dependency.version, dependency.repository, status.to_string()]);
        }
        println!("{}\n", table::tabbed(&rows, self.max_col_width));
        dependencies::unlisted(&self.chart, &chart, &limits)
            .iter()
            .for_each(|unlisted| println!("{unlisted}"));
        Ok(())
    }
}
