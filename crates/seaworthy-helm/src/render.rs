//! A chart and values to manifests, hooks and notes, as `helm template` and `helm install` render them.
//!
//! Start at [`render`]. Rendering runs on its own thread with a deep stack, because charts are not trusted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value as Json;

use seaworthy_template::{Limits, Lookup, Map, MapType, Options, Resolve, Templates, Value};

use crate::capabilities::Capabilities;
use crate::chart::{Chart, File, Values};
use crate::files::Files;
use crate::manifest::{self, Hook, Manifest};
use crate::post_render::{self, PostRender};
use crate::values::Nulls;
use crate::{dependencies, schema, values};

/// Reads the cluster for `lookup`; shared between threads, unlike what it becomes inside a rendering.
pub trait ClusterLookup: Send + Sync {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Json, String>;
}

/// What a rendering is about.
#[derive(Clone)]
pub struct RenderOptions {
    pub release_name: String,
    pub namespace: String,
    pub revision: i64,
    pub is_upgrade: bool,
    pub is_install: bool,
    pub capabilities: Capabilities,
    pub limits: Limits,
    /// `required` and `fail` pass, as in `helm lint`.
    pub lint: bool,
    /// Values are not held against `values.schema.json`.
    pub skip_schema_validation: bool,
    /// Changes the manifests before they are sorted.
    pub post_render: Option<Arc<dyn PostRender>>,
    /// Without one, `lookup` finds nothing.
    pub lookup: Option<Arc<dyn ClusterLookup>>,
    /// The time `now` returns; the system's when absent.
    pub now_unix_s: Option<i64>,
    /// Hosts are asked for by `getHostByName`; without this it finds none.
    pub resolve: Option<Resolve>,
    /// The notes of subcharts belong to the chart's.
    pub subchart_notes: bool,
}

impl RenderOptions {
    /// A first install of `release_name` into `namespace`.
    pub fn install(release_name: impl Into<String>, namespace: impl Into<String>) -> Self {
        RenderOptions {
            release_name: release_name.into(),
            namespace: namespace.into(),
            revision: 1,
            is_upgrade: false,
            is_install: true,
            capabilities: Capabilities::default(),
            limits: Limits::default(),
            lint: false,
            skip_schema_validation: false,
            post_render: None,
            lookup: None,
            now_unix_s: None,
            resolve: None,
            subchart_notes: false,
        }
    }

    /// An upgrade that will become `revision`.
    pub fn upgrade(release_name: impl Into<String>, namespace: impl Into<String>, revision: i64) -> Self {
        RenderOptions {
            revision,
            is_upgrade: true,
            is_install: false,
            ..RenderOptions::install(release_name, namespace)
        }
    }
}

/// Why a chart could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Values(String),
    #[error("found in Chart.yaml, but missing in charts/ directory: {}", .0.join(", "))]
    MissingDependencies(Vec<String>),
    #[error("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}")]
    KubeVersion { wanted: String, found: String },
    #[error("library charts are not installable")]
    Library,
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
    #[error(transparent)]
    PostRender(#[from] post_render::Error),
    /// A template does not parse.
    #[error("parse error at ({}:{}): {}", .0.template, .0.line, .0.message)]
    Parse(seaworthy_template::ParseError),
    /// A template failed while it was executed; the source names file, line, column and expression.
    #[error("template `{file}` failed")]
    Template { file: String, source: Box<seaworthy_template::Error> },
    /// The chart's author stops the rendering with `fail` or `required`; the message is theirs.
    #[error("execution error at ({place}): {message}")]
    Refused { place: String, message: String },
    #[error("`{0}` is not UTF-8 text")]
    NotText(String),
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error("cannot start the rendering thread")]
    Thread(#[from] std::io::Error),
}

impl Error {
    /// The text Helm prints for a template that does not parse or fails, byte for byte, for those who search
    /// for it; any other error as it is.
    pub fn in_helms_words(&self) -> String {
        match self {
            Error::Parse(error) => {
                let text = error.to_string();
                let reason = text.rsplit(": ").next().unwrap_or_default();
                format!("parse error at ({}:{}): {reason}", error.template, error.line)
            }
            Error::Template { source, .. } => source.in_helms_words(),
            other => other.to_string(),
        }
    }
}

/// What a chart became.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// In install order.
    pub manifests: Vec<Manifest>,
    pub hooks: Vec<Hook>,
    /// The text of NOTES.txt, empty without one.
    pub notes: String,
    /// Files of `crds/`, which are created before everything else and never upgraded.
    pub crds: Vec<File>,
    /// The chart after conditions, tags, aliases and import-values: what a release stores.
    pub chart: Chart,
}

impl Rendered {
    /// The manifest as a release stores it.
    pub fn manifest(&self) -> String {
        self.manifests.iter().fold(String::new(), |text, manifest| text + &document(manifest))
    }

    /// What `helm template` prints: the manifest, then the hooks.
    pub fn template_output(&self) -> String {
        let hooks = self.hooks.iter().map(|hook| document(&hook.manifest));
        hooks.fold(format!("{}\n", self.manifest().trim()), |text, hook| text + &hook)
    }
}

