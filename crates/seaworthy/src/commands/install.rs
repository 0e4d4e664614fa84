//! `seaworthy install`: a chart becomes a release.

use seaworthy_helm::names;
use seaworthy_release::{Error, Package, Policy, Release, Releases};

use crate::chart_args::{SourceArgs, ValuesArgs};
use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::printing::record::{self, Show};
use crate::printing::{self, Output, OutputArgs};
use crate::release_args::{ChangeArgs, DryRun, DryRunArgs, OwnArgs, WaitArgs, policy};
use crate::release_chart::{self, Found, RenderArgs};

/// Install a chart as a release that Helm understands
///
///   seaworthy install web ./charts/web
///   seaworthy install web repo/web --version ^1.2 -f values.yaml --set image.tag=v2 --wait
///   seaworthy install web ./charts/web --dry-run=server     what would change, and what would fail
///
/// On drydock, which is started if need be; --kubeconfig and --kube-context choose any other cluster.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_version_flag = true)]
pub struct Install {
    /// Name of the release, and the chart: folder, archive, repository/name, URL or oci://
    #[arg(value_name = "[NAME] CHART", required = true, num_args = 1..=2)]
    arguments: Vec<String>,

    /// Make up a name for the release
    #[arg(short, long)]
    generate_name: bool,

    /// Template of the release's name
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,

    /// Take the name of a release that was uninstalled or failed; that is allowed anyway
    #[arg(long, hide = true)]
    replace: bool,

    #[command(flatten)]
    pub put: PutArgs,
}

/// What `install` and `upgrade` share.
#[derive(Debug, clap::Args)]
pub struct PutArgs {
    #[command(flatten)]
    pub values: ValuesArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub render: RenderArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub change: ChangeArgs,
    #[command(flatten)]
    pub own: OwnArgs,
    #[command(flatten)]
    pub dry_run: DryRunArgs,
    #[command(flatten)]
    pub output: OutputArgs,

    /// Do not print the chart's notes
    #[arg(long)]
    pub hide_notes: bool,

    /// In a dry run, leave the contents of Secrets out
    #[arg(long)]
    pub hide_secret: bool,
}

impl PutArgs {
    pub fn policy(&self, history_max: Option<usize>) -> Result<Policy, Failure> {
        let mut policy = policy(&self.wait, &self.change, history_max);
        self.own.put_into(&self.wait, &mut policy)?;
        if self.hide_secret && self.dry_run.chosen().is_none() {
            let error = anyhow::anyhow!("hiding Kubernetes secrets requires a dry-run mode");
            return Err(Failure::new(Kind::Input, error));
        }
        Ok(policy)
    }
}

impl Install {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let (name, reference) = names::name_and_chart(names::Naming {
            arguments: &self.arguments,
            generate: self.generate_name,
            template: self.name_template.as_deref(),
            fallback: None,
            now_unix_s: jiff::Timestamp::now().as_second(),
        })
        .map_err(|error| Failure::new(Kind::Input, error))?;
        let found =
            release_chart::find(cx, &reference, &self.put.source, &self.put.values, &self.put.render).await?;
        install(cx, &name, &found, &self.put, None).await
    }
}

/// Also what `upgrade --install` does when there is nothing to upgrade.
pub async fn install(
    cx: &mut Cx,
    name: &str,
    found: &Found,
    put: &PutArgs,
    history_max: Option<usize>,
) -> Outcome {
    let policy = put.policy(history_max)?;
    if put.dry_run.chosen() == Some(DryRun::Client) {
        let namespace = cx.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let package = found.render(None, name, &namespace, 1, true).await?;
        return print_rendered(name, &namespace, &package, put);
    }
    let (client, namespace) = cluster::start_with_namespace(cx).await?;
    let releases = Releases::new(client.clone(), &namespace);
    if put.dry_run.chosen().is_some() {
        let package = found.render(Some(&client), name, &namespace, 1, true).await?;
        return print_preview(&releases, name, &package, &policy, put).await;
    }
    if put.own.create_namespace {
        releases.ensure_namespace().await.map_err(|error| Failure::new(Kind::Release, error))?;
    }
    let history = releases.history(name).await.map_err(|error| Failure::new(Kind::Release, error))?;
    let revision = history.last().map_or(1, |newest| newest.version + 1);
    define(cx, &releases, name, found, put).await?;
    let package = found.render(Some(&client), name, &namespace, revision, true).await?;
    cx.at_work = Some((releases.clone(), name.to_owned()));
    let done = releases.install(name, package, &policy, &mut cx.teller()).await;
    let release = done.map_err(|error| {
        release_failure(error, "`seaworthy status` and `seaworthy history` show how it stands")
    })?;
    cx.progress.clear();
    print_release(&release, put)
}

