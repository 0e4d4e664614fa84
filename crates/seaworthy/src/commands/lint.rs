//! `seaworthy lint`: what is wrong with charts, in Helm's words and a few of our own.

use std::path::{Path, PathBuf};

use seaworthy_helm::Capabilities;
use seaworthy_helm::lint::{Message, Options, Severity, lint};

use crate::chart_args::{LimitArgs, ValuesArgs};
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};

/// Look for mistakes in charts: everything `helm lint` finds, and values that nothing reads
///
///   seaworthy lint charts/web
///   seaworthy lint --strict -f production.yaml charts/*
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Lint {
    /// Folder or archive of a chart
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    values: ValuesArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// Fail on warnings too
    #[arg(long)]
    strict: bool,

    /// Look at the charts in charts/ as well
    #[arg(long)]
    with_subcharts: bool,

    /// Version of Kubernetes that templates see, and by which APIs are called old
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,

    /// Do not hold values against values.schema.json
    #[arg(long)]
    skip_schema_validation: bool,
}

/// What was found about one chart.
struct Found {
    messages: Vec<Message>,
    /// Why the chart could not be looked at.
    failure: Option<String>,
}

impl Lint {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let options = self.options(cx).await?;
        let mut paths = self.paths.clone();
        if self.with_subcharts {
            self.paths.iter().for_each(|path| subcharts(&path.join("charts"), &mut paths));
        }
        let (mut failed, mut noted) = (0, 0);
        for path in &paths {
            let found = look(path, &options);
            let worst = found.messages.iter().map(|message| message.severity).max().unwrap_or(Severity::Info);
            let is_noted = worst > Severity::Info || found.failure.is_some();
            let lowest = if self.strict { Severity::Warning } else { Severity::Error };
            failed += usize::from(worst >= lowest || found.failure.is_some());
            noted += usize::from(is_noted);
            if !cx.quiet || is_noted {
                print(path, &found, cx.quiet);
            }
        }
        let summary = format!("{} chart(s) linted, {failed} chart(s) failed", paths.len());
        if failed > 0 {
            return Err(Failure::new(Kind::Input, anyhow::anyhow!(summary)));
        }
        if !cx.quiet || noted > 0 {
            println!("{summary}");
        }
        Ok(())
    }

    async fn options(&self, cx: &Cx) -> Result<Options, Failure> {
        let limits = self.limits.limits()?;
        let kube_version = match &self.kube_version {
            None => None,
            Some(version) => {
                let mut capabilities = Capabilities::default();
                capabilities.set_version(version).map_err(|error| Failure::new(Kind::Input, error))?;
                Some(capabilities.kube_version)
            }
        };
        Ok(Options {
            values: self.values.merge(&limits).await?,
            namespace: cx.chart_namespace(),
            kube_version,
            skip_schema_validation: self.skip_schema_validation,
            limits,
        })
    }
}

/// An archive is unpacked into a folder of its own first.
fn look(path: &Path, options: &Options) -> Found {
    let packed = path.extension().is_some_and(|extension| extension == "tgz")
        || path.to_string_lossy().ends_with(".tar.gz");
    let found = if packed { look_inside(path, options) } else { check(path, options) };
    found.unwrap_or_else(|failure| Found { messages: Vec::new(), failure: Some(failure.render()) })
}

fn look_inside(path: &Path, options: &Options) -> Result<Found, Failure> {
    let tried = || format!("unable to extract `{}`", path.display());
    let folder = tempfile::tempdir().or_fail(Kind::Unexpected, tried())?;
    let data = std::fs::read(path).or_fail(Kind::Input, tried())?;
    let name = path.display().to_string();
    let chart =
        seaworthy_repo::expand(&name, &data, folder.path(), &options.limits).or_fail(Kind::Input, tried())?;
    check(&chart, options)
}

fn check(folder: &Path, options: &Options) -> Result<Found, Failure> {
    let messages = lint(folder, options).or_fail(Kind::Input, "unable to check Chart.yaml file in chart")?;
    Ok(Found { messages, failure: None })
}

fn print(path: &Path, found: &Found, quiet: bool) {
    println!("==> Linting {}", path.display());
    if let Some(failure) = &found.failure {
        print!("Error {}", failure.trim_start_matches("error: "));
    }
    for message in found.messages.iter().filter(|message| !quiet || message.severity > Severity::Info) {
        println!("{message}");
    }
    println!();
}

/// Charts below a folder, packed or not.
fn subcharts(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    inside.sort();
    for path in inside {
        if path.is_dir() && !path.is_symlink() {
            if path.join("Chart.yaml").exists() {
                paths.push(path.clone());
            }
            subcharts(&path, paths);
        } else if path.to_string_lossy().ends_with(".tgz") || path.to_string_lossy().ends_with(".tar.gz") {
            paths.push(path);
        }
    }
}
