//! Charts by their digest, in the folder and under the names that Helm uses.
//!
//! A cached chart is checked against its digest each time; a cache that cannot be written costs a download, no more.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::whole;

/// What is kept under a chart's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chart,
    Provenance,
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn digest(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hexadecimal part of a digest such as `sha256:abc...`; `None` when it is none.
pub(crate) fn plain(digest: &str) -> Option<&str> {
    let plain = digest.strip_prefix("sha256:").unwrap_or(digest);
    (plain.len() == 64 && plain.bytes().all(|b| b.is_ascii_hexdigit())).then_some(plain)
}

fn path(root: &Path, digest: &str, kind: Kind) -> Option<PathBuf> {
    let digest = plain(digest)?.to_ascii_lowercase();
    let extension = if kind == Kind::Chart { "chart" } else { "prov" };
    Some(root.join(&digest[..2]).join(format!("{digest}.{extension}")))
}

pub(crate) fn get(root: &Path, wanted: &str, kind: Kind) -> Option<Vec<u8>> {
    let data = std::fs::read(path(root, wanted, kind)?).ok().filter(|data| !data.is_empty())?;
    (kind == Kind::Provenance || digest(&data) == plain(wanted)?.to_ascii_lowercase()).then_some(data)
}

pub(crate) fn put(root: &Path, digest: &str, kind: Kind, data: &[u8]) {
    let Some(path) = path(root, digest, kind) else { return };
    // Without a cache the next call fetches again, which is all that is lost.
    let _ = whole::write(&path, data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_and_what_was_changed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let key = digest(b"chart");
        put(folder.path(), &key, Kind::Chart, b"chart");
        assert_eq!(get(folder.path(), &format!("sha256:{key}"), Kind::Chart).as_deref(), Some(&b"chart"[..]));
        std::fs::write(folder.path().join(&key[..2]).join(format!("{key}.chart")), b"other").unwrap();
        assert_eq!(get(folder.path(), &key, Kind::Chart), None);
    }

    #[test]
    fn what_is_no_digest_names_no_file() {
        assert_eq!(plain("../../etc/passwd"), None);
        assert_eq!(plain("sha256:abc"), None);
    }
}
