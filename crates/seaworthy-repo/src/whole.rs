//! Files that are written whole or not at all: whoever reads one finds the former content or the new one.

use std::io::{self, Write as _};
use std::path::Path;

/// Puts `data` in the place of the file at `path`, whose folder is made if need be. Only its owner may read it: most of
/// what is kept here may hold passwords.
pub(crate) fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Temporary files are readable by their owner only, and stay so under their final name.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(data)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
