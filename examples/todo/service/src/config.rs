//! Settings from environment variables, read once at start.
//!
//! `NAME_FILE` names a file that holds the value of `NAME`, as mounted secrets do. What a developer's machine need not
//! say is filled in by [`set_defaults`] or, outside production, by [`local`].
//!
//! A missing or malformed setting is an [`Error`] that names the variable and never repeats its value:
//! the value may be a secret.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

/// Shorter keys can be guessed; HS256 wants as many bytes as its hash has.
const SECRET_MIN_LEN: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("environment variable `{0}` is not set")]
    Missing(&'static str),
    #[error("environment variable `{name}` is not {expected}")]
    Malformed { name: &'static str, expected: &'static str },
    #[error("environment variable `{name}` has {len} characters, it needs at least {SECRET_MIN_LEN}")]
    SecretTooShort { name: &'static str, len: usize },
    #[error("the file that `{name}_FILE` names cannot be read")]
    File { name: &'static str, source: std::io::Error },
    #[error("the local secret `{path}` cannot be kept")]
    Local { path: PathBuf, source: std::io::Error },
}

static DEFAULTS: OnceLock<BTreeMap<&'static str, String>> = OnceLock::new();

/// What holds where the environment says nothing; for a process that is several services at once. Only the first
/// call counts.
pub fn set_defaults(values: impl IntoIterator<Item = (&'static str, String)>) {
    let _ = DEFAULTS.set(values.into_iter().collect());
}

/// An empty variable counts as absent, because compose files write `KEY: ${KEY:-}`.
pub fn optional(name: &str) -> Option<String> {
    let given = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    given
        .or_else(|| file_of(name).and_then(|path| std::fs::read_to_string(path).ok()).map(trimmed))
        .or_else(|| DEFAULTS.get().and_then(|defaults| defaults.get(name).cloned()))
}

fn file_of(name: &str) -> Option<PathBuf> {
    std::env::var(format!("{name}_FILE")).ok().filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn trimmed(text: String) -> String {
    text.trim().to_owned()
}

/// The value of `name`, [`Error::Missing`], or why its file cannot be read.
pub fn required(name: &'static str) -> Result<String, Error> {
    if let Some(value) = optional(name) {
        return Ok(value);
    }
    match file_of(name).map(std::fs::read_to_string) {
        Some(Err(source)) => Err(Error::File { name, source }),
        _ => Err(Error::Missing(name)),
    }
}

pub fn is_production() -> bool {
    optional("ENVIRONMENT").is_some_and(|name| name.eq_ignore_ascii_case("production"))
}

/// The folder in which a developer's machine keeps its database and its key; `TODO_DATA`, default `.todo`.
pub fn local_folder() -> PathBuf {
    PathBuf::from(optional("TODO_DATA").unwrap_or_else(|| ".todo".to_owned()))
}

/// The database: `DATABASE_URL`, which production has to name. Elsewhere a file of our own will do.
pub fn database_url() -> Result<String, Error> {
    match required("DATABASE_URL") {
        Err(Error::Missing(_)) if !is_production() => {
            Ok(format!("sqlite:{}", local_folder().join("todo.db").display()))
        }
        outcome => outcome,
    }
}

/// The key for signing: `name`, which production has to set. Elsewhere one is made and kept in a file.
pub fn signing_secret(name: &'static str) -> Result<String, Error> {
    match secret(name) {
        Err(Error::Missing(_)) if !is_production() => local_secret(&local_folder().join("secret")),
        outcome => outcome,
    }
}

/// Reads the secret in `path`, or makes one that only its owner can read. Services that start at once agree on it.
fn local_secret(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Local { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let fresh = crate::request_id::random_hex(32);
    let draft = path.with_extension(&fresh[..8]);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    let linked = file.write_all(fresh.as_bytes()).and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => std::fs::read_to_string(path).map(trimmed).map_err(failed),
    }
}

/// The value of `name` parsed as `T` (`expected` says it in words), or `default` when it is absent.
pub fn parsed<T: FromStr>(name: &'static str, expected: &'static str, default: T) -> Result<T, Error> {
    match optional(name) {
        None => Ok(default),
        Some(text) => text.trim().parse().map_err(|_| Error::Malformed { name, expected }),
    }
}

/// A key for signing. Too short is refused at start, not discovered by an attacker.
pub fn secret(name: &'static str) -> Result<String, Error> {
    let value = required(name)?;
    let len = value.chars().count();
    if len < SECRET_MIN_LEN { Err(Error::SecretTooShort { name, len }) } else { Ok(value) }
}

/// Address to listen on: `HOST` (default every interface, as a container needs) and `PORT`.
pub fn listen(default_port: u16) -> Result<(String, u16), Error> {
    let host = optional("HOST").unwrap_or_else(|| "0.0.0.0".to_owned());
    Ok((host, parsed("PORT", "a port number", default_port)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_secret_is_made_once_and_only_for_its_owner() {
        let folder = std::env::temp_dir().join(crate::request_id::random_hex(8));
        let path = folder.join("secret");
        let first = local_secret(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(local_secret(&path).unwrap(), first);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no draft is left behind");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
