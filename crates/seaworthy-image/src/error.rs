//! What can go wrong with an image, in the words of the person who named it.

use std::path::PathBuf;

use crate::reference::BadName;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },

    #[error("`{reference}` is not an image name")]
    BadReference { reference: String, source: BadName },

    #[error("the image store `{}` is damaged: {what}; remove the folder and build or pull the images again", path.display())]
    Damaged { path: PathBuf, what: String },

    #[error("layer `{digest}` of image `{image}` cannot be unpacked: {reason}")]
    Unpack { image: String, digest: String, reason: String },

    #[error("cannot pull `{image}` from {registry}")]
    Pull { image: String, registry: String, source: Box<oci_client::errors::OciDistributionError> },

    #[error("cannot pull `{image}`: {reason}")]
    PullRefused { image: String, reason: String },

    #[error("`cargo build` failed in `{}`; the last lines were:\n{tail}", context.display())]
    CargoBuild { context: PathBuf, tail: String },

    #[error("cannot run `{program}`: is it installed and on the PATH?")]
    Program { program: String, source: std::io::Error },

    #[error("package `{package}` in `{}` produced no binary", context.display())]
    NoBinary { package: String, context: PathBuf },

    #[error("binary `{}` is not static, so it cannot run in an image made from scratch", binary.display())]
    NotStatic { binary: PathBuf },

    #[error("cannot describe the image")]
    Spec(#[from] oci_spec::OciSpecError),

    #[error("cannot encode an image document")]
    Json(#[from] serde_json::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Names the path and what was tried beside the operating system's own words.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.into(), source: source.into() })
    }
}