fn document(manifest: &Manifest) -> String {
    let mut text = String::new();
    let written = writeln!(text, "---\n# Source: {}\n{}", manifest.source, manifest.yaml);
    written.expect("writing to a string cannot fail");
    text
}

/// Renders a chart. `values` are the user's; the chart's defaults are merged below them.
pub fn render(chart: &Chart, values: &Values, options: &RenderOptions) -> Result<Rendered, Error> {
    let (chart, mut files) = texts(chart, values, options)?;
    let notes = take_notes(&chart, &mut files, options.subchart_notes);
    if let Some(renderer) = &options.post_render {
        files = post_render::apply(&files, renderer.as_ref())?;
    }
    let (hooks, manifests) = manifest::sort(&files)?;
    Ok(Rendered { manifests, hooks, notes, crds: chart.crds(), chart })
}

/// What each template became, whether it is YAML or not: for whoever looks for the reason of a broken manifest.
pub fn render_texts(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
) -> Result<BTreeMap<String, String>, Error> {
    texts(chart, values, options).map(|(_, files)| files)
}

fn texts(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
) -> Result<(Chart, BTreeMap<String, String>), Error> {
    if chart.metadata.is_library() {
        return Err(Error::Library);
    }
    let missing: Vec<String> = dependencies::missing(chart).into_iter().map(str::to_owned).collect();
    if !missing.is_empty() {
        return Err(Error::MissingDependencies(missing));
    }
    process_and_execute(chart, values, options, Checks::All)
}

/// The same with fewer checks: what `lint` looks at.
pub(crate) fn lint_texts(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
) -> Result<BTreeMap<String, String>, Error> {
    process_and_execute(chart, values, options, Checks::Schema).map(|(_, files)| files)
}

/// What is checked before templates are executed.
#[derive(Clone, Copy, PartialEq)]
enum Checks {
    All,
    Schema,
}

/// The chart with its subcharts chosen, and the text of every file.
fn process_and_execute(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
    checks: Checks,
) -> Result<(Chart, BTreeMap<String, String>), Error> {
    let mut chart = chart.clone();
    dependencies::process(&mut chart, values).map_err(Error::Values)?;
    if checks == Checks::All {
        check_kube_version(&chart, &options.capabilities)?;
    }
    let all = values::coalesce(&chart, values, Nulls::Delete).map_err(Error::Values)?;
    if !options.skip_schema_validation
        && let Some(wrong) = schema::violations(&chart, &all)
    {
        return Err(Error::Schema(wrong));
    }
    let files = seaworthy_template::with_deep_stack(|| render_files(&chart, &all, options))??;
    Ok((chart, files))
}

/// A lone template of a user's own over `data`.
pub fn execute_text(template: &str, data: &Json) -> Result<String, Error> {
    const NAME: &str = "tpl";
    seaworthy_template::with_deep_stack(|| {
        let mut templates = Templates::new(Options::default());
        templates.parse(NAME, template).map_err(Error::Parse)?;
        templates.render(NAME, Value::from_json(data)).map_err(|source| template_error(NAME, source))
    })?
}

fn check_kube_version(chart: &Chart, capabilities: &Capabilities) -> Result<(), Error> {
    let wanted = &chart.metadata.kube_version;
    let found = capabilities.plain_version();
    if wanted.is_empty() || seaworthy_template::version_matches(wanted, &found).unwrap_or(false) {
        return Ok(());
    }
    Err(Error::KubeVersion { wanted: wanted.clone(), found: capabilities.kube_version.clone() })
}

/// The root chart's notes, and those of subcharts after them where they are wanted; else they are dropped.
fn take_notes(chart: &Chart, files: &mut BTreeMap<String, String>, with_subcharts: bool) -> String {
    let mut notes = files.remove(&format!("{}/templates/NOTES.txt", chart.name())).unwrap_or_default();
    files.retain(|name, text| {
        let is_notes = name.ends_with("NOTES.txt");
        if is_notes && with_subcharts {
            notes.push_str(if notes.is_empty() { "" } else { "\n" });
            notes.push_str(text);
        }
        !is_notes
    });
    notes
}

/// One template with what it sees.
struct Unit {
    name: String,
    text: String,
    base_path: String,
    context: Value,
}

fn render_files(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
) -> Result<BTreeMap<String, String>, Error> {
    let mut units = Vec::new();
    let root = Map::new(MapType::Values);
    for (key, value) in values {
        root.insert(key.as_str(), template_value(value));
    }
    let release = Value::map([
        ("Name", Value::str(&options.release_name)),
        ("Namespace", Value::str(&options.namespace)),
        ("IsUpgrade", Value::Bool(options.is_upgrade)),
        ("IsInstall", Value::Bool(options.is_install)),
        ("Revision", Value::Int(options.revision)),
        ("Service", Value::str("Helm")),
    ]);
    let shared = Shared { release, capabilities: options.capabilities.for_template() };
    collect(chart, chart.name(), true, Value::Map(root), &shared, &mut units)?;
    units.sort_by(|a, b| parse_order(&b.name).cmp(&parse_order(&a.name)));
    execute(&units, options)
}

