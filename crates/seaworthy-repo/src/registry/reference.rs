//! `oci://host:port/path/name:tag@sha256:...`
//!
//! Tags cannot hold the `+` of a version, so Helm writes `_` there; so do we, and only there.

use std::fmt;

use super::SCHEME;

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host and port.
    pub host: String,
    /// Path of the chart, its name last.
    pub path: String,
    /// As registries know it: `1.0.0_build`.
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference with or without `oci://`; `None` when it is none.
    pub fn parse(text: &str) -> Option<Reference> {
        let text = text.strip_prefix(SCHEME).unwrap_or(text).trim_end_matches('/');
        let (text, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(crate::cache::plain(digest).map(|_| digest.to_owned())?)),
            None => (text, None),
        };
        let (host, path) = text.split_once('/')?;
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.replace('+', "_"))),
            _ => (path, None),
        };
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-/".contains(&c);
        let path_is_good = !path.is_empty()
            && path.bytes().all(plain)
            && path.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
        let tag_is_good = tag.as_deref().is_none_or(is_tag);
        let host_is_good =
            !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-:[]".contains(&c));
        (path_is_good && tag_is_good && host_is_good).then(|| Reference {
            host: host.to_owned(),
            path: path.to_owned(),
            tag,
            digest,
        })
    }

    /// The chart's name: the last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What a manifest is asked for by: the digest where there is one.
    pub(crate) fn key(&self) -> Option<&str> {
        self.digest.as_deref().or(self.tag.as_deref())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)?;
        match (&self.tag, &self.digest) {
            (Some(tag), _) => write!(f, ":{tag}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (None, None) => Ok(()),
        }
    }
}

fn is_tag(tag: &str) -> bool {
    let first = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    first && tag.len() <= 128 && tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, path: &str, tag: Option<&str>) {
        let found = Reference::parse(text).unwrap();
        assert_eq!(
            (found.host.as_str(), found.path.as_str(), found.tag.as_deref()),
            (host, path, tag),
            "{text}"
        );
    }

    #[test]
    fn host_path_and_tag_are_told_apart() {
        check("oci://localhost:5000/charts/web:1.2.3", "localhost:5000", "charts/web", Some("1.2.3"));
        check("oci://ghcr.io/o/web", "ghcr.io", "o/web", None);
        check("ghcr.io/o/web:1.0.0+b1", "ghcr.io", "o/web", Some("1.0.0_b1"));
    }

    #[test]
    fn what_could_leave_the_registrys_path_is_no_reference() {
        for bad in [
            "oci://host",
            "oci://host/../x",
            "oci://host/a/../b",
            "oci://ho st/a",
            "oci://h/A",
            "oci://h/a:b c",
            "oci://h/a@sha256:1",
        ] {
            assert_eq!(Reference::parse(bad), None, "{bad}");
        }
    }
}
