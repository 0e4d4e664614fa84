//! Our own container runtime: one process turned into a container, in the calling process.
//!
//! Everything here runs in a freshly forked, single-threaded child and either ends in `execve` or returns
//! an [`Error`] for the shim to report. It writes no files of its own and never looks at what the image
//! contains without `openat2`, so an image's symlinks cannot lead a mount outside. Start at
//! [`process::enter_container`] and [`process::enter_exec`].

pub mod capabilities;
pub mod cgroup;
pub mod command;
pub mod limits;
pub mod mount_api;
pub mod process;
pub mod rooted;
pub mod rootfs;
pub mod seccomp;
mod seccomp_list;
pub mod user;

use std::io;

use crate::protocol::{Refusal, RefusalKind};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing}")]
    Kernel {
        doing: String,
        #[source]
        source: io::Error,
    },
    /// In the words of runc, which operators search for.
    #[error("exec: {0}")]
    CannotRun(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    pub fn refusal(&self) -> Refusal {
        let kind = match self {
            Self::Kernel { .. } => RefusalKind::Failed,
            Self::CannotRun(_) => RefusalKind::CannotRun,
            Self::Invalid(_) => RefusalKind::Invalid,
            Self::Unsupported(_) => RefusalKind::Unsupported,
        };
        // A refusal crosses processes as one sentence, so the chain of causes is written out here.
        let message = match self {
            Self::Kernel { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        };
        Refusal { kind, message }
    }
}

/// Says what was being tried when the kernel refused.
pub trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Kernel { doing: what(), source: source.into() })
    }
}
