//! The index of a folder of packed charts: what makes the folder a repository.
//!
//! Start at [`index`].

use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, Limits, yaml};
use seaworthy_template::version_compare;
use serde_json::{Map, Value as Json, json};

use crate::cache;
use crate::index::{self, Index};
use crate::source::{self, Archive};

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the folder `{path}`")]
    Folder { path: String, source: std::io::Error },
    #[error("cannot write `{path}`")]
    Write { path: String, source: std::io::Error },
    #[error("merge failed: error loading {path}")]
    Merge { path: String, source: Box<source::Error> },
    #[error("merge failed: error loading {path}")]
    MergeIndex { path: String, source: index::Error },
    #[error("cannot write the index: {0}")]
    Yaml(String),
}

/// How the index is made.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Where the folder will be found; empty for URLs relative to the index.
    pub url: String,
    /// An index whose other versions are kept; made when there is none.
    pub merge: Option<PathBuf>,
    pub json: bool,
}

/// Writes `index.yaml` into `folder`, of the charts in it and in its folders. What is no chart is passed over.
pub fn index(folder: &Path, wanted: &Wanted, now: &str, limits: &Limits) -> Result<(), Error> {
    let mut entries: Map<String, Json> = Map::new();
    for path in archives(folder)? {
        if let Some((name, entry)) = entry(folder, &path, &wanted.url, now, limits) {
            add(&mut entries, name, entry);
        }
    }
    if let Some(merge) = &wanted.merge {
        match merge.exists() {
            true => keep_others(&mut entries, merge, limits)?,
            false => write(merge, &document(Map::new(), now), wanted.json)?,
        }
    }
    for versions in entries.values_mut().filter_map(Json::as_array_mut) {
        versions.sort_by(|a, b| version_compare(version(b), version(a)).unwrap_or(std::cmp::Ordering::Equal));
    }
    write(&folder.join("index.yaml"), &document(entries, now), wanted.json)
}

fn document(entries: Map<String, Json>, now: &str) -> Json {
    json!({ "apiVersion": "v1", "entries": entries, "generated": now })
}

fn version(entry: &Json) -> &str {
    entry["version"].as_str().unwrap_or_default()
}

fn add(entries: &mut Map<String, Json>, name: String, entry: Json) {
    let versions = entries.entry(name).or_insert_with(|| json!([]));
    if let Some(versions) = versions.as_array_mut() {
        versions.push(entry);
    }
}

/// Packed charts in `folder`, then those one folder below, by name.
fn archives(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut here, mut folders) = (Vec::new(), Vec::new());
    for path in list(folder)? {
        match path.is_dir() {
            true => folders.push(path),
            false => here.push(path),
        }
    }
    for folder in folders {
        here.extend(list(&folder)?);
    }
    here.retain(|path| path.extension().is_some_and(|extension| extension == "tgz") && path.is_file());
    Ok(here)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Folder { path: folder.display().to_string(), source };
    let found = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<PathBuf> =
        found.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn entry(folder: &Path, path: &Path, url: &str, now: &str, limits: &Limits) -> Option<(String, Json)> {
    let archive = Archive::read(path, limits).ok()?;
    let chart = Chart::from_archive(&archive.origin, &archive.data, limits).ok()?;
    let relative = path.strip_prefix(folder).ok()?.to_string_lossy().into_owned();
    let url = match url.trim_end_matches('/') {
        "" => relative,
        base => format!("{base}/{relative}"),
    };
    let mut entry = serde_json::to_value(&chart.metadata).ok()?;
    entry["urls"] = json!([url]);
    entry["created"] = now.into();
    entry["digest"] = cache::digest(&archive.data).into();
    Some((chart.name().to_owned(), entry))
}

/// Adds the versions of another index that this one does not have.
fn keep_others(entries: &mut Map<String, Json>, merge: &Path, limits: &Limits) -> Result<(), Error> {
    let path = merge.display().to_string();
    let read = std::fs::metadata(merge).and_then(|info| match info.len() > limits.index_bytes as u64 {
        true => Err(std::io::Error::other("it is larger than `--limit index-bytes=` allows")),
        false => std::fs::read(merge),
    });
    let data = read.map_err(|source| Error::Merge {
        path: path.clone(),
        source: Box::new(source::Error::Read { path: path.clone(), source }),
    })?;
    let other =
        Index::parse(&data, limits.index_bytes).map_err(|source| Error::MergeIndex { path, source })?;
    for (name, entry) in other.into_entries() {
        let known = entries.get(&name).and_then(Json::as_array);
        if !known.is_some_and(|known| known.iter().any(|own| version(own) == version(&entry))) {
            add(entries, name, entry);
        }
    }
    Ok(())
}

fn write(path: &Path, document: &Json, as_json: bool) -> Result<(), Error> {
    let text = match as_json {
        true => serde_json::to_string_pretty(document).map_err(|error| Error::Yaml(error.to_string()))?,
        false => yaml::write_json(document).map_err(Error::Yaml)?,
    };
    std::fs::write(path, text).map_err(|source| Error::Write { path: path.display().to_string(), source })
}
