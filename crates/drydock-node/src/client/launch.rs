//! Starting a node as a process of its own, which outlives whoever started it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::Error;
use crate::protocol::NODE_ROLE;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// The started process detaches by itself and ends when the node serves: its exit is the good news.
pub(super) async fn launch(exe: &Path, dir: &Path) -> Result<(), Error> {
    let spawn = |source| Error::Spawn { exe: exe.to_owned(), source };
    let failed = |said: String| Error::Launch { dir: dir.to_owned(), said };
    let child = tokio::process::Command::new(exe)
        .arg(NODE_ROLE)
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn)?;
    let Ok(output) = tokio::time::timeout(READY_WITHIN, child.wait_with_output()).await else {
        return Err(failed(format!("not ready within {} s", READY_WITHIN.as_secs())));
    };
    let output = output.map_err(spawn)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
}
