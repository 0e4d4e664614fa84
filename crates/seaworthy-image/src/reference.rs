//! Image names as people write them, and their full form.
//!
//! Read by hand: a regular expression for the same grammar takes ten megabytes of memory for as long as the program runs.

use oci_spec::distribution::Reference;

use crate::error::{Error, Result};

const HUB: &str = "docker.io";
const HUB_FORMERLY: &str = "index.docker.io";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// Why a text is no image name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("it is empty")]
    Empty,
    #[error("a registry is a host with letters, digits, `-` and `.`, and perhaps a port")]
    Registry,
    #[error("a repository has only lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`")]
    Repository,
    #[error("the repository has more than {MAX_REPOSITORY} characters")]
    TooLong,
    #[error(
        "a tag has at most {MAX_TAG} letters, digits, `_`, `.` and `-`, and begins with neither `.` nor `-`"
    )]
    Tag,
    #[error(
        "a digest is `sha256:`, `sha384:` or `sha512:` and as many lower-case hexadecimal digits as that has"
    )]
    Digest,
}

/// The full form of an image name: `redis` becomes `docker.io/library/redis:latest`.
///
/// Follows the rules of the Docker reference grammar; returns [`Error::BadReference`] otherwise.
pub fn normalize(name: &str) -> Result<String> {
    parse(name).map(|reference| reference.whole())
}

pub(crate) fn parse(name: &str) -> Result<Reference> {
    read(name).map_err(|source| Error::BadReference { reference: name.to_owned(), source })
}

fn read(text: &str) -> std::result::Result<Reference, BadName> {
    let (text, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let (name, tag) = match text.rsplit_once(':') {
        // A colon before a slash begins a port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    };
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    let (registry, repository) = registry_and_repository(name)?;
    ensure(tag.is_none_or(is_tag), BadName::Tag)?;
    ensure(digest.is_none_or(is_digest), BadName::Digest)?;
    Ok(match (tag.map(str::to_owned), digest.map(str::to_owned)) {
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, tag, digest),
        (None, Some(digest)) => Reference::with_digest(registry, repository, digest),
        (tag, None) => Reference::with_tag(registry, repository, tag.unwrap_or_else(|| "latest".to_owned())),
    })
}

/// The first part names a registry if it looks like a host; without one, Docker Hub is meant.
fn registry_and_repository(name: &str) -> std::result::Result<(String, String), BadName> {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (HUB, name),
    };
    ensure(is_registry(registry), BadName::Registry)?;
    ensure(repository.split('/').all(is_component), BadName::Repository)?;
    let registry = if registry == HUB_FORMERLY { HUB } else { registry };
    let repository = match registry == HUB && !repository.contains('/') {
        true => format!("library/{repository}"),
        false => repository.to_owned(),
    };
    ensure(repository.len() <= MAX_REPOSITORY, BadName::TooLong)?;
    Ok((registry.to_owned(), repository))
}

fn ensure(holds: bool, otherwise: BadName) -> std::result::Result<(), BadName> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator = |part: &str| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-');
    let ends_plain = |byte: Option<&u8>| byte.copied().is_some_and(is_plain);
    let bytes = text.as_bytes();
    ends_plain(bytes.first())
        && ends_plain(bytes.last())
        && text.split(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit()).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_TAG).contains(&text.len()) && text.bytes().all(is_part) && !text.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == digits && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        assert_eq!(normalize(name).unwrap(), expect)
    }

    #[track_caller]
    fn refuses(name: &str, why: BadName) {
        assert_eq!(read(name).unwrap_err(), why, "{name}")
    }

    #[test]
    fn a_bare_name_means_docker_hub_and_latest() {
        check("redis", "docker.io/library/redis:latest");
        check("acme/api", "docker.io/acme/api:latest");
        check("index.docker.io/redis", "docker.io/library/redis:latest")
    }

    #[test]
    fn a_tag_is_kept() {
        check("redis:7-alpine", "docker.io/library/redis:7-alpine");
        check("test.com:5000", "docker.io/library/test.com:5000");
        check("lower:Upper_1.2-x", "docker.io/library/lower:Upper_1.2-x")
    }

    #[test]
    fn another_registry_is_kept() {
        check("ghcr.io/acme/api:1.2", "ghcr.io/acme/api:1.2");
        check("localhost/api", "localhost/api:latest");
        check("Test-1.example:5000/a_b/c__d/e---f.g:1", "Test-1.example:5000/a_b/c__d/e---f.g:1")
    }

    #[test]
    fn a_digest_stands_beside_a_tag_or_in_its_place() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        check(&format!("redis@{digest}"), &format!("docker.io/library/redis@{digest}"));
        check(&format!("r.io:1/a:7@{digest}"), &format!("r.io:1/a:7@{digest}"))
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        refuses("", BadName::Empty);
        refuses(":7", BadName::Empty);
        refuses("Foo/bar", BadName::Repository);
        for name in ["a//b", "/a", "a/", "a___b", "a._b", "-a", "a-", "a b", "\u{e9}", "a.b/", "a\n"] {
            refuses(name, BadName::Repository);
        }
        for name in ["r.io:/a", "r.io:x/a", "-r.io/a", "r..io/a", "r_.io/a", "../../etc"] {
            refuses(name, BadName::Registry);
        }
        for tag in ["", "-1", ".1", "a b", "a+b", "\u{e9}", &"x".repeat(129)] {
            refuses(&format!("redis:{tag}"), BadName::Tag);
        }
        for digest in ["", "sha256", "sha256:00", "md5:00", &format!("sha256:{}", "0A".repeat(32))] {
            refuses(&format!("redis@{digest}"), BadName::Digest);
        }
        refuses(&format!("r.io/{}", "a".repeat(256)), BadName::TooLong)
    }

    #[test]
    fn the_longest_names_are_read() {
        let (repository, tag) = ("a".repeat(255), "x".repeat(128));
        check(&format!("r.io/{repository}:{tag}"), &format!("r.io/{repository}:{tag}"))
    }

    #[test]
    fn a_name_with_capitals_is_refused_by_name() {
        let error = normalize("Redis:7").unwrap_err();
        assert_eq!(error.to_string(), "`Redis:7` is not an image name");
    }
}
