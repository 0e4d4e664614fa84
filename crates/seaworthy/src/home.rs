//! Where Seaworthy keeps its state on this machine.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The state folder: `$SEAWORTHY_HOME`, else `$XDG_DATA_HOME/seaworthy`, else `~/.local/share/seaworthy`.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    pub fn find() -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let found = set("SEAWORTHY_HOME")
            .or_else(|| set("XDG_DATA_HOME").map(|base| base.join("seaworthy")))
            .or_else(|| set("HOME").map(|base| base.join(".local/share/seaworthy")));
        let found = found.context("cannot tell where to keep state: set `SEAWORTHY_HOME` or `HOME`")?;
        Ok(Self(std::path::absolute(&found)?))
    }

    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// Everything of the local cluster.
    pub fn drydock(&self) -> PathBuf {
        self.0.join("drydock")
    }

    pub fn root(&self) -> &Path {
        &self.0
    }
}
