//! A chart in memory, and how it is put together from files.
//!
//! Start at [`Chart::load`] for a folder, at [`Chart::from_files`] for files from anywhere else.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::{archive, load, values};

/// Values of a chart or a user, as Helm merges them.
pub type Values = Map<String, Json>;

/// A file of a chart: its path inside the chart and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub data: Vec<u8>,
}

/// A chart with its subcharts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    pub metadata: Metadata,
    /// `Chart.lock`, kept for storage only.
    pub lock: Option<Json>,
    pub values: Values,
    /// `values.yaml` as it was written.
    pub values_text: Option<Vec<u8>>,
    /// `values.schema.json`
    pub schema: Option<Vec<u8>>,
    pub templates: Vec<File>,
    /// Everything else: what `.Files` offers, `crds/` included.
    pub files: Vec<File>,
    pub dependencies: Vec<Chart>,
}

/// Why a chart could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{path}`")]
    Read { path: String, source: std::io::Error },
    #[error("`{0}` is not a regular file, and a chart may hold only such")]
    Irregular(String),
    #[error("the chart is larger than the limit of {limit} {what}; raise it with `--limit {name}=`")]
    TooLarge { what: &'static str, limit: usize, name: &'static str },
    #[error("Chart.yaml file is missing")]
    NoChartYaml,
    #[error("cannot load `{file}`")]
    Yaml { file: String, source: seaworthy_template::yaml::Error },
    #[error("cannot load `{file}`")]
    Shape { file: String, source: serde_json::Error },
    #[error("`{file}` must hold a map")]
    NotAMap { file: String },
    #[error("`{file}` is not UTF-8 text")]
    NotText { file: String },
    #[error("validation: {0}")]
    Invalid(String),
    #[error("found in Chart.yaml, but missing in charts/ directory: {}", .0.join(", "))]
    Missing(Vec<String>),
    #[error("cannot pack the chart `{chart}`")]
    Pack { chart: String, source: std::io::Error },
    #[error("`.helmignore` has a bad pattern `{0}`")]
    Ignore(String),
    #[error("cannot unpack subchart `{subchart}` of `{chart}`")]
    Subchart { chart: String, subchart: String, source: Box<Error> },
    #[error("cannot unpack `{archive}`: {reason}")]
    Archive { archive: String, reason: String },
}

impl Chart {
    /// Loads a chart from a folder, honouring `.helmignore`, or from a packed chart.
    pub fn load(path: impl AsRef<Path>) -> Result<Chart, Error> {
        Chart::load_within(path, &Limits::default())
    }

    /// The same within bounds of the caller's choice.
    pub fn load_within(path: impl AsRef<Path>, limits: &Limits) -> Result<Chart, Error> {
        let path = path.as_ref();
        if !path.is_file() {
            return assemble(load::read_folder(path, limits)?, &mut Nesting::new(limits));
        }
        Chart::from_archive(&path.display().to_string(), &load::read_file(path, limits)?, limits)
    }

    /// A packed chart in memory; `name` is for messages.
    pub fn from_archive(name: &str, packed: &[u8], limits: &Limits) -> Result<Chart, Error> {
        let mut nesting = Nesting::new(limits);
        assemble(archive::unpack(name, packed, &mut nesting.budget)?, &mut nesting)
    }

    /// The files of a packed chart, for unpacking it: paths are inside the chart and lead nowhere else.
    pub fn archive_files(name: &str, packed: &[u8], limits: &Limits) -> Result<Vec<File>, Error> {
        archive::unpack(name, packed, &mut load::Budget::new(limits))
    }

    /// Puts a chart together from files with paths relative to the chart.
    pub fn from_files(files: Vec<File>) -> Result<Chart, Error> {
        assemble(files, &mut Nesting::new(&Limits::default()))
    }
}

/// What is left of the bounds while charts inside charts are unpacked.
struct Nesting<'l> {
    budget: load::Budget<'l>,
    depth: usize,
    limit: usize,
}

impl<'l> Nesting<'l> {
    fn new(limits: &'l Limits) -> Self {
        Nesting { budget: load::Budget::new(limits), depth: 0, limit: limits.chart_depth }
    }
}

