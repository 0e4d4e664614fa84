//! Settings from environment variables, read once at start.
//!
//! A missing or malformed setting is an [`Error`] that names the variable and never repeats its value:
//! the value may be a secret.

use std::str::FromStr;

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
}

/// An empty variable counts as absent, because compose files write `KEY: ${KEY:-}`.
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The value of `name`, or [`Error::Missing`].
pub fn required(name: &'static str) -> Result<String, Error> {
    optional(name).ok_or(Error::Missing(name))
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
