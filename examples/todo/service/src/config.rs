//! Settings by name, read from the environment once at start and handed on by value.
//!
//! A value, so that one process can be several services with settings of their own, and a test can be any of them.
//! `NAME_FILE` names a file that holds the value of `NAME`, as mounted secrets do. Outside production what nobody
//! said is made up: [`Settings::database_url`], [`Settings::signing_secret`].
//!
//! A missing or malformed setting is an [`Error`] that names the variable and never repeats its value:
//! the value may be a secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Every setting there is, of all services. What is asked for and not listed here is a defect that debug builds tell
/// at once; README and `.env.example` are held against this list.
pub const KNOWN: [&str; 30] = [
    "ACCESS_TOKEN_EXPIRE_MINUTES",
    "BACKEND_PORT",
    "BACKEND_URL",
    "BETTER_AUTH_SECRET",
    "BETTER_AUTH_SECRET_NEXT",
    "BETTER_AUTH_SECRET_PREVIOUS",
    "CHAT_LIMIT_PER_MINUTE",
    "CHAT_PROVIDER",
    "CORS_ORIGINS",
    "DATABASE_URL",
    "DB_POOL_MAX",
    "DB_POOL_MIN",
    "ENVIRONMENT",
    "GEMINI_API_KEY",
    "GEMINI_BASE_URL",
    "GEMINI_MODEL",
    "HOST",
    "LOG_LEVEL",
    "MCP_ALLOWED_HOSTS",
    "MCP_PORT",
    "MCP_SERVER_URL",
    "MODEL_TIMEOUT_SECONDS",
    "OLLAMA_MODEL",
    "OLLAMA_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "PORT",
    "REDIS_URL",
    "TODO_DATA",
];

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

/// All settings of a service. Cheap to clone. Has no `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Settings(Arc<BTreeMap<OsString, OsString>>);

impl Settings {
    pub fn from_env() -> Self {
        Self(Arc::new(std::env::vars_os().collect()))
    }

