//! A container's status as a file: what remains when the node that ran it does not.

use std::io;
use std::path::Path;

use crate::protocol::ContainerStatus;

/// Replaces the file at once; a reader sees the old or the new.
pub fn write(file: &Path, status: &ContainerStatus) -> io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(status)?)?;
    std::fs::rename(new, file)
}

/// The statuses in `<dir>/*/status.json`; what cannot be read is passed over.
pub fn read_all(dir: &Path) -> Vec<ContainerStatus> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("status.json")).ok())
        .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
        .collect()
}
