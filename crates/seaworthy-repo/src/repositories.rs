//! `repositories.yaml`: the repositories a person gave names to, with Helm or with us.

use std::path::Path;

use seaworthy_helm::yaml;
use serde::{Deserialize, Serialize};

use crate::http::Access;

/// Largest file that is read; a thousand repositories fit.
const MAX_BYTES: u64 = 4 << 20;

/// A repository with a name.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    pub name: String,
    pub url: String,
    pub username: String,
    pub password: String,
    #[serde(rename = "certFile")]
    pub cert_file: String,
    #[serde(rename = "keyFile")]
    pub key_file: String,
    #[serde(rename = "caFile")]
    pub ca_file: String,
    pub insecure_skip_tls_verify: bool,
    pub pass_credentials_all: bool,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

/// The file's content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Repositories {
    pub repositories: Vec<Entry>,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("couldn't load repositories file ({path})")]
    Read { path: String, source: std::io::Error },
    #[error("couldn't load repositories file ({path}): it is larger than {MAX_BYTES} bytes")]
    TooLarge { path: String },
    #[error("couldn't load repositories file ({path})")]
    Yaml { path: String, source: yaml::Error },
    #[error("couldn't load repositories file ({path})")]
    Shape { path: String, source: serde_json::Error },
}

impl Repositories {
    /// Reads the file; none means no repositories.
    pub fn load(path: &Path) -> Result<Repositories, Error> {
        let shown = path.display().to_string();
        let size = match std::fs::metadata(path) {
            Ok(info) => info.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Repositories::default()),
            Err(source) => return Err(Error::Read { path: shown, source }),
        };
        if size > MAX_BYTES {
            return Err(Error::TooLarge { path: shown });
        }
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| Error::Read { path: shown.clone(), source })?;
        let document = yaml::read(&text).map_err(|source| Error::Yaml { path: shown.clone(), source })?;
        if document.is_null() {
            return Ok(Repositories::default());
        }
        serde_json::from_value(document).map_err(|source| Error::Shape { path: shown, source })
    }

    pub fn named(&self, name: &str) -> Option<&Entry> {
        self.repositories.iter().find(|entry| entry.name == name)
    }

    /// The repository at a URL; a slash at the end makes no difference.
    pub fn at(&self, url: &str) -> Option<&Entry> {
        let wanted = url.trim_end_matches('/');
        self.repositories.iter().find(|entry| entry.url.trim_end_matches('/') == wanted)
    }
}

impl Entry {
    pub fn access(&self) -> Access {
        let file = |path: &str| (!path.is_empty()).then(|| path.into());
        Access {
            username: self.username.clone(),
            password: self.password.clone(),
            pass_credentials: self.pass_credentials_all,
            ca_file: file(&self.ca_file),
            cert_file: file(&self.cert_file),
            key_file: file(&self.key_file),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            plain_http: false,
        }
    }
}
