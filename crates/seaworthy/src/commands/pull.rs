//! `seaworthy pull`: a chart from elsewhere to a file or a folder here.

use std::path::{Path, PathBuf};

use seaworthy_repo::{Archive, Source};

use crate::chart_args::SourceArgs;
use crate::failure::{Failure, Kind, Or, Outcome};

/// Fetch charts from repositories and registries
///
///   seaworthy pull repo/web --version ^1.2
///   seaworthy pull oci://registry.example.com/charts/web --untar
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_alias = "fetch", disable_version_flag = true)]
pub struct Pull {
    /// repository/name, URL or oci://
    #[arg(value_name = "CHART", required = true)]
    charts: Vec<String>,

    #[command(flatten)]
    source: SourceArgs,

    /// Folder for the charts
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    destination: PathBuf,

    /// Unpack the chart instead of keeping the archive
    #[arg(long)]
    untar: bool,

    /// Folder to unpack into, below the destination
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    untardir: PathBuf,

    /// Fetch the signature too, without checking it
    #[arg(long)]
    prov: bool,
}

impl Pull {
    pub async fn run(self) -> Outcome {
        for chart in &self.charts {
            self.one(chart).await?;
        }
        Ok(())
    }

    async fn one(&self, chart: &str) -> Outcome {
        let archive = match self.source.locate_with(chart, self.prov).await? {
            Source::Archive(archive) => archive,
            Source::Path(path) => Archive::read(&path, &self.source.limits.limits()?)
                .or_fail(Kind::Input, format!("cannot read `{}`", path.display()))?,
        };
        if let Some(digest) = &archive.manifest_digest {
            println!("Pulled: {}", archive.origin.trim_start_matches("oci://"));
            println!("Digest: {digest}");
        }
        if let Some(verified) = self.source.verify(&archive).await? {
            print!("{verified}");
        }
        if self.untar {
            let folder = self.destination.join(&self.untardir);
            let limits = self.source.limits.limits()?;
            let unpacked = seaworthy_repo::expand(&archive.origin, &archive.data, &folder, &limits);
            return unpacked.map(drop).or_fail(Kind::Input, format!("cannot unpack the chart `{chart}`"));
        }
        self.keep(&archive)
    }

    fn keep(&self, archive: &Archive) -> Outcome {
        let name = Path::new(&archive.file_name).file_name();
        let name =
            name.ok_or_else(|| Failure::new(Kind::Input, anyhow::anyhow!("the chart's file has no name")))?;
        let path = self.destination.join(name);
        let failed = || format!("cannot write `{}`", path.display());
        std::fs::write(&path, &archive.data).or_fail(Kind::Input, failed())?;
        match archive.provenance.as_deref().filter(|_| self.prov || self.source.verify) {
            Some(provenance) => {
                let beside = format!("{}.prov", path.display());
                std::fs::write(beside, provenance).or_fail(Kind::Input, failed())
            }
            None => Ok(()),
        }
    }
}
