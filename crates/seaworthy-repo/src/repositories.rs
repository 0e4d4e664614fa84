//! `repositories.yaml`: the repositories a person gave names to, with Helm or with us.
//!
//! [`Repositories::change`] is the only way to write it: under the lock that Helm takes too, and whole or not at all.

use std::fs::File;
use std::path::Path;

use seaworthy_helm::yaml;
use serde::{Deserialize, Serialize};

use crate::http::Access;
use crate::whole;

/// Largest file that is read; a thousand repositories fit.
const MAX_BYTES: u64 = 4 << 20;

/// A repository with a name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The file's content. Version and time are kept as they are; Helm does not look at them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Repositories {
    api_version: String,
    generated: String,
    pub repositories: Vec<Entry>,
}

impl Default for Repositories {
    fn default() -> Self {
        let generated = "0001-01-01T00:00:00Z".to_owned();
        Repositories { api_version: String::new(), generated, repositories: Vec::new() }
    }
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
    #[error("cannot write the repositories file ({path})")]
    Write { path: String, source: std::io::Error },
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

    /// Reads the file, lets `change` change it, and writes it unless that fails. Waits for whoever else is doing this.
    pub fn change<T, E: From<Error>>(
        path: &Path,
        change: impl FnOnce(&mut Repositories) -> Result<T, E>,
    ) -> Result<T, E> {
        let failed = |source| Error::Write { path: path.display().to_string(), source };
        let _lock = lock(path).map_err(failed)?;
        let mut repositories = Repositories::load(path)?;
        let told = change(&mut repositories)?;
        repositories.write(path).map_err(failed)?;
        Ok(told)
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let document = serde_json::to_value(self)?;
        let text = yaml::write_json(&document).map_err(std::io::Error::other)?;
        whole::write(path, text.as_bytes())
    }

    /// Puts `entry` in the place of the one of its name, or at the end.
    pub fn put(&mut self, entry: Entry) {
        match self.repositories.iter_mut().find(|known| known.name == entry.name) {
            Some(known) => *known = entry,
            None => self.repositories.push(entry),
        }
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

/// Helm's lock: a file beside `repositories.yaml`, let go when it is closed.
fn lock(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::create(path.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry { name: name.into(), url: format!("https://{name}.test"), ..Entry::default() }
    }

    #[test]
    fn what_was_put_is_read_again_and_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("helm/repositories.yaml");
        let put = |name: &str| {
            Repositories::change::<(), Error>(&path, |known| {
                known.put(entry(name));
                Ok(())
            })
        };
        put("a").unwrap();
        put("b").unwrap();
        put("a").unwrap();
        let names: Vec<String> =
            Repositories::load(&path).unwrap().repositories.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a", "b"]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("apiVersion: \"\"\ngenerated: \"0001-01-01T00:00:00Z\"\n"), "{text}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_change_that_fails_leaves_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repositories.yaml");
        std::fs::write(&path, "repositories: 5").unwrap();
        let changed = Repositories::change::<(), Error>(&path, |_| Ok(()));
        assert!(matches!(changed, Err(Error::Shape { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "repositories: 5");
    }
}
