//! Where Helm's files are, which are ours too: by its environment variables, or by its global flags.

use std::path::PathBuf;
use std::sync::OnceLock;

use seaworthy_repo::Settings;

/// Decided once, when the command line was read.
static CHOSEN: OnceLock<Settings> = OnceLock::new();

/// Helm's global flags for its files.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Files shared with Helm")]
pub struct FilesArgs {
    /// Logins at registries
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    registry_config: Option<PathBuf>,

    /// Names of repositories
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    repository_config: Option<PathBuf>,

    /// Folder of their indexes
    #[arg(long, global = true, value_name = "FOLDER", hide_short_help = true)]
    repository_cache: Option<PathBuf>,

    /// Folder of charts that were fetched
    #[arg(long, global = true, value_name = "FOLDER", hide_short_help = true)]
    content_cache: Option<PathBuf>,
}

impl FilesArgs {
    /// Makes these the files of this process.
    pub fn choose(self) {
        let found = Settings::from_environment();
        let chosen = Settings {
            registry_config: self.registry_config.unwrap_or(found.registry_config),
            repository_config: self.repository_config.unwrap_or(found.repository_config),
            repository_cache: self.repository_cache.unwrap_or(found.repository_cache),
            content_cache: self.content_cache.unwrap_or(found.content_cache),
            ..found
        };
        // The command line is read once.
        let _ = CHOSEN.set(chosen);
    }
}

/// The files of this process.
pub fn settings() -> Settings {
    CHOSEN.get().cloned().unwrap_or_else(Settings::from_environment)
}