    /// These settings, with `name` as `value` whatever it was before.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let values = Arc::make_mut(&mut self.0);
        values.remove(&OsString::from(format!("{name}_FILE")));
        values.insert(name.into(), value.into());
        self
    }

    /// These settings, with `name` as `value` unless it says something already.
    #[must_use]
    pub fn with_default(self, name: &'static str, value: &str) -> Self {
        match self.optional(name) {
            Ok(None) => self.with(name, value),
            _ => self,
        }
    }

    /// The value of `name`. An empty variable counts as absent, because compose files write `KEY: ${KEY:-}`.
    pub fn optional(&self, name: &'static str) -> Result<Option<String>, Error> {
        debug_assert!(KNOWN.contains(&name), "`{name}` is not in the list of settings");
        if let Some(value) = self.given(name, name)? {
            return Ok(Some(value.to_owned()));
        }
        let Some(path) = self.given(name, &format!("{name}_FILE"))? else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { name, source })?;
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    fn given(&self, name: &'static str, key: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.0.get(key.as_ref() as &std::ffi::OsStr) else { return Ok(None) };
        let value = value.to_str().ok_or(Error::Malformed { name, expected: "text in UTF-8" })?;
        Ok(Some(value).filter(|value| !value.trim().is_empty()))
    }

    pub fn required(&self, name: &'static str) -> Result<String, Error> {
        self.optional(name)?.ok_or(Error::Missing(name))
    }

    /// The value of `name` parsed as `T` (`expected` says it in words), or `default` when it is absent.
    pub fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
        default: T,
    ) -> Result<T, Error> {
        match self.optional(name)? {
            None => Ok(default),
            Some(text) => text.trim().parse().map_err(|_| Error::Malformed { name, expected }),
        }
    }

    /// A key for signing. Too short is refused at start, not discovered by an attacker.
    pub fn secret(&self, name: &'static str) -> Result<String, Error> {
        let value = self.required(name)?;
        let len = value.chars().count();
        if len < SECRET_MIN_LEN { Err(Error::SecretTooShort { name, len }) } else { Ok(value) }
    }

    /// What `/health` shows: `ENVIRONMENT`, default `development`.
    pub fn environment(&self) -> Result<String, Error> {
        Ok(self.optional("ENVIRONMENT")?.unwrap_or_else(|| "development".to_owned()))
    }

    pub fn is_production(&self) -> Result<bool, Error> {
        Ok(self.environment()?.eq_ignore_ascii_case("production"))
    }

    /// Address to listen on: `HOST` (default every interface, as a container needs) and `PORT`.
    pub fn listen(&self, default_port: u16) -> Result<(String, u16), Error> {
        let host = self.optional("HOST")?.unwrap_or_else(|| "0.0.0.0".to_owned());
        Ok((host, self.parsed("PORT", "a port number", default_port)?))
    }

    /// The folder in which a developer's machine keeps its database and its key; `TODO_DATA`, default `.todo`.
    pub fn local_folder(&self) -> Result<PathBuf, Error> {
        Ok(self.optional("TODO_DATA")?.map_or_else(|| PathBuf::from(".todo"), PathBuf::from))
    }

    /// The database: `DATABASE_URL`, which production has to name. Elsewhere a file of our own will do.
    pub fn database_url(&self) -> Result<String, Error> {
        match self.required("DATABASE_URL") {
            Err(Error::Missing(_)) if !self.is_production()? => {
                Ok(format!("sqlite:{}", self.local_folder()?.join("todo.db").display()))
            }
            outcome => outcome,
        }
    }

    /// The key for signing: `name`, which production has to set. Elsewhere one is made and kept in a file.
    pub fn signing_secret(&self, name: &'static str) -> Result<String, Error> {
        match self.secret(name) {
            Err(Error::Missing(_)) if !self.is_production()? => {
                local_secret(&self.local_folder()?.join("secret"))
            }
            outcome => outcome,
        }
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
        _ => std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(crate::request_id::random_hex(8));
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_local_secret_is_made_once_and_only_for_its_owner() {
        let folder = folder();
        let path = folder.join("secret");
        let first = local_secret(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(local_secret(&path).unwrap(), first);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no draft is left behind");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_setting_may_be_in_a_file_and_a_default_gives_way_to_either() {
        let folder = folder();
        let path = folder.join("url");
        std::fs::write(&path, "redis://there\n").unwrap();
        let settings = Settings::default().with("REDIS_URL_FILE", path.to_str().unwrap()).with("HOST", "::1");
        let settings = settings.with_default("REDIS_URL", "redis://here").with_default("HOST", "127.0.0.1");
        assert_eq!(settings.optional("REDIS_URL").unwrap().as_deref(), Some("redis://there"));
        assert_eq!(settings.listen(80).unwrap(), ("::1".to_owned(), 80));
        let settings = settings.with("REDIS_URL", "redis://mine");
        assert_eq!(settings.required("REDIS_URL").unwrap(), "redis://mine");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[track_caller]
    fn check(settings: &[(&str, &str)], expect: &str) {
        let all = settings.iter().fold(Settings::default(), |all, (name, value)| all.with(name, value));
        let outcome =
            all.parsed("PORT", "a port number", 80u16).and_then(|_| all.secret("BETTER_AUTH_SECRET"));
        assert_eq!(outcome.unwrap_err().to_string(), expect);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_never_repeated() {
        check(&[], "environment variable `BETTER_AUTH_SECRET` is not set");
        check(&[("BETTER_AUTH_SECRET", " ")], "environment variable `BETTER_AUTH_SECRET` is not set");
        let short = "environment variable `BETTER_AUTH_SECRET` has 4 characters, it needs at least 32";
        check(&[("BETTER_AUTH_SECRET", "hush")], short);
        check(&[("PORT", "hush")], "environment variable `PORT` is not a port number");
        let no_file = "the file that `BETTER_AUTH_SECRET_FILE` names cannot be read";
        check(&[("BETTER_AUTH_SECRET_FILE", "/no/such/file")], no_file);
        check(&[("PORT_FILE", "/no/such/file")], "the file that `PORT_FILE` names cannot be read");
    }

    #[test]
    fn production_makes_nothing_up() {
        let settings = Settings::default().with("ENVIRONMENT", "Production");
        assert!(matches!(settings.database_url(), Err(Error::Missing("DATABASE_URL"))));
        assert!(matches!(settings.signing_secret("BETTER_AUTH_SECRET"), Err(Error::Missing(_))));
        let settings = Settings::default().with("TODO_DATA", "/somewhere");
        assert_eq!(settings.database_url().unwrap(), "sqlite:/somewhere/todo.db");
    }
}
