//! Which settings are secret, and where their values come from.
//!
//! A value that is secret is never part of a chart, a log or an error: it travels as [`SecretText`] from the
//! file that states it to the one call that writes the Secret into the cluster.

use std::fmt;

/// One key of the app's Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretValue {
    /// Unique in the app; usually the name of the variable.
    pub key: String,
    /// The services that use it; empty when only other secrets refer to it.
    pub services: Vec<String>,
    pub source: SecretSource,
}

/// Where the value comes from when the Secret is created.
#[derive(Debug, Clone, PartialEq)]
pub enum SecretSource {
    /// Random, made once, kept for the life of the app. Letters and digits only, so it fits into a URL.
    Generate,
    /// Stated in the environment, in `.env` or in the file itself.
    Given(SecretText),
    /// Text in which `${KEY}` stands for another secret of the same app; `$$` is a dollar sign.
    /// For example `postgres://todo:${POSTGRES_PASSWORD}@postgres:5432/todo`. Never refers to a template.
    Template(SecretText),
}

impl SecretSource {
    /// The value, when `lookup` knows the generated and given secrets this one needs; `None` when it does not,
    /// and for [`SecretSource::Generate`], whose value only the caller can make.
    pub fn resolve(&self, mut lookup: impl FnMut(&str) -> Option<String>) -> Option<String> {
        match self {
            SecretSource::Generate => None,
            SecretSource::Given(text) => Some(text.reveal().to_owned()),
            SecretSource::Template(text) => expand(text.reveal(), &mut lookup),
        }
    }
}

fn expand(template: &str, lookup: &mut impl FnMut(&str) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix('{').and_then(|named| named.split_once('}')) {
            out.push_str(&lookup(name)?);
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    Some(out)
}

/// A secret in memory. Printing it prints dots; [`SecretText::reveal`] is the only way to the value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    pub fn new(value: impl Into<String>) -> Self {
        SecretText(value.into())
    }

    /// The value. Callers write it to a Secret or compare it, and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Last words of names whose values are secret.
const SECRET_WORDS: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PWD",
    "PASSPHRASE",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "APIKEY",
    "KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "SALT",
    "DSN",
];

/// Last words that look like the above and are not.
const HARMLESS_ENDINGS: &[&str] =
    &["PUBLIC_KEY", "PUBLISHABLE_KEY", "CACHE_KEY", "PRIMARY_KEY", "SORT_KEY", "PARTITION_KEY"];

/// Beginnings of values that are secret whatever the name is: keys of well-known services, private keys.
const SECRET_PREFIXES: &[&str] =
    &["-----BEGIN", "sk-", "sk_live_", "ghp_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA"];

/// Why `name` with `value` belongs in a Secret; `None` when it is plain configuration.
///
/// The name decides first, so that the shape of a chart does not depend on what `.env` happens to hold.
pub fn looks_secret(name: &str, value: &str) -> Option<&'static str> {
    if name_is_secret(name) && !is_switch(value) {
        Some("the name says that it is secret")
    } else if url_has_password(value) {
        Some("the URL carries a password")
    } else if SECRET_PREFIXES.iter().any(|prefix| value.starts_with(prefix)) {
        Some("the value looks like a key")
    } else {
        None
    }
}

fn name_is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let trimmed = upper.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    if HARMLESS_ENDINGS.iter().any(|ending| trimmed.ends_with(ending)) {
        return false;
    }
    let last = trimmed.rsplit('_').next().unwrap_or(trimmed);
    SECRET_WORDS.contains(&last) && (last != "PWD" || trimmed != "PWD")
}

/// `ALLOW_EMPTY_PASSWORD: "yes"` is a switch, not a password.
fn is_switch(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "no" | "true" | "false" | "on" | "off" | "0" | "1")
}

/// Whether `value` is a URL of the form `scheme://user:password@host`.
fn url_has_password(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((user_info, _host)) = authority.rsplit_once('@') else { return false };
    user_info.split_once(':').is_some_and(|(_user, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(setting: &str, expect: Option<&str>) {
        let (name, value) = setting.split_once('=').expect("NAME=value");
        assert_eq!(looks_secret(name, value), expect, "{setting}");
    }

    const NAME: Option<&str> = Some("the name says that it is secret");
    const URL: Option<&str> = Some("the URL carries a password");
    const KEY: Option<&str> = Some("the value looks like a key");

    #[test]
    fn names_that_end_in_a_secret_word_are_secret() {
        check("POSTGRES_PASSWORD=x", NAME);
        check("BETTER_AUTH_SECRET=x", NAME);
        check("OPENAI_API_KEY=", NAME);
        check("github_token=x", NAME);
        check("API_KEY_2=x", NAME);
    }

    #[test]
    fn names_that_only_contain_a_secret_word_are_not() {
        check("ACCESS_TOKEN_EXPIRE_MINUTES=30", None);
        check("POSTGRES_PASSWORD_FILE=/run/secrets/db", None);
        check("STRIPE_PUBLISHABLE_KEY=pk", None);
        check("PWD=/srv", None);
        check("MAX_TOKENS=5", None);
    }

    #[test]
    fn a_switch_about_passwords_is_not_a_password() {
        check("ALLOW_EMPTY_PASSWORD=yes", None);
    }

    #[test]
    fn a_url_is_secret_only_with_a_password() {
        check("DATABASE_URL=postgres://todo:hunter2@postgres:5432/todo", URL);
        check("DATABASE_URL=postgres://todo@postgres:5432/todo", None);
        check("REDIS_URL=redis://redis:6379/0", None);
        check("CALLBACK=http://host/?next=a:b@c", None);
    }

    #[test]
    fn values_of_well_known_services_are_secret_under_any_name() {
        check("LLM=sk-abc", KEY);
        check("TLS=-----BEGIN PRIVATE KEY-----", KEY);
    }

    #[test]
    fn a_template_takes_its_values_from_other_secrets() {
        let source = SecretSource::Template(SecretText::new("postgres://todo:${PW}@db/a$$b"));
        let known = source.resolve(|key| (key == "PW").then(|| "s3".to_owned()));
        assert_eq!(known.as_deref(), Some("postgres://todo:s3@db/a$b"));
        assert_eq!(source.resolve(|_| None), None);
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        let value = SecretSource::Given(SecretText::new("hunter2"));
        assert!(!format!("{value:?}").contains("hunter2"));
    }
}
