//! Looks at an engine from outside, stops it, and clears its folder.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drydock_node::client::NodeClient;
use rustix::process::{Pid, Signal};

use crate::folder::Folder;

const POLL: Duration = Duration::from_millis(20);
/// Parts of the folder that hold objects and volumes. The rest (logs) is kept.
const STATE: &[&str] = &[
    "store.redb",
    "store.redb.new",
    "store.journal-a",
    "store.journal-b",
    "pki",
    "kubeconfig",
    "node",
    "daemon.json",
];

/// What a reset puts aside instead of removing it: small, and not to be had again.
const KEPT: &[&str] = &["store.redb", "store.journal-a", "store.journal-b", "pki"];
/// The newest of them are kept.
const BACKUPS: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the daemon (process {pid}) did not end within {} s", waited.as_secs())]
    DoesNotEnd { pid: i32, waited: Duration },
    #[error("the node did not end")]
    Node(#[from] drydock_node::client::Error),
    #[error("drydock is running; stop it first")]
    Running,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Folder { path: path.to_owned(), source }
}

/// Whether a daemon holds `folder`.
pub fn is_running(folder: &Path) -> Result<bool, Error> {
    Folder::new(folder).is_taken().map_err(at(folder))
}

/// Whether the daemon's API answers. An unreadable folder is not ready.
pub fn is_ready(folder: &Path) -> bool {
    matches!(Folder::new(folder).announced(), Ok(Some(_)))
}

/// What a person wants to know of the engine.
#[derive(Debug, Clone)]
pub enum Status {
    Stopped,
    Starting,
    Running { pid: i32, api_url: String, http_port: u16 },
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Status::Stopped => f.write_str("stopped"),
            Status::Starting => f.write_str("starting"),
            Status::Running { pid, api_url, http_port } => {
                writeln!(f, "running (process {pid})")?;
                writeln!(f, "api       {api_url}")?;
                writeln!(f, "ingress   http://*.localhost:{http_port}")?;
                f.write_str("not yet   egress from pods to the internet, NetworkPolicy")
            }
        }
    }
}

pub fn status(folder: &Path) -> Result<Status, Error> {
    let taken = Folder::new(folder);
    match taken.announced().map_err(at(folder))? {
        Some(announced) => {
            let crate::folder::Announcement { pid, api_url, http_port } = announced;
            Ok(Status::Running { pid, api_url, http_port })
        }
        None if taken.is_taken().map_err(at(folder))? => Ok(Status::Starting),
        None => Ok(Status::Stopped),
    }
}

/// Stops the daemon and the node with every container. Returns whether anything ran.
///
/// Waits at most `timeout` for the daemon, then kills it; objects and volumes are safe either way.
pub async fn stop(folder: &Path, timeout: Duration) -> Result<bool, Error> {
    let taken = Folder::new(folder);
    let daemon = taken.is_taken().map_err(at(folder))?;
    if daemon {
        stop_daemon(&taken, timeout).await?;
    }
    // A daemon that was killed leaves the node behind: that is what lets a new daemon adopt the pods.
    let node = match NodeClient::connect(&taken.node()).await {
        Ok(node) => {
            node.shutdown().await?;
            true
        }
        Err(_) => false,
    };
    Ok(daemon || node)
}

async fn stop_daemon(folder: &Folder, timeout: Duration) -> Result<(), Error> {
    let pid = announced_pid(folder, timeout).await?;
    let Some(pid) = pid else { return Ok(()) };
    signal(pid, Signal::TERM);
    if ended(folder, timeout).await? {
        return Ok(());
    }
    signal(pid, Signal::KILL);
    match ended(folder, timeout).await? {
        true => Ok(()),
        false => Err(Error::DoesNotEnd { pid, waited: timeout * 2 }),
    }
}

/// The daemon's process id, once it has announced it; `None` when it ends by itself first.
async fn announced_pid(folder: &Folder, timeout: Duration) -> Result<Option<i32>, Error> {
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline && folder.is_taken().map_err(at(folder.path()))? {
        if let Some(announced) = folder.announced().map_err(at(folder.path()))? {
            return Ok(Some(announced.pid));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended in between, which is what we want.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

async fn ended(folder: &Folder, timeout: Duration) -> Result<bool, Error> {
    let deadline = Instant::now() + timeout;
    while folder.is_taken().map_err(at(folder.path()))? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(true)
}

/// Removes all objects, certificates and volumes; what the API knew is put aside and its new place returned. The
/// engine must be stopped.
pub fn reset(folder: &Path) -> Result<Option<PathBuf>, Error> {
    if is_running(folder)? {
        return Err(Error::Running);
    }
    let kept = put_aside(folder)?;
    for name in STATE {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    Ok(kept)
}

/// Moves store and keys to a folder of their own, and removes the oldest such folders.
fn put_aside(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let present: Vec<&&str> = KEPT.iter().filter(|name| folder.join(name).exists()).collect();
    if present.is_empty() {
        return Ok(None);
    }
    let backups = folder.join("backups");
    let backup = backups.join(jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S.%3fZ").to_string());
    fs::create_dir_all(&backup).map_err(at(&backup))?;
    fs::set_permissions(&backups, fs::Permissions::from_mode(0o700)).map_err(at(&backups))?;
    for name in present {
        let path = folder.join(name);
        fs::rename(&path, backup.join(name)).map_err(at(&path))?;
    }
    let entries = fs::read_dir(&backups).map_err(at(&backups))?;
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.sort();
    for old in all.iter().take(all.len().saturating_sub(BACKUPS)) {
        fs::remove_dir_all(old).map_err(at(old))?;
    }
    Ok(Some(backup))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_puts_the_store_aside_and_keeps_the_newest_few() {
        let folder = tempfile::tempdir().unwrap();
        let mut last = None;
        for round in 0..BACKUPS + 2 {
            fs::write(folder.path().join("store.redb"), round.to_string()).unwrap();
            fs::create_dir_all(folder.path().join("node/claims")).unwrap();
            last = reset(folder.path()).unwrap();
            assert!(!folder.path().join("store.redb").exists() && !folder.path().join("node").exists());
            std::thread::sleep(Duration::from_millis(2));
        }
        let kept = fs::read_to_string(last.unwrap().join("store.redb")).unwrap();
        assert_eq!(kept, (BACKUPS + 1).to_string());
        assert_eq!(fs::read_dir(folder.path().join("backups")).unwrap().count(), BACKUPS);
    }

    #[test]
    fn an_engine_that_never_ran_has_nothing_to_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(reset(folder.path()).unwrap(), None);
    }
}
