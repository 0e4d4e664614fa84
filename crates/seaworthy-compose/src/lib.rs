//! Compose files into the application model.
//!
//! Reads the files `docker compose` would read: `compose.yaml` and its override, `.env`, `env_file`, profiles and
//! references to variables. Each setting is carried over, or reported in [`Loaded::dropped`] with its line and the
//! reason, or refused with the place and a hint; none is lost in silence. What Kubernetes needs and Compose cannot
//! say stands under `x-seaworthy`, see [`extension`].
//!
//! Start at [`load`].

mod checks;
mod dotenv;
mod error;
mod extends;
pub mod extension;
mod files;
mod health;
mod interpolate;
mod merge;
mod mounts;
mod node;
mod ports;
mod references;
mod scalars;
mod secrets;
mod section;
mod service;
mod top;
mod variables;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use seaworthy_app::App;

pub use error::{At, Error, Problem};
use node::Mark;

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The app's folder; relative paths of the files start here.
    pub folder: PathBuf,
    /// Files in the order they are laid over each other. Empty means the usual names in `folder`, with the override.
    pub files: Vec<PathBuf>,
    /// Active profiles, besides those of `COMPOSE_PROFILES`; `*` activates all.
    pub profiles: Vec<String>,
    /// The name of the app, when it is not to be the file's or the folder's.
    pub name: Option<String>,
    /// Variables of the environment; they win over `.env`.
    pub environment: BTreeMap<String, String>,
}

/// A file that could be used, and what of it could not.
#[derive(Debug)]
pub struct Loaded {
    pub app: App,
    /// Settings that are not carried over, in the order of the files.
    pub dropped: Vec<Dropped>,
    /// Sentences for the user about settings that are carried over differently than one might think.
    pub warnings: Vec<String>,
    /// The Compose files that were read.
    pub files: Vec<PathBuf>,
}

/// A setting that has no place in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// For example `services.web.container_name`.
    pub path: String,
    pub file: PathBuf,
    /// Counted from one.
    pub line: usize,
    pub column: usize,
    pub reason: String,
}

/// Loads the app that the files describe.
pub fn load(request: &Request) -> Result<Loaded, Error> {
    let mut sources = Vec::new();
    let mut report = Report::default();
    match top::load(request, &mut sources, &mut report) {
        Err(fault) => Err(fault.into_error(&sources)),
        Ok(app) => {
            let files =
                sources.iter().filter(|source| !source.text.is_empty()).map(|source| source.path.clone());
            Ok(Loaded {
                app,
                files: files.collect(),
                dropped: report.dropped(&sources),
                warnings: report.warnings,
            })
        }
    }
}

/// Collects what a person should know although it stops nothing.
#[derive(Debug, Default)]
pub(crate) struct Report {
    dropped: Vec<(Mark, String, String)>,
    seen: BTreeSet<String>,
    warnings: Vec<String>,
}

impl Report {
    pub(crate) fn drop_key(&mut self, mark: Mark, path: impl Into<String>, reason: impl Into<String>) {
        let path = path.into();
        if self.seen.insert(path.clone()) {
            self.dropped.push((mark, path, reason.into()));
        }
    }

    pub(crate) fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    fn dropped(&mut self, sources: &[node::Source]) -> Vec<Dropped> {
        let mut dropped = std::mem::take(&mut self.dropped);
        dropped.sort_by_key(|(mark, ..)| (mark.file, mark.line, mark.column));
        let named = |(mark, path, reason): (Mark, String, String)| Dropped {
            path,
            file: sources.get(mark.file).map(|source| source.path.clone()).unwrap_or_default(),
            line: mark.line,
            column: mark.column,
            reason,
        };
        dropped.into_iter().map(named).collect()
    }
}
