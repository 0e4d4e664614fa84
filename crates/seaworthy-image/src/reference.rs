//! Image names as people write them, and their full form.

use oci_spec::distribution::Reference;

use crate::error::{Error, Result};

/// The full form of an image name: `redis` becomes `docker.io/library/redis:latest`.
///
/// Follows the rules of the Docker reference grammar; returns [`Error::BadReference`] otherwise.
pub fn normalize(name: &str) -> Result<String> {
    parse(name).map(|reference| reference.whole())
}

pub(crate) fn parse(name: &str) -> Result<Reference> {
    name.parse().map_err(|source| Error::BadReference { reference: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        assert_eq!(normalize(name).unwrap(), expect)
    }

    #[test]
    fn a_bare_name_means_docker_hub_and_latest() {
        check("redis", "docker.io/library/redis:latest")
    }

    #[test]
    fn a_tag_is_kept() {
        check("redis:7-alpine", "docker.io/library/redis:7-alpine")
    }

    #[test]
    fn another_registry_is_kept() {
        check("ghcr.io/acme/api:1.2", "ghcr.io/acme/api:1.2")
    }

    #[test]
    fn a_name_with_capitals_is_refused_by_name() {
        let error = normalize("Redis:7").unwrap_err();
        assert_eq!(error.to_string(), "`Redis:7` is not an image name");
    }
}
