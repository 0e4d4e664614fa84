//! An app into a rendered chart: chart files on disk, values of this installation, manifest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seaworthy_app::App;
use seaworthy_chart::ImageValue;
use seaworthy_helm::{Chart, File, RenderOptions, Rendered, Values};
use seaworthy_release::{Definition, Package, record};
use serde_json::{Value, json};

use crate::failure::{Failure, Kind, Or};
use crate::project::Project;

/// A chart brought up to date on disk.
pub struct WrittenChart {
    pub folder: PathBuf,
    pub chart: Chart,
    pub update: seaworthy_chart::Update,
    pub notes: Vec<String>,
}

/// Writes `charts/<app>` beside the compose file, keeping what a person edited, and loads it as it then stands.
pub fn write_chart(project: &Project) -> Result<WrittenChart, Failure> {
    let app = &project.loaded.app;
    let generated = seaworthy_chart::generate(app, &seaworthy_chart::Options::default());
    let folder = project.folder.join("charts").join(&app.name);
    let update =
        seaworthy_chart::update(&folder, &generated).map_err(|error| Failure::new(Kind::Input, error))?;
    let chart =
        Chart::load(&folder).or_fail(Kind::Input, format!("cannot load the chart `{}`", folder.display()))?;
    Ok(WrittenChart { folder, chart, update, notes: generated.notes })
}

/// What this installation sets on top of the chart: images that were built, and what rolls pods with the Secret.
pub fn values(app: &App, built: &BTreeMap<String, String>, secret_digest: Option<&str>) -> Values {
    let images = built.iter().map(|(service, image)| (service.clone(), image_value(image))).collect();
    let mut values = match seaworthy_chart::install_values(&images, secret_digest.unwrap_or_default()) {
        Value::Object(values) => values,
        _ => Values::new(),
    };
    if app.secrets.is_empty() {
        values.remove("secretChecksum");
    }
    values
}

fn image_value(image: &str) -> ImageValue {
    let repository = crate::images::repository(image);
    let tag = image[repository.len()..].trim_start_matches(':');
    ImageValue { repository: repository.to_owned(), tag: tag.to_owned() }
}

/// Which release is rendered for, and on what.
pub struct Target<'a> {
    pub release: &'a str,
    pub namespace: &'a str,
    /// The newest revision; 0 means that there is no release yet.
    pub revision: u64,
    /// The cluster's version, `v1.36.0`; `None` without a cluster.
    pub kube_version: Option<String>,
}

/// Renders as Helm would.
pub fn render(chart: &Chart, values: Values, target: Target<'_>) -> Result<Package, Failure> {
    let mut options = match target.revision {
        0 => RenderOptions::install(target.release, target.namespace),
        newest => {
            let next = i64::try_from(newest + 1).unwrap_or(i64::MAX);
            RenderOptions::upgrade(target.release, target.namespace, next)
        }
    };
    if let Some(version) = target.kube_version {
        options.capabilities.kube_version = version;
    }
    let rendered = seaworthy_helm::render(chart, &values, &options)
        .or_fail(Kind::Input, format!("cannot render the chart `{}`", chart.name()))?;
    packed(rendered, values)
}

/// What a rendering is as a revision.
pub fn packed(rendered: Rendered, values: Values) -> Result<Package, Failure> {
    let mut templates = BTreeMap::new();
    collect_templates(&rendered.chart, rendered.chart.name(), &mut templates);
    let definition = |file: &File| Definition {
        file: file.name.clone(),
        text: String::from_utf8_lossy(&file.data).into_owned(),
    };
    Ok(Package {
        manifest: rendered.manifest(),
        hooks: rendered.hooks.iter().map(hook).collect(),
        templates,
        definitions: rendered.crds.iter().map(definition).collect(),
        notes: rendered.notes,
        chart: stored(&rendered.chart)?,
        config: Value::Object(values),
    })
}

/// By the path under which manifests name them.
fn collect_templates(chart: &Chart, path: &str, templates: &mut BTreeMap<String, String>) {
    for file in &chart.templates {
        let text = String::from_utf8_lossy(&file.data).into_owned();
        templates.insert(format!("{path}/{}", file.name), text);
    }
    for subchart in &chart.dependencies {
        collect_templates(subchart, &format!("{path}/charts/{}", subchart.name()), templates);
    }
}

fn hook(hook: &seaworthy_helm::Hook) -> record::Hook {
    record::Hook {
        name: hook.name.clone(),
        kind: hook.kind.clone(),
        path: hook.manifest.source.clone(),
        manifest: hook.manifest.yaml.clone(),
        events: hook.events.iter().map(|event| event.as_str().to_owned()).collect(),
        weight: hook.weight,
        delete_policies: hook.delete_policies.clone(),
        output_log_policies: hook.output_log_policies.clone(),
        last_run: record::LastRun::default(),
        other: Values::new(),
    }
}

/// The chart as Helm keeps it inside a release.
fn stored(chart: &Chart) -> Result<Value, Failure> {
    let metadata =
        serde_json::to_value(&chart.metadata).or_fail(Kind::Unexpected, "cannot store the chart")?;
    Ok(json!({
        "metadata": metadata,
        "lock": chart.lock,
        "templates": files(&chart.templates),
        "values": chart.values,
        "schema": chart.schema.as_deref().map(|schema| STANDARD.encode(schema)),
        "files": files(&chart.files),
    }))
}

fn files(files: &[File]) -> Vec<Value> {
    files.iter().map(|file| json!({ "name": file.name, "data": STANDARD.encode(&file.data) })).collect()
}
