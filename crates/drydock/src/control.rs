//! Looks at an engine from outside, stops it, and clears its folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use drydock_node::client::NodeClient;
use rustix::process::{Pid, Signal};

use crate::folder::Folder;

const POLL: Duration = Duration::from_millis(20);
/// Parts of the folder that hold objects and volumes. The rest (logs) is kept.
const STATE: &[&str] =
    &["store.redb", "store.journal-a", "store.journal-b", "pki", "kubeconfig", "node", "daemon.json"];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use `{}`", path.display())]
    Folder { path: std::path::PathBuf, source: io::Error },
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
                f.write_str(
                    "not yet   egress from pods to the internet, exec and port-forward, NetworkPolicy",
                )
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

/// Removes all objects, certificates and volumes. The engine must be stopped.
pub fn reset(folder: &Path) -> Result<(), Error> {
    if is_running(folder)? {
        return Err(Error::Running);
    }
    for name in STATE {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}
