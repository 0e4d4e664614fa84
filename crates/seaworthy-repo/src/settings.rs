//! Where Helm keeps what we share with it, by the same environment variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Paths of Helm's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `repositories.yaml`
    pub repository_config: PathBuf,
    /// The folder of `NAME-index.yaml`.
    pub repository_cache: PathBuf,
    /// Charts by their digest.
    pub content_cache: PathBuf,
    /// Logins at registries.
    pub registry_config: PathBuf,
    /// Docker's logins, which are asked second.
    pub docker_config: PathBuf,
    /// Public keys of `--verify`.
    pub keyring: PathBuf,
    pub plugins: PathBuf,
}

impl Settings {
    /// The settings of this process.
    pub fn from_environment() -> Settings {
        Settings::from(|name| std::env::var_os(name))
    }

    /// The settings that `variable` leads to.
    pub fn from(variable: impl Fn(&str) -> Option<OsString>) -> Settings {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME").unwrap_or_else(|| PathBuf::from("."));
        let base = |helm: &str, xdg: &str, fallback: &str| {
            set(helm)
                .or_else(|| set(xdg).map(|base| base.join("helm")))
                .unwrap_or_else(|| home.join(fallback).join("helm"))
        };
        let mac = cfg!(target_os = "macos");
        let config =
            base("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", if mac { "Library/Preferences" } else { ".config" });
        let cache = base("HELM_CACHE_HOME", "XDG_CACHE_HOME", if mac { "Library/Caches" } else { ".cache" });
        let data = base("HELM_DATA_HOME", "XDG_DATA_HOME", if mac { "Library" } else { ".local/share" });
        let or = |name: &str, base: &Path, path: &str| set(name).unwrap_or_else(|| base.join(path));
        Settings {
            repository_config: or("HELM_REPOSITORY_CONFIG", &config, "repositories.yaml"),
            repository_cache: or("HELM_REPOSITORY_CACHE", &cache, "repository"),
            content_cache: or("HELM_CONTENT_CACHE", &cache, "content"),
            registry_config: or("HELM_REGISTRY_CONFIG", &config, "registry/config.json"),
            docker_config: set("DOCKER_CONFIG").unwrap_or_else(|| home.join(".docker")).join("config.json"),
            keyring: set("GNUPGHOME").unwrap_or_else(|| home.join(".gnupg")).join("pubring.gpg"),
            plugins: or("HELM_PLUGINS", &data, "plugins"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], config: &str, index: &str) {
        let settings = Settings::from(|name| {
            Some(OsString::from(variables.iter().find(|(known, _)| *known == name)?.1))
        });
        assert_eq!(settings.repository_config, Path::new(config));
        assert_eq!(settings.repository_cache, Path::new(index));
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn helms_folders_are_found_as_helm_finds_them() {
        check(&[("HOME", "/h")], "/h/.config/helm/repositories.yaml", "/h/.cache/helm/repository");
        check(
            &[("XDG_CONFIG_HOME", "/c"), ("HELM_CACHE_HOME", "/x")],
            "/c/helm/repositories.yaml",
            "/x/repository",
        );
        check(&[("HELM_REPOSITORY_CONFIG", "/r.yaml"), ("HELM_REPOSITORY_CACHE", "/i")], "/r.yaml", "/i");
    }
}
