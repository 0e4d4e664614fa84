//! `seaworthy show`: what a chart says about itself, wherever it lies.

use std::io::Write as _;

use seaworthy_helm::show::{Part, show};

use crate::chart_args::SourceArgs;
use crate::failure::{Kind, Or, Outcome};

/// Print what a chart says about itself
///
///   seaworthy show values repo/web --version ^1.2 > values.yaml
///   seaworthy show readme oci://registry.example.com/charts/web
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_alias = "inspect", disable_version_flag = true)]
pub struct Show {
    #[command(subcommand)]
    part: Parts,
}

#[derive(Debug, clap::Subcommand)]
enum Parts {
    /// Everything
    All(Chart),
    /// Chart.yaml
    Chart(Chart),
    /// values.yaml as it was written
    Values(Chart),
    /// The README
    Readme(Chart),
    /// Definitions of custom kinds
    Crds(Chart),
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
struct Chart {
    /// Folder, archive, repository/name, URL or oci://
    #[arg(value_name = "CHART")]
    chart: String,

    #[command(flatten)]
    source: SourceArgs,
}

impl Show {
    pub async fn run(self) -> Outcome {
        let (part, asked) = match self.part {
            Parts::All(asked) => (Part::All, asked),
            Parts::Chart(asked) => (Part::Chart, asked),
            Parts::Values(asked) => (Part::Values, asked),
            Parts::Readme(asked) => (Part::Readme, asked),
            Parts::Crds(asked) => (Part::Crds, asked),
        };
        let chart = asked.source.load(&asked.chart).await?;
        let text = show(&chart, part);
        std::io::stdout().write_all(text.as_bytes()).or_fail(Kind::Unexpected, "cannot print")
    }
}
