//! A chart and values for one release: loaded, merged with what the release had, rendered.

use kube::Client;
use seaworthy_helm::{Chart, Limits, RenderOptions, Values, render};
use seaworthy_release::{Definition, Package, Release};

use crate::chart_args::{PostRenderArgs, SourceArgs, ValuesArgs, tell_unknown_values};
use crate::cluster_view;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or};
use crate::package;
use crate::printing::record::stored_chart;

/// What becomes of the values that the release has.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct ReuseArgs {
    /// Forget the values of the last revision
    #[arg(long)]
    reset_values: bool,

    /// Keep the values of the last revision, and the defaults of its chart; add those given now
    #[arg(long)]
    reuse_values: bool,

    /// Take the new chart's defaults, then the values of the last revision, then those given now
    #[arg(long)]
    reset_then_reuse_values: bool,
}

/// How a chart is made ready and rendered.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RenderArgs {
    #[command(flatten)]
    post_render: PostRenderArgs,

    /// Do not hold values against values.schema.json
    #[arg(long)]
    skip_schema_validation: bool,

    /// Fetch what is missing in the chart's charts/ first
    #[arg(long)]
    dependency_update: bool,

    #[command(flatten)]
    seen: SeenArgs,
}

/// What templates may see besides the cluster, and which notes are shown.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct SeenArgs {
    /// Let `getHostByName` ask for addresses; without it there are none
    #[arg(long)]
    enable_dns: bool,

    /// Show the notes of subcharts after the chart's
    #[arg(long)]
    render_subchart_notes: bool,

    /// Objects are always checked by the server, as far as it is asked
    #[arg(long, hide = true)]
    disable_openapi_validation: bool,
}

impl SeenArgs {
    pub fn put_into(self, options: &mut RenderOptions) {
        options.resolve = self.enable_dns.then_some(resolve as fn(&str) -> Option<String>);
        options.subchart_notes = self.render_subchart_notes;
    }
}

/// One of the addresses of a host.
fn resolve(host: &str) -> Option<String> {
    use std::net::ToSocketAddrs as _;
    (host, 0).to_socket_addrs().ok()?.next().map(|address| address.ip().to_string())
}

/// A chart with the user's values, as it was found.
pub struct Found {
    pub chart: Chart,
    pub values: Values,
    limits: Limits,
    render: RenderArgs,
}

/// Finds and loads the chart, and reads the values.
pub async fn find(
    cx: &Cx,
    reference: &str,
    source: &SourceArgs,
    values: &ValuesArgs,
    render: &RenderArgs,
) -> Result<Found, Failure> {
    let limits = source.limits.limits()?;
    let chart = source.load_complete(cx, reference, render.dependency_update).await?;
    let values = values.merge(&limits).await?;
    tell_unknown_values(cx, &chart, &values);
    Ok(Found { chart, values, limits, render: render.clone() })
}

impl Found {
    /// Merges what the last revision had, as Helm does.
    pub fn reuse(&mut self, before: &Release, args: ReuseArgs) -> Result<(), Failure> {
        let config = before.config.as_object().cloned().unwrap_or_default();
        if args.reset_values {
            return Ok(());
        }
        if args.reuse_values {
            let computed = seaworthy_helm::computed(&stored_chart(before), &config);
            self.chart.values =
                computed.map_err(|error| Failure::new(Kind::Input, anyhow::anyhow!("{error}")))?;
            seaworthy_helm::fill(&mut self.values, config);
        } else if args.reset_then_reuse_values {
            seaworthy_helm::fill(&mut self.values, config);
        } else if self.values.is_empty() {
            self.values = config;
        }
        Ok(())
    }

    /// The chart's `crds/`.
    pub fn definitions(&self) -> Vec<Definition> {
        let definition = |file: seaworthy_helm::File| Definition {
            file: format!("{}/{}", self.chart.name(), file.name),
            text: String::from_utf8_lossy(&file.data).into_owned(),
        };
        self.chart.crds().into_iter().map(definition).collect()
    }

    /// Renders for what will be `revision`; with a client the chart sees the cluster.
    pub async fn render(
        &self,
        client: Option<&Client>,
        release: &str,
        namespace: &str,
        revision: u64,
        is_install: bool,
    ) -> Result<Package, Failure> {
        let number = i64::try_from(revision).unwrap_or(i64::MAX);
        let mut options = match is_install {
            true => RenderOptions { revision: number, ..RenderOptions::install(release, namespace) },
            false => RenderOptions::upgrade(release, namespace, number),
        };
        options.limits = self.limits.template;
        options.skip_schema_validation = self.render.skip_schema_validation;
        options.post_render = self.render.post_render.find()?;
        self.render.seen.put_into(&mut options);
        if let Some(client) = client {
            options.capabilities = cluster_view::capabilities(client).await?;
            options.lookup = Some(cluster_view::lookup(client));
        }
        let rendered = render(&self.chart, &self.values, &options)
            .or_fail(Kind::Input, format!("cannot render the chart `{}`", self.chart.name()))?;
        let mut package = package::packed(rendered, self.values.clone())?;
        package.definitions = self.definitions();
        Ok(package)
    }
}
