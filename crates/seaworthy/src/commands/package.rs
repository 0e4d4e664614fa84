//! `seaworthy package`: a chart's folder to an archive, the same bytes each time, signed on request.

use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, Limits, save};
use seaworthy_repo::provenance;

use crate::chart_args::{DependencyArgs, HostArgs, LimitArgs};
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};

/// Pack charts into archives; the same chart gives the same bytes
///
///   seaworthy package charts/web
///   seaworthy package charts/web --version 1.2.3 --app-version v7 -d dist
///   seaworthy package charts/web --sign --key 'me@example.com'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_version_flag = true)]
pub struct Package {
    /// Folder of a chart
    #[arg(value_name = "CHART_PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Version to pack it as
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Version of the app to pack it as
    #[arg(long, value_name = "VERSION")]
    app_version: Option<String>,

    /// Folder for the archives
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    destination: PathBuf,

    /// Bring charts/ up to date with Chart.yaml first
    #[arg(short = 'u', long)]
    dependency_update: bool,

    /// Write a signature beside the archive; needs `gpg`
    #[arg(long, requires = "key")]
    sign: bool,

    /// Name or address of the key
    #[arg(long, value_name = "NAME")]
    key: Option<String>,

    /// Secret keys to sign with; your own when absent
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,

    /// File with the key's passphrase, or `-` for stdin
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    #[command(flatten)]
    hosts: HostArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

impl Package {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let limits = self.limits.limits()?;
        let time = source_date_epoch()?.unwrap_or(save::DEFAULT_TIME_UNIX_S);
        for path in &self.paths {
            if self.dependency_update {
                let update = DependencyArgs::for_update(&self.hosts, &self.limits);
                update.update(path, &mut |line| cx.progress.step("", line)).await?;
            }
            let saved = self.pack(path, time, &limits).await?;
            println!("Successfully packaged chart and saved it to: {}", saved.display());
        }
        Ok(())
    }

    async fn pack(&self, path: &Path, time_unix_s: u64, limits: &Limits) -> Result<PathBuf, Failure> {
        let tried = || format!("cannot pack the chart `{}`", path.display());
        if !path.is_dir() {
            let told = anyhow::anyhow!("it is not a folder");
            return Err(Failure::new(Kind::Input, told.context(tried())));
        }
        let mut chart = Chart::load_within(path, limits).or_fail(Kind::Input, tried())?;
        if let Some(version) = &self.version {
            chart.set_version(version).or_fail(Kind::Input, tried())?;
        }
        if let Some(version) = &self.app_version {
            chart.metadata.app_version = version.clone();
        }
        chart.check_dependencies().or_fail(Kind::Input, tried())?;
        let packed = save::pack(&chart, time_unix_s).or_fail(Kind::Input, tried())?;
        let folder = std::path::absolute(&self.destination).or_fail(Kind::Input, tried())?;
        std::fs::create_dir_all(&folder).or_fail(Kind::Input, tried())?;
        let saved = folder.join(save::file_name(&chart.metadata));
        std::fs::write(&saved, &packed)
            .or_fail(Kind::Input, format!("cannot write `{}`", saved.display()))?;
        if let Some(key) = self.key.as_deref().filter(|_| self.sign) {
            self.sign(&chart, &packed, key, &saved).await?;
        }
        Ok(saved)
    }

    async fn sign(&self, chart: &Chart, packed: &[u8], key: &str, saved: &Path) -> Outcome {
        let tried = || format!("cannot sign `{}`", saved.display());
        let passphrase = match &self.passphrase_file {
            None => None,
            Some(file) if file.as_os_str() == "-" => {
                let read = std::io::read_to_string(std::io::stdin());
                Some(first_line(read.or_fail(Kind::Input, "cannot read the passphrase")?))
            }
            Some(file) => Some(first_line(
                std::fs::read_to_string(file).or_fail(Kind::Input, "cannot read the passphrase")?,
            )),
        };
        let signed =
            provenance::sign(packed, &chart.metadata, key, self.keyring.as_deref(), passphrase.as_deref())
                .await;
        let signed = signed.or_fail(Kind::Input, tried())?;
        std::fs::write(format!("{}.prov", saved.display()), signed).or_fail(Kind::Input, tried())
    }
}

fn first_line(text: String) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The time that reproducible builds agree on.
pub fn source_date_epoch() -> Result<Option<u64>, Failure> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let seconds = value.to_string_lossy().parse::<u64>();
    seconds.map(Some).or_fail(Kind::Input, "`SOURCE_DATE_EPOCH` is not a number of seconds")
}
