//! Packed charts (`.tgz`), as `charts/` and repositories hold them.
//!
//! An archive is not trusted: it may not unpack to more than a chart may hold, and no path in it may leave the chart.

use std::io::Read as _;

use flate2::read::GzDecoder;
use tar::Archive;

use crate::chart::{Error, File};
use crate::load::Budget;

/// The files of an archive, without the folder that Helm wraps around them.
pub(crate) fn unpack(name: &str, packed: &[u8], budget: &mut Budget<'_>) -> Result<Vec<File>, Error> {
    let broken = |reason: String| Error::Archive { archive: name.to_owned(), reason };
    if !packed.starts_with(b"\x1f\x8b\x08") {
        return Err(broken("it does not appear to be a gzipped archive".into()));
    }
    // Headers and padding count too; one byte more than allowed tells a full archive from one that was cut.
    let limited = GzDecoder::new(packed).take(budget.archive_bytes());
    let mut archive = Archive::new(limited);
    let mut files = Vec::new();
    for entry in archive.entries().map_err(|error| broken(error.to_string()))? {
        let mut entry = entry.map_err(|error| broken(error.to_string()))?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).replace('\\', "/");
        let inner =
            inner_path(&path).ok_or_else(|| broken(format!("`{path}` is not a path inside a chart")))?;
        budget.take(entry.size())?;
        // A link has no bytes of its own and is never followed: it becomes an empty file, as in Helm.
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(|error| broken(error.to_string()))?;
        if data.starts_with(b"\xef\xbb\xbf") {
            data.drain(..3);
        }
        files.push(File { name: inner, data });
    }
    if files.is_empty() { Err(broken("it holds no files".into())) } else { Ok(files) }
}

/// `chart/templates/a.yaml` becomes `templates/a.yaml`; `None` for what would leave the chart.
fn inner_path(path: &str) -> Option<String> {
    let (folder, inner) = path.split_once('/')?;
    let clean = seaworthy_template::path_clean(inner);
    let leaves = clean == "." || clean.starts_with("..") || clean.starts_with('/') || clean.contains(':');
    (!folder.is_empty() && folder != ".." && !leaves && !inner.split('/').any(|part| part == ".."))
        .then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn unpack(name: &str, packed: &[u8]) -> Result<Vec<File>, Error> {
        super::unpack(name, packed, &mut Budget::new(&Limits::default()))
    }

    fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, data) in entries {
            let mut header = tar::Header::new_gnu();
            // Written directly: the builder refuses the very paths these tests are about.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(data.len() as u64);
            header.set_cksum();
            tar.append(&header, *data).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[track_caller]
    fn check_refused(path: &str) {
        let error = unpack("x.tgz", &pack(&[(path, b"data")])).unwrap_err();
        assert!(error.to_string().contains("not a path inside a chart"), "{path}: {error}");
    }

    #[test]
    fn the_outer_folder_is_taken_off() {
        let files =
            unpack("x.tgz", &pack(&[("c/Chart.yaml", b"name: c"), ("c/templates/a.yaml", b"x")])).unwrap();
        assert_eq!(
            files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
            ["Chart.yaml", "templates/a.yaml"]
        );
    }

    #[test]
    fn a_path_that_leaves_the_chart_is_refused() {
        check_refused("c/../../etc/passwd");
        check_refused("c/templates/../../x");
        check_refused("../c/x");
        check_refused("/etc/passwd/../../..");
        check_refused("Chart.yaml");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let zeros = vec![0u8; Limits::default().chart_bytes + 1];
        let error = unpack("x.tgz", &pack(&[("c/big", &zeros)])).unwrap_err();
        assert!(matches!(error, Error::TooLarge { what: "bytes", .. }), "{error}");
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        assert!(unpack("x.tgz", b"not gzip").is_err());
        assert!(unpack("x.tgz", &pack(&[])).is_err());
    }
}
