//! Repositories with names: added, brought up to date, removed. What is written is where Helm looks for it.
//!
//! Start at [`add`] and [`refresh`].

use std::path::Path;

use seaworthy_helm::Limits;

use crate::http;
use crate::index::Index;
use crate::repositories::{self, Entry, Repositories};
use crate::settings::Settings;
use crate::source::{self, fetch_index_data};
use crate::whole;

/// Repositories of Helm's first years, whose charts are gone, and where they went.
const GONE: [(&str, &str); 2] = [
    ("//kubernetes-charts.storage.googleapis.com", "https://charts.helm.sh/stable"),
    ("//kubernetes-charts-incubator.storage.googleapis.com", "https://charts.helm.sh/incubator"),
];

/// Why a repository could not be added, refreshed or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("repo {url:?} is no longer available; try {instead:?} instead")]
    Gone { url: String, instead: &'static str },
    #[error("repository name ({0}) contains '/', please specify a different name without '/'")]
    Name(String),
    #[error("repository name ({0}) already exists, please specify a different name")]
    Taken(String),
    #[error("no repositories configured")]
    None,
    #[error("no repo named {0:?} found")]
    Unknown(String),
    #[error("cannot keep the index in `{path}`")]
    Cache { path: String, source: std::io::Error },
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    File(#[from] repositories::Error),
}

/// What became of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    New,
    /// It was there already, the very same.
    Same,
}

/// Refuses what was given up long ago.
pub fn check_available(url: &str) -> Result<(), Error> {
    match GONE.iter().find(|(gone, _)| url.contains(gone)) {
        Some((_, instead)) => Err(Error::Gone { url: url.to_owned(), instead }),
        None => Ok(()),
    }
}

/// Gives a repository a name, once its index could be read; `replace` takes the name from another.
pub async fn add(entry: Entry, replace: bool, settings: &Settings, limits: &Limits) -> Result<Added, Error> {
    if entry.name.contains('/') {
        return Err(Error::Name(entry.name));
    }
    let known = Repositories::load(&settings.repository_config)?;
    match known.named(&entry.name).filter(|_| !replace) {
        Some(same) if *same == entry => return Ok(Added::Same),
        Some(_) => return Err(Error::Taken(entry.name)),
        None => {}
    }
    refresh(&entry, settings, limits).await?;
    Repositories::change(&settings.repository_config, |known| {
        if !replace && known.named(&entry.name).is_some_and(|other| *other != entry) {
            return Err(Error::Taken(entry.name));
        }
        known.put(entry);
        Ok(Added::New)
    })
}

/// Fetches the index of a repository and keeps it, and the names of its charts.
pub async fn refresh(entry: &Entry, settings: &Settings, limits: &Limits) -> Result<(), Error> {
    let failed = |source: source::Error| source::Error::Repository {
        url: entry.url.clone(),
        source: Box::new(source),
    };
    let base = http::parse(&entry.url).map_err(|error| failed(error.into()))?;
    let data = fetch_index_data(&base, &entry.access(), limits).await.map_err(failed)?;
    let index = Index::parse(&data, limits.index_bytes)
        .map_err(|source| failed(source::Error::Index { place: http::shown(&base), source }))?;
    let charts: String = index.charts().map(|name| format!("{name}\n")).collect();
    keep(&settings.repository_cache, &format!("{}-charts.txt", entry.name), charts.as_bytes())?;
    keep(&settings.repository_cache, &format!("{}-index.yaml", entry.name), &data)
}

fn keep(folder: &Path, name: &str, data: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    whole::write(&path, data).map_err(|source| Error::Cache { path: path.display().to_string(), source })
}

/// Forgets a repository, and what was kept of it.
pub fn remove(name: &str, settings: &Settings) -> Result<(), Error> {
    Repositories::change(&settings.repository_config, |known| {
        if known.repositories.is_empty() {
            return Err(Error::None);
        }
        let before = known.repositories.len();
        known.repositories.retain(|entry| entry.name != name);
        match known.repositories.len() == before {
            true => Err(Error::Unknown(name.to_owned())),
            false => Ok(()),
        }
    })?;
    for file in [format!("{name}-charts.txt"), format!("{name}-index.yaml")] {
        let path = settings.repository_cache.join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Cache { path: path.display().to_string(), source: error });
            }
            _ => {}
        }
    }
    Ok(())
}