/// Deeper files first, so that a parent's definitions replace those of its subcharts.
fn parse_order(name: &str) -> (usize, &str) {
    (name.matches('/').count(), name)
}

struct Shared {
    release: Value,
    capabilities: Value,
}

fn collect(
    chart: &Chart,
    path: &str,
    is_root: bool,
    values: Value,
    shared: &Shared,
    units: &mut Vec<Unit>,
) -> Result<Value, Error> {
    let subcharts = Map::new(MapType::Any);
    let context = common_values([
        ("Chart", chart_value(chart, is_root)),
        ("Files", Files::value(&chart.files)),
        ("Release", shared.release.clone()),
        ("Capabilities", shared.capabilities.clone()),
        ("Values", values.clone()),
        ("Subcharts", Value::Map(subcharts.clone())),
    ]);
    for subchart in &chart.dependencies {
        let inner = match &values {
            Value::Map(map) => map.get(subchart.name()).filter(|value| matches!(value, Value::Map(_))),
            _ => None,
        };
        let inner = match inner {
            Some(Value::Map(map)) => Value::Map(map.retyped(MapType::Values)),
            _ => Value::Map(Map::new(MapType::Values)),
        };
        let path = format!("{path}/charts/{}", subchart.name());
        subcharts.insert(subchart.name(), collect(subchart, &path, false, inner, shared, units)?);
    }
    for template in &chart.templates {
        let partial = template.name.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
        if chart.metadata.is_library() && !partial {
            continue;
        }
        let name = format!("{path}/{}", template.name);
        let Ok(text) = String::from_utf8(template.data.clone()) else { return Err(Error::NotText(name)) };
        units.push(Unit { name, text, base_path: format!("{path}/templates"), context: context.clone() });
    }
    Ok(context)
}

/// A map of Go's type `common.Values`.
fn common_values<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let map = Map::new(MapType::Values);
    for (name, value) in entries {
        map.insert(name, value);
    }
    Value::Map(map)
}

fn chart_value(chart: &Chart, is_root: bool) -> Value {
    let value = Value::from_json(&chart.metadata.for_template(is_root));
    if let Value::Map(map) = &value
        && !chart.metadata.annotations.is_empty()
    {
        let annotations = Map::new(MapType::Str);
        for (key, text) in &chart.metadata.annotations {
            annotations.insert(key.as_str(), Value::str(text));
        }
        map.insert("Annotations", Value::Map(annotations));
    }
    value
}

/// Values keep the integers that flags set; everything read from files is a float already.
fn template_value(json: &Json) -> Value {
    match json {
        Json::Number(n) => match (n.is_f64(), n.as_i64()) {
            (false, Some(n)) => Value::Int64(n),
            _ => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Value::list(items.iter().map(template_value).collect()),
        Json::Object(map) => Value::map(map.iter().map(|(key, value)| (key.as_str(), template_value(value)))),
        other => Value::from_json(other),
    }
}

fn execute(units: &[Unit], options: &RenderOptions) -> Result<BTreeMap<String, String>, Error> {
    let mut templates = Templates::new(Options {
        limits: options.limits,
        now: options.now_unix_s.and_then(|s| jiff::Timestamp::from_second(s).ok()),
        lookup: options
            .lookup
            .clone()
            .map(|lookup| std::rc::Rc::new(Adapter(lookup)) as std::rc::Rc<dyn Lookup>),
        lint: options.lint,
        resolve: options.resolve,
    });
    for unit in units {
        templates.parse(&unit.name, &unit.text).map_err(Error::Parse)?;
    }
    let mut rendered = BTreeMap::new();
    for unit in units {
        if unit.name.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        if let Value::Map(context) = &unit.context {
            let template = [("Name", Value::str(&unit.name)), ("BasePath", Value::str(&unit.base_path))];
            context.insert("Template", common_values(template));
        }
        let text = templates
            .render(&unit.name, unit.context.clone())
            .map_err(|source| template_error(&unit.name, source))?;
        rendered.insert(unit.name.clone(), text);
    }
    Ok(rendered)
}

/// A sentence the author wrote for the user is shown without the frame around it.
fn template_error(file: &str, source: seaworthy_template::Error) -> Error {
    let text = source.to_string();
    let start = text.find(seaworthy_template::MESSAGE_START);
    let end = text.rfind(seaworthy_template::MESSAGE_END);
    if let (Some(start), Some(end), seaworthy_template::Error::Exec(exec)) = (start, end, &source) {
        let message = text[start + seaworthy_template::MESSAGE_START.len()..end].to_owned();
        return Error::Refused { place: format!("{}:{}:{}", exec.template, exec.line, exec.column), message };
    }
    Error::Template { file: file.to_owned(), source: Box::new(source) }
}

struct Adapter(Arc<dyn ClusterLookup>);

impl Lookup for Adapter {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Json, String> {
        self.0.lookup(api_version, kind, namespace, name)
    }
}
