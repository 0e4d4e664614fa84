//! `seaworthy template`: what a chart renders to, without a cluster; without a chart, the project's own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use seaworthy_helm::output::{self, Document, Shown};
use seaworthy_helm::{RenderOptions, names, render};
use seaworthy_release::{Crds, Package, Policy, Releases};

use crate::chart_args::{PostRenderArgs, SourceArgs, ValuesArgs, tell_unknown_values};
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::package::{self, Target};
use crate::project::{self, PlaceArgs, ProjectArgs};
use crate::release_args::DryRun;
use crate::release_chart::SeenArgs;
use crate::{cluster, cluster_view, printing};

/// Print the objects a chart renders to; no cluster is needed, and none is asked without --dry-run=server
///
///   seaworthy template                         the chart of this folder's compose file
///   seaworthy template web ./charts/web        a chart of your own, as release `web`
///   seaworthy template web repo/web --version ^1.2 -f values.yaml --set image.tag=v2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, disable_version_flag = true)]
pub struct Template {
    /// Name of the release, and the chart: folder, archive, repository/name, URL or oci://
    #[arg(value_name = "[NAME] CHART")]
    arguments: Vec<String>,

    #[command(flatten)]
    values: ValuesArgs,

    /// Compose file, where no chart is named; -f does the same there
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    place: PlaceArgs,

    /// Make up a name for the release
    #[arg(short, long)]
    generate_name: bool,

    /// Template of the release's name
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,

    /// Print only what comes from this template, such as templates/service.yaml; may be repeated
    #[arg(short, long, value_name = "TEMPLATE")]
    show_only: Vec<String>,

    /// Print the chart's CRDs too
    #[arg(long)]
    include_crds: bool,

    /// Leave CRDs out
    #[arg(long, conflicts_with = "include_crds")]
    skip_crds: bool,

    /// Leave tests out
    #[arg(long)]
    skip_tests: bool,

    /// Leave hooks out
    #[arg(long)]
    no_hooks: bool,

    /// Version of Kubernetes that templates see
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,

    /// APIs that templates see besides the usual ones; may be repeated or separated by commas
    #[arg(short, long, value_name = "GROUP/VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,

    /// Render as an upgrade
    #[arg(long)]
    is_upgrade: bool,

    /// Write a file per template into this folder instead of printing
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,

    /// Put the release's name into the path below --output-dir
    #[arg(long)]
    release_name: bool,

    /// Bring charts/ up to date with Chart.yaml where something is missing
    #[arg(long)]
    dependency_update: bool,

    /// Do not hold values against values.schema.json
    #[arg(long)]
    skip_schema_validation: bool,

    /// `server` shows the chart the cluster's APIs, version and objects, and has the server check what it renders to
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: Option<DryRun>,

    /// The same as --dry-run=server
    #[arg(long, hide = true, conflicts_with = "dry_run")]
    validate: bool,

    #[command(flatten)]
    post_render: PostRenderArgs,

    #[command(flatten)]
    seen: SeenArgs,

    #[command(flatten)]
    _without_effect: WithoutEffect,
}

/// Flags of an installation that Helm takes here too and that change nothing of what is printed.
#[derive(Debug, clap::Args)]
struct WithoutEffect {
    #[arg(long, hide = true)]
    create_namespace: bool,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(long, hide = true)]
    force_conflicts: bool,
    #[arg(long, hide = true)]
    force_replace: bool,
    #[arg(short = 'l', long, hide = true)]
    labels: Vec<String>,
    #[arg(long, hide = true)]
    replace: bool,
    #[arg(long, hide = true, alias = "atomic")]
    rollback_on_failure: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    server_side: Option<Option<String>>,
    #[arg(long, hide = true)]
    take_ownership: bool,
    #[arg(long, hide = true)]
    timeout: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    wait: Option<Option<String>>,
    #[arg(long, hide = true)]
    wait_for_jobs: bool,
}

