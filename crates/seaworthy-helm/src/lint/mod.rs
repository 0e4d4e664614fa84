//! What is wrong with a chart: everything `helm lint` finds, in its order and words, and then what it does not see:
//! values that no template reads and likely misspellings, with their place.
//!
//! What only we find is information: a chart that passes Helm's strict lint passes ours.
//! Start at [`lint`].

mod chartfile;
mod deprecations;
mod objects;
mod templates;
mod words;

use std::fmt;
use std::path::Path;

use serde_json::Value as Json;

use crate::chart::{Chart, Error as ChartError, Values};
use crate::limits::Limits;
use crate::{dependencies, hints, schema, values};

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub severity: Severity,
    /// The file inside the chart, with a line where we know it.
    pub path: String,
    pub text: String,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        };
        write!(f, "[{severity}] {}: {}", self.path, self.text)
    }
}

/// What a lint is about.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub values: Values,
    pub namespace: String,
    /// With a leading `v`; Helm's default when absent.
    pub kube_version: Option<String>,
    pub skip_schema_validation: bool,
    pub limits: Limits,
}

/// All findings about the chart in a folder; an error when there is no chart.
pub fn lint(folder: &Path, options: &Options) -> Result<Vec<Message>, ChartError> {
    let path = folder.join("Chart.yaml");
    std::fs::metadata(&path)
        .map_err(|source| ChartError::Read { path: path.display().to_string(), source })?;
    let mut lint =
        Lint { folder, options, loaded: Chart::load_within(folder, &options.limits), messages: Vec::new() };
    chartfile::check(&mut lint);
    lint.values();
    templates::check(&mut lint);
    lint.dependencies();
    lint.crds();
    lint.hints();
    Ok(lint.messages)
}

/// One lint under way.
struct Lint<'a> {
    folder: &'a Path,
    options: &'a Options,
    loaded: Result<Chart, ChartError>,
    messages: Vec<Message>,
}

impl Lint<'_> {
    fn add(&mut self, severity: Severity, path: impl Into<String>, text: impl Into<String>) {
        self.messages.push(Message { severity, path: path.into(), text: text.into() });
    }

    /// Records what failed; `true` when nothing did.
    fn rule(&mut self, severity: Severity, path: &str, result: Result<(), String>) -> bool {
        let passed = result.is_ok();
        if let Err(text) = result {
            self.add(severity, path, text);
        }
        passed
    }

    fn load_failure(&self) -> Option<String> {
        self.loaded.as_ref().err().map(|error| chain(error))
    }

    fn values(&mut self) {
        let path = self.folder.join("values.yaml");
        if !path.exists() {
            self.add(Severity::Info, "values.yaml", "file does not exist");
            return;
        }
        let result = std::fs::read_to_string(&path)
            .map_err(|error| format!("unable to parse YAML: {error}"))
            .and_then(|text| {
                values::parse_values_within("values.yaml", &text, &self.options.limits)
                    .map_err(|error| format!("unable to parse YAML: {}", chain(&error)))
            })
            .and_then(|own| self.against_schema(own));
        self.rule(Severity::Error, "values.yaml", result);
    }

    /// The chart's own schema, and the top level only: as Helm checks it here.
    fn against_schema(&self, own: Values) -> Result<(), String> {
        let schema = std::fs::read(self.folder.join("values.schema.json")).unwrap_or_default();
        if schema.is_empty() || self.options.skip_schema_validation {
            return Ok(());
        }
        let mut all = self.options.values.clone();
        values::coalesce_tables(&mut all, own, values::Nulls::Delete);
        schema::validate(&schema, &Json::Object(all))
    }

    fn dependencies(&mut self) {
        if let Some(failure) = self.load_failure() {
            self.add(Severity::Error, "", format!("unable to load chart\n\t{failure}"));
            return;
        }
        let Ok(chart) = &self.loaded else { return };
        let listed: Vec<&str> = chart.metadata.dependencies.iter().map(|one| one.name.as_str()).collect();
        let unlisted: Vec<&str> =
            chart.dependencies.iter().map(Chart::name).filter(|name| !listed.contains(name)).collect();
        let missing = dependencies::missing(chart);
        let path =
            std::path::absolute(self.folder).unwrap_or_else(|_| self.folder.to_owned()).display().to_string();
        let complaint = |text: &str, names: &[&str]| match names {
            [] => Ok(()),
            names => Err(format!("{text}: {}", names.join(","))),
        };
        let unlisted = complaint("chart metadata is missing these dependencies", &unlisted);
        let missing = complaint("chart directory is missing these dependencies", &missing);
        self.rule(Severity::Error, &path, unlisted);
        self.rule(Severity::Warning, &path, missing);
    }

    fn crds(&mut self) {
        let folder = self.folder.join("crds");
        if folder.symlink_metadata().is_err() {
            return;
        }
        if !folder.is_dir() {
            self.add(Severity::Error, "crds/", "not a directory");
            return;
        }
        if let Some(failure) = self.load_failure() {
            self.add(Severity::Error, "crds/", failure);
            return;
        }
        let crds = self.loaded.as_ref().map(Chart::crds).unwrap_or_default();
        for crd in crds {
            let text = String::from_utf8_lossy(&crd.data).into_owned();
            let name = crd.name.split_once('/').map_or(crd.name.as_str(), |(_, name)| name).to_owned();
            for document in seaworthy_template::yaml::split_documents(&text) {
                let object = seaworthy_template::yaml::read(&document);
                let parsed =
                    object.as_ref().map(|_| ()).map_err(|error| format!("unable to parse YAML: {error}"));
                if !self.rule(Severity::Error, &name, parsed) {
                    return;
                }
                let Ok(object @ Json::Object(_)) = object else { continue };
                self.rule(Severity::Error, &name, objects::crd_api(&object));
                self.rule(Severity::Error, &name, objects::crd_kind(&object));
            }
        }
    }

    /// What Helm does not look for.
    fn hints(&mut self) {
        let Ok(chart) = &self.loaded else { return };
        let text = chart.values_text.clone().unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let place = |path: &[String]| match hints::line_of(&text, path) {
            Some(line) => format!("values.yaml:{line}"),
            None => "values.yaml".to_owned(),
        };
        let mut found = Vec::new();
        for unused in hints::unused_values(chart) {
            found.push((place(&unused.path), format!("{unused}")));
        }
        for unknown in hints::unknown_values(chart, &self.options.values) {
            found.push(("values".to_owned(), unknown.to_string()));
        }
        for (path, text) in found {
            self.add(Severity::Info, path, text);
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
