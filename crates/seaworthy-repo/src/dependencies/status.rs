//! How the dependencies of a chart stand, in Helm's words.

use std::fmt;
use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, Dependency, Limits};
use seaworthy_template::{version_compare, version_is_constraint, version_matches};

/// One word per state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    Unpacked,
    Missing,
    Corrupt,
    Misnamed,
    InvalidVersion,
    WrongVersion,
    TooManyMatches,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Ok => "ok",
            Status::Unpacked => "unpacked",
            Status::Missing => "missing",
            Status::Corrupt => "corrupt",
            Status::Misnamed => "misnamed",
            Status::InvalidVersion => "invalid version",
            Status::WrongVersion => "wrong version",
            Status::TooManyMatches => "too many matches",
        })
    }
}

/// Something in `charts/` that `Chart.yaml` does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    NotAChart(PathBuf),
    NotInChartYaml(PathBuf),
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unlisted::NotAChart(path) => write!(f, "WARNING: {path:?} is not a chart."),
            Unlisted::NotInChartYaml(path) => write!(f, "WARNING: {path:?} is not in Chart.yaml."),
        }
    }
}

/// Each dependency with its state; `path` is the chart's folder or archive.
pub fn list(path: &Path, chart: &Chart, limits: &Limits) -> Vec<(Dependency, Status)> {
    let state = |dependency: &Dependency| (dependency.clone(), status(path, chart, dependency, limits));
    chart.metadata.dependencies.iter().map(state).collect()
}

/// What lies in `charts/` without being asked for.
pub fn unlisted(path: &Path, chart: &Chart, limits: &Limits) -> Vec<Unlisted> {
    let mut found = Vec::new();
    for path in entries(&path.join("charts")) {
        if !path.is_dir() && path.extension().is_none_or(|extension| extension != "tgz") {
            continue;
        }
        match Chart::load_within(&path, limits) {
            Err(_) => found.push(Unlisted::NotAChart(path)),
            Ok(inner) => {
                let listed =
                    chart.metadata.dependencies.iter().any(|dependency| dependency.name == inner.name());
                found.extend((!listed).then_some(Unlisted::NotInChartYaml(path)));
            }
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn status(path: &Path, chart: &Chart, wanted: &Dependency, limits: &Limits) -> Status {
    let version = |path: &PathBuf| -> Option<String> {
        let name = path.file_name()?.to_str()?;
        Some(name.strip_prefix(&wanted.name)?.strip_prefix('-')?.strip_suffix(".tgz")?.to_owned())
    };
    let mut archives = entries(&path.join("charts"));
    archives.retain(|path| version(path).is_some());
    if archives.len() > 1 {
        archives.retain(|path| version(path).is_some_and(|version| is_strict(&version)));
        if archives.len() > 1 {
            return Status::TooManyMatches;
        }
    }
    if let [archive] = archives.as_slice() {
        return match Chart::load_within(archive, limits) {
            Err(_) => Status::Corrupt,
            Ok(found) if found.name() != wanted.name => Status::Misnamed,
            Ok(found) => fit(&found, wanted).unwrap_or(Status::Ok),
        };
    }
    match chart.dependencies.iter().find(|subchart| subchart.name() == wanted.name) {
        None => Status::Missing,
        Some(found) => fit(found, wanted).unwrap_or(Status::Unpacked),
    }
}

fn is_strict(version: &str) -> bool {
    version_compare(version, version).is_some()
        && version.split(['-', '+']).next().is_some_and(|core| core.split('.').count() == 3)
}

/// What is wrong with a version that is there.
fn fit(found: &Chart, wanted: &Dependency) -> Option<Status> {
    let version = &found.metadata.version;
    if *version == wanted.version {
        return None;
    }
    if !version_is_constraint(&wanted.version) {
        return Some(Status::InvalidVersion);
    }
    match version_matches(&wanted.version, version) {
        None => Some(Status::InvalidVersion),
        Some(false) => Some(Status::WrongVersion),
        Some(true) => None,
    }
}