/// The chart's `crds/`, before it is rendered: a chart may look for the APIs that they bring.
pub async fn define(
    cx: &Cx,
    releases: &Releases,
    name: &str,
    found: &Found,
    put: &PutArgs,
) -> Result<(), Failure> {
    let defined = releases.define(name, &found.definitions(), put.own.crds(), &mut cx.teller()).await;
    defined.map_err(|error| Failure::new(Kind::Release, error))
}

/// The end of an install or upgrade, as Helm prints it.
pub fn print_release(release: &Release, put: &PutArgs) -> Outcome {
    let show = Show { no_notes: put.hide_notes, ..Show::default() };
    printing::print(put.output.output, &record::whole(release), || record::block(release, show, &[]))
}

/// `--dry-run=client`: what would be applied, without any cluster.
pub fn print_rendered(name: &str, namespace: &str, package: &Package, put: &PutArgs) -> Outcome {
    let release = rendered(name, namespace, package, put);
    let show = Show { no_notes: put.hide_notes, ..Show::default() };
    printing::print(put.output.output, &record::whole(&release), || record::block(&release, show, &[]))
}

fn rendered(name: &str, namespace: &str, package: &Package, put: &PutArgs) -> Release {
    let now = jiff::Timestamp::now().to_string();
    let mut release = Release {
        name: name.to_owned(),
        info: seaworthy_release::record::Info {
            first_deployed: now.clone(),
            last_deployed: now,
            description: "Dry run complete".into(),
            status: seaworthy_release::Status::PendingInstall,
            notes: package.notes.clone(),
            ..Default::default()
        },
        chart: package.chart.clone(),
        config: package.config.clone(),
        manifest: package.manifest.clone(),
        hooks: package.hooks.clone(),
        version: 1,
        namespace: namespace.to_owned(),
        apply_method: "ssa".into(),
        labels: Default::default(),
        other: Default::default(),
    };
    if put.hide_secret {
        release.manifest = without_secrets(&release.manifest);
    }
    release
}

/// Helm's words in place of a Secret.
fn without_secrets(manifest: &str) -> String {
    let is_secret = |document: &str| document.lines().any(|line| line.trim_end() == "kind: Secret");
    let documents = manifest.split("---\n").filter(|document| !document.trim().is_empty());
    documents.fold(String::new(), |text, document| {
        let source = document.lines().find(|line| line.starts_with("# Source: ")).unwrap_or_default();
        match is_secret(document) {
            true => text + &format!("---\n{source}\n# HIDDEN: The Secret output has been suppressed\n"),
            false => text + "---\n" + document,
        }
    })
}

/// `--dry-run=server`: the plan, what was found, and Helm's block.
pub async fn print_preview(
    releases: &Releases,
    name: &str,
    package: &Package,
    policy: &Policy,
    put: &PutArgs,
) -> Outcome {
    let previewed = releases.preview(name, package, policy, put.own.crds(), put.own.create_namespace).await;
    let (plan, mut release) = previewed.map_err(|error| Failure::new(Kind::Release, error))?;
    if put.hide_secret {
        release.manifest = without_secrets(&release.manifest);
    }
    eprint!("{}", printing::plan::findings(&plan.findings));
    if put.output.output == Output::Table {
        eprint!("{}", printing::plan::text(&plan));
    }
    print_release(&release, put)?;
    match plan.is_blocked() {
        false => Ok(()),
        true => Err(Failure::new(Kind::Release, anyhow::anyhow!("release `{name}` would fail"))),
    }
}

/// A failed operation with the next thing to type.
pub fn release_failure(error: Error, otherwise: &str) -> Failure {
    let hint = match &error {
        Error::Busy { .. } => "wait until it has ended, then run the same command again".to_owned(),
        Error::NameInUse { release, .. } => {
            format!("`seaworthy upgrade --install {release} CHART` installs or upgrades, whichever is due")
        }
        Error::NoRelease { .. } => {
            "`seaworthy upgrade --install` makes it; `seaworthy list -A` shows those of all namespaces"
                .to_owned()
        }
        Error::NoNamespace { .. } => "`--create-namespace` makes it".to_owned(),
        Error::Blocked { found, .. } => {
            found.iter().find_map(|finding| finding.hint()).unwrap_or_else(|| otherwise.to_owned())
        }
        _ => otherwise.to_owned(),
    };
    Failure::new(Kind::Release, error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_of_a_dry_run_that_hides_them() {
        let manifest =
            "---\n# Source: a/s.yaml\nkind: Secret\ndata: x\n---\n# Source: a/c.yaml\nkind: ConfigMap\n";
        let hidden = without_secrets(manifest);
        assert!(
            !hidden.contains("data: x") && hidden.contains("# HIDDEN") && hidden.contains("ConfigMap"),
            "{hidden}"
        );
    }
}