fn assemble(files: Vec<File>, nesting: &mut Nesting<'_>) -> Result<Chart, Error> {
    let mut chart = Chart::default();
    let mut subcharts: BTreeMap<String, Vec<File>> = BTreeMap::new();
    let Some(chart_yaml) = files.iter().find(|file| file.name == "Chart.yaml") else {
        return Err(Error::NoChartYaml);
    };
    chart.metadata = typed(chart_yaml)?;
    if chart.metadata.api_version.is_empty() {
        chart.metadata.api_version = "v1".into();
    }
    for file in files {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => chart.lock = Some(yaml(&file)?),
            "values.yaml" => {
                chart.values = values::load(&file.name, text(&file)?)?;
                chart.values_text = Some(file.data);
            }
            "values.schema.json" => chart.schema = Some(file.data),
            "requirements.yaml" => {
                let requirements: Metadata = typed(&file)?;
                chart.metadata.dependencies.extend(requirements.dependencies);
                chart.keep_v1(file);
            }
            "requirements.lock" => {
                chart.lock = Some(yaml(&file)?);
                chart.keep_v1(file);
            }
            name if name.starts_with("templates/") => chart.templates.push(file),
            name if name.starts_with("charts/") && !name.ends_with(".prov") => {
                let inner = name["charts/".len()..].to_owned();
                let folder = inner.split('/').next().unwrap_or_default().to_owned();
                subcharts.entry(folder).or_default().push(File { name: inner, data: file.data });
            }
            _ => chart.files.push(file),
        }
    }
    chart.metadata.validate().map_err(Error::Invalid)?;
    chart.add_subcharts(subcharts, nesting)?;
    Ok(chart)
}

impl Chart {
    fn keep_v1(&mut self, file: File) {
        if self.metadata.api_version == "v1" {
            self.files.push(file);
        }
    }

    fn add_subcharts(
        &mut self,
        subcharts: BTreeMap<String, Vec<File>>,
        nesting: &mut Nesting<'_>,
    ) -> Result<(), Error> {
        if nesting.depth >= nesting.limit && !subcharts.is_empty() {
            let (what, name) = ("charts inside each other", "chart-depth");
            return Err(Error::TooLarge { what, limit: nesting.limit, name });
        }
        nesting.depth += 1;
        for (name, files) in subcharts {
            if name.starts_with(['_', '.']) {
                continue;
            }
            let unpacked = subchart_files(&name, files, nesting).and_then(|inner| match inner.is_empty() {
                true => Ok(None),
                false => assemble(inner, nesting).map(Some),
            });
            let subchart = unpacked.map_err(|source| Error::Subchart {
                chart: self.metadata.name.clone(),
                subchart: name,
                source: Box::new(source),
            })?;
            self.dependencies.extend(subchart);
        }
        nesting.depth -= 1;
        Ok(())
    }

    /// Whether `charts/` holds what `Chart.yaml` asks for.
    pub fn check_dependencies(&self) -> Result<(), Error> {
        let missing: Vec<String> =
            crate::dependencies::missing(self).into_iter().map(str::to_owned).collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Missing(missing)) }
    }

    /// Calls the chart by another version.
    pub fn set_version(&mut self, version: &str) -> Result<(), Error> {
        self.metadata.version = version.to_owned();
        self.metadata.validate().map_err(Error::Invalid)
    }

    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Files below `crds/` of this chart and its subcharts, with the path Helm prints for them.
    pub fn crds(&self) -> Vec<File> {
        let mut found = Vec::new();
        self.collect_crds(self.name(), &mut found);
        found
    }

    fn collect_crds(&self, path: &str, found: &mut Vec<File>) {
        let is_crd = |file: &&File| {
            file.name.starts_with("crds/")
                && [".yaml", ".yml", ".json"].iter().any(|ext| file.name.ends_with(ext))
        };
        for file in self.files.iter().filter(is_crd) {
            found.push(File { name: format!("{path}/{}", file.name), data: file.data.clone() });
        }
        for subchart in &self.dependencies {
            subchart.collect_crds(&format!("{path}/charts/{}", subchart.name()), found);
        }
    }
}

fn text(file: &File) -> Result<&str, Error> {
    std::str::from_utf8(&file.data).map_err(|_| Error::NotText { file: file.name.clone() })
}

fn yaml(file: &File) -> Result<Json, Error> {
    let source = |source| Error::Yaml { file: file.name.clone(), source };
    seaworthy_template::yaml::read(text(file)?).map_err(source)
}

fn typed<T: serde::de::DeserializeOwned>(file: &File) -> Result<T, Error> {
    let document = match yaml(file)? {
        Json::Null => Json::Object(Map::new()),
        other => other,
    };
    serde_json::from_value(document).map_err(|source| Error::Shape { file: file.name.clone(), source })
}

/// The files of a subchart: an archive is unpacked, a folder loses its name, anything else is no chart.
fn subchart_files(name: &str, files: Vec<File>, nesting: &mut Nesting<'_>) -> Result<Vec<File>, Error> {
    if name.ends_with(".tgz") {
        return files
            .iter()
            .find(|file| file.name == name)
            .map_or(Ok(Vec::new()), |file| archive::unpack(name, &file.data, &mut nesting.budget));
    }
    let prefix = format!("{name}/");
    let inner =
        |file: File| Some(File { name: file.name.strip_prefix(&prefix)?.to_owned(), data: file.data });
    Ok(files.into_iter().filter_map(inner).collect())
}
