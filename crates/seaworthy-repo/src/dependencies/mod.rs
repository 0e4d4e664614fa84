//! The `charts/` folder of a chart: what `Chart.yaml` asks for, resolved, fetched and locked.
//!
//! [`Manager::update`] resolves anew and writes `Chart.lock`; [`Manager::build`] fetches what the lock says;
//! [`list`] tells how things stand. A failure leaves `charts/` as it was.

mod fetch;
mod resolve;
mod status;

use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, ChartError, Dependency, Limits, lock};
use serde_json::Value as Json;

use crate::http::Access;
use crate::registry;
use crate::settings::Settings;
use crate::{provenance, repositories, source};

pub use status::{Status, Unlisted, list, unlisted};

/// Brings `charts/` into the state that is wanted.
pub struct Manager<'a> {
    pub folder: PathBuf,
    pub settings: &'a Settings,
    pub access: Access,
    pub limits: Limits,
    /// Use indexes as they were last fetched.
    pub skip_refresh: bool,
    /// Check signatures with the keys of this file.
    pub keyring: Option<PathBuf>,
    /// Of archives and lock files; the present when absent.
    pub time_unix_s: Option<u64>,
}

/// Told line by line while it happens.
pub type Tell<'t> = &'t mut (dyn FnMut(String) + Send);

/// Why `charts/` could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not find {0}")]
    NoFolder(String),
    #[error("only unpacked charts can be updated")]
    NotAFolder,
    #[error("cannot load `{path}`")]
    Load { path: String, source: ChartError },
    #[error(
        "the lock file ({lock}) is out of sync with the dependencies file ({asked}); \
         bring it up to date with `seaworthy dependency update`"
    )]
    OutOfSync { lock: &'static str, asked: &'static str },
    #[error("the lock file cannot be understood")]
    Lock { source: serde_json::Error },
    #[error("no repository is called {0}; give its URL, or add it with `helm repo add`")]
    NoRepository(String),
    #[error("directory {0} not found")]
    NoDirectory(String),
    #[error("dependency {name:?} has an invalid version or range: {version}")]
    Range { name: String, version: String },
    #[error(
        "can't get a valid version for {} subchart(s): {}. Make sure a matching chart version exists in the repo, \
         or change the version constraint in Chart.yaml", .0.len(), .0.join(", ")
    )]
    NoVersion(Vec<String>),
    #[error("{name} chart not found in repo {repository}")]
    NotThere { name: String, repository: String },
    #[error("dependency {name} at version {found} does not satisfy the constraint {wanted}")]
    Local { name: String, found: String, wanted: String },
    #[error("cannot fetch {name} from {repository}")]
    Fetch { name: String, repository: String, source: Box<source::Error> },
    #[error("cannot resolve {name} from {repository}")]
    Registry { name: String, repository: String, source: registry::Error },
    #[error("the signature of {name} is missing or wrong")]
    Provenance { name: String, source: provenance::Error },
    #[error("what {repository} sends for {name} {version} is another chart: {found}")]
    Other { name: String, version: String, repository: String, found: String },
    #[error("the {file} file is a symlink to {target:?}, which is not written through")]
    Symlink { file: &'static str, target: String },
    #[error("cannot write `{path}`")]
    Write { path: String, source: std::io::Error },
    #[error(transparent)]
    Repositories(#[from] repositories::Error),
    #[error(transparent)]
    Source(#[from] source::Error),
}

/// A chart's own files that speak of dependencies, by its API version.
struct Names {
    lock: &'static str,
    asked: &'static str,
}

fn names(chart: &Chart) -> Names {
    match chart.metadata.api_version.as_str() {
        "v1" => Names { lock: "requirements.lock", asked: "requirements.yaml" },
        _ => Names { lock: "Chart.lock", asked: "Chart.yaml" },
    }
}

impl Manager<'_> {
    /// Resolves what is asked for anew, fetches it and writes the lock file.
    pub async fn update(&self, tell: Tell<'_>) -> Result<(), Error> {
        let chart = self.load()?;
        if chart.metadata.dependencies.is_empty() {
            return Ok(());
        }
        let known = repositories::Repositories::load(&self.settings.repository_config)?;
        let asked = resolve::named(chart.metadata.dependencies.clone(), &known, &self.folder)?;
        let indexes = fetch::indexes(self, &asked, &known, tell).await?;
        let mut locked = resolve::resolve(self, &asked, &indexes).await?;
        fetch::all(self, &mut locked, &known, tell).await?;
        let digest = lock::digest(&asked, &locked);
        let before = chart.lock.as_ref().and_then(|lock| lock["digest"].as_str());
        if before == Some(digest.as_str()) {
            return Ok(());
        }
        self.write_lock(names(&chart).lock, &lock::write(&locked, &digest, &self.now()))
    }

    /// Fetches what the lock file says; without one, the same as [`Manager::update`].
    pub async fn build(&self, tell: Tell<'_>) -> Result<(), Error> {
        let chart = self.load()?;
        let Some(file) = &chart.lock else { return self.update(tell).await };
        let known = repositories::Repositories::load(&self.settings.repository_config)?;
        let written = chart.metadata.dependencies.clone();
        let asked = resolve::named(written.clone(), &known, &self.folder)?;
        let mut locked = locked_dependencies(file)?;
        let digest = file["digest"].as_str().unwrap_or_default();
        let is_v2 = chart.metadata.api_version == "v1" && digest == lock::digest_v2(&written);
        if digest != lock::digest(&asked, &locked) && !is_v2 {
            let Names { lock, asked } = names(&chart);
            return Err(Error::OutOfSync { lock, asked });
        }
        fetch::all(self, &mut locked, &known, tell).await
    }

    fn load(&self) -> Result<Chart, Error> {
        let path = self.folder.display().to_string();
        if !self.folder.exists() {
            return Err(Error::NoFolder(path));
        }
        if !self.folder.is_dir() {
            return Err(Error::NotAFolder);
        }
        Chart::load_within(&self.folder, &self.limits).map_err(|source| Error::Load { path, source })
    }

    fn now(&self) -> String {
        match self.time_unix_s.and_then(|s| jiff::Timestamp::from_second(i64::try_from(s).ok()?).ok()) {
            Some(time) => time.to_string(),
            None => jiff::Timestamp::now().to_string(),
        }
    }

    /// A lock file that is a link would be a way to write anywhere.
    fn write_lock(&self, file: &'static str, text: &str) -> Result<(), Error> {
        let path = self.folder.join(file);
        if let Ok(target) = std::fs::read_link(&path) {
            return Err(Error::Symlink { file, target: target.display().to_string() });
        }
        write(&path, text.as_bytes())
    }
}

fn locked_dependencies(lock: &Json) -> Result<Vec<Dependency>, Error> {
    match &lock["dependencies"] {
        Json::Null => Ok(Vec::new()),
        list => serde_json::from_value(list.clone()).map_err(|source| Error::Lock { source }),
    }
}

fn write(path: &Path, data: &[u8]) -> Result<(), Error> {
    std::fs::write(path, data).map_err(|source| Error::Write { path: path.display().to_string(), source })
}