impl Template {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        if self.arguments.is_empty() { self.project(cx) } else { self.chart(cx).await }
    }

    /// The chart that belongs to the compose file.
    fn project(self, cx: &mut Cx) -> Outcome {
        let values = self.values.values.iter().map(PathBuf::from);
        let files = self.file.iter().cloned().chain(values).collect();
        let project = project::load(&ProjectArgs { files, place: self.place })?;
        project::report(cx, &project);
        let app = &project.loaded.app;
        let chart = package::write_chart(&project)?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.name.clone());
        let values = package::values(app, &Default::default(), None);
        let package = package::render(
            &chart.chart,
            values,
            Target { release: &app.name, namespace: &namespace, revision: 0, kube_version: None },
        )?;
        print!("{}", package.manifest);
        Ok(())
    }

    fn asks_the_server(&self) -> bool {
        self.validate || self.dry_run == Some(DryRun::Server)
    }

    async fn chart(self, cx: &mut Cx) -> Outcome {
        let (name, reference) = names::name_and_chart(names::Naming {
            arguments: &self.arguments,
            generate: self.generate_name,
            template: self.name_template.as_deref(),
            fallback: Some("release-name"),
            now_unix_s: now_unix_s(),
        })
        .map_err(|error| Failure::new(Kind::Input, error))?;
        let limits = self.source.limits.limits()?;
        let chart = self.source.load_complete(cx, &reference, self.dependency_update).await?;
        let values = self.values.merge(&limits).await?;
        tell_unknown_values(cx, &chart, &values);
        let mut options = RenderOptions::install(&name, cx.chart_namespace());
        options.limits = limits.template;
        options.skip_schema_validation = self.skip_schema_validation;
        options.post_render = self.post_render.find()?;
        self.seen.put_into(&mut options);
        (options.is_upgrade, options.is_install) = (self.is_upgrade, !self.is_upgrade);
        if let Some(version) = &self.kube_version {
            options.capabilities.set_version(version).map_err(|error| Failure::new(Kind::Input, error))?;
        }
        options.capabilities.api_versions.extend(self.api_versions.iter().cloned());
        let releases = match self.asks_the_server() {
            true => Some(see_cluster(cx, &mut options).await?),
            false => None,
        };
        let rendered = render(&chart, &values, &options)
            .or_fail(Kind::Input, format!("cannot render the chart `{reference}`"))?;
        if let Some(releases) = &releases {
            let package = package::packed(rendered.clone(), values)?;
            check_by_server(releases, &name, &package).await?;
        }
        let shown = Shown {
            include_crds: self.include_crds && !self.skip_crds,
            no_hooks: self.no_hooks,
            skip_tests: self.skip_tests,
        };
        match &self.output_dir {
            Some(folder) => {
                write(folder, self.release_name.then_some(&name), &output::documents(&rendered, shown))
            }
            None => print(&output::text(&rendered, shown), &self.show_only),
        }
    }
}

/// Shows templates the cluster, as an install would.
async fn see_cluster(cx: &Cx, options: &mut RenderOptions) -> Result<Releases, Failure> {
    let (client, namespace) = cluster::connect_to_namespace(cx).await?;
    options.namespace.clone_from(&namespace);
    options.capabilities = cluster_view::capabilities(&client).await?;
    options.lookup = Some(cluster_view::lookup(&client));
    Ok(Releases::new(client, namespace))
}

/// Has the server try every object; what it would refuse is told, and nothing is changed.
async fn check_by_server(releases: &Releases, name: &str, package: &Package) -> Outcome {
    let previewed = releases.preview(name, package, &Policy::helm(), Crds::Create, true).await;
    let (plan, _) = previewed.map_err(|error| Failure::new(Kind::Release, error))?;
    eprint!("{}", printing::plan::findings(&plan.findings));
    match plan.is_blocked() {
        false => Ok(()),
        true => Err(Failure::new(Kind::Release, anyhow::anyhow!("release `{name}` would fail"))),
    }
}

fn now_unix_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn print(text: &str, only: &[String]) -> Outcome {
    let chosen = match only {
        [] => text.to_owned(),
        patterns => output::only(text, patterns).map_err(|error| Failure::new(Kind::Input, error))?,
    };
    std::io::stdout().write_all(chosen.as_bytes()).or_fail(Kind::Unexpected, "cannot print")
}

/// A file per template; documents of one template follow each other in it.
fn write(folder: &Path, release: Option<&String>, documents: &[Document]) -> Outcome {
    let mut written = BTreeSet::new();
    for document in documents {
        let below = release.filter(|_| !document.is_crd).map_or(folder.to_owned(), |name| folder.join(name));
        let path = below.join(&document.source);
        let failed = || format!("cannot write `{}`", path.display());
        if document.source.split('/').any(|part| part == "..") {
            return Err(Failure::new(
                Kind::Input,
                anyhow::anyhow!("{} would leave `{}`", document.source, folder.display()),
            ));
        }
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).or_fail(Kind::Input, failed())?;
        let first = written.insert(path.clone());
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).write(true).truncate(first).append(!first).open(&path);
        let wrote = file.and_then(|mut file| file.write_all(document.print().as_bytes()));
        wrote.or_fail(Kind::Input, failed())?;
        println!("wrote {}", path.display());
    }
    // Helm ends so, and scripts compare.
    println!();
    Ok(())
}
