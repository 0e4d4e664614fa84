//! A packed chart to a folder.
//!
//! Nothing that exists is overwritten, and no path of an archive leaves the folder that is made for it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, ChartError, Limits};

/// Why a chart could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("failed to untar: a file or directory with the name {0} already exists")]
    Exists(String),
    #[error("cannot write `{path}`")]
    Write { path: String, source: std::io::Error },
}

/// Unpacks into `folder/NAME` and returns that folder.
pub fn expand(name: &str, packed: &[u8], folder: &Path, limits: &Limits) -> Result<PathBuf, Error> {
    let chart = Chart::from_archive(name, packed, limits)?;
    let target = folder.join(chart.name());
    if target.symlink_metadata().is_ok() {
        return Err(Error::Exists(target.display().to_string()));
    }
    for file in Chart::archive_files(name, packed, limits)? {
        let path = target.join(&file.name);
        let failed = |source| Error::Write { path: path.display().to_string(), source };
        fs::create_dir_all(path.parent().unwrap_or(&target)).map_err(failed)?;
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        out.write_all(&file.data).map_err(failed)?;
    }
    Ok(target)
}
