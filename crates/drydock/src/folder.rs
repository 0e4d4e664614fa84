//! The engine's folder: which file is where, who holds it, and what is left in it by a daemon that died.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// Paths below one folder. Cheap to make.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

/// What a running daemon says of itself, in `daemon.json`. Written when its API answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Announcement {
    pub pid: i32,
    pub api_url: String,
    pub http_port: u16,
}

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn store(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    pub fn pki(&self) -> PathBuf {
        self.0.join("pki")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    pub fn node(&self) -> PathBuf {
        self.0.join("node")
    }

    pub fn volumes(&self) -> PathBuf {
        // Below the node's folder: the node makes and owns what pods write to.
        self.node().join("claims")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("drydock.lock")
    }

    fn announcement(&self) -> PathBuf {
        self.0.join("daemon.json")
    }

    /// Takes the folder for this process; `None` when another one holds it. Held until the file is dropped.
    pub fn take(&self) -> io::Result<Option<File>> {
        fs::create_dir_all(&self.0)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(self.lock())?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.unannounce()?;
                Ok(Some(file))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a daemon holds the folder.
    pub fn is_taken(&self) -> io::Result<bool> {
        let file = match File::open(self.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// What the running daemon announced; `None` while it is still starting, or none runs.
    pub fn announced(&self) -> io::Result<Option<Announcement>> {
        if !self.is_taken()? {
            return Ok(None);
        }
        match fs::read(self.announcement()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        }
    }

    pub fn announce(&self, announcement: &Announcement) -> io::Result<()> {
        let staged = self.0.join("daemon.json.new");
        let mut file = File::create(&staged)?;
        file.write_all(&serde_json::to_vec(announcement).map_err(io::Error::other)?)?;
        fs::rename(staged, self.announcement())
    }

    /// Forgets what a dead daemon announced.
    pub fn unannounce(&self) -> io::Result<()> {
        match fs::remove_file(self.announcement()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_process_at_a_time_holds_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert!(!folder.is_taken().unwrap());
        let held = folder.take().unwrap();
        assert!(held.is_some() && folder.is_taken().unwrap());
        assert!(folder.take().unwrap().is_none());
        drop(held);
        assert!(!folder.is_taken().unwrap());
    }

    #[test]
    fn what_a_dead_daemon_announced_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let held = folder.take().unwrap();
        let announcement = Announcement { pid: 1, api_url: "https://127.0.0.1:6443".into(), http_port: 8080 };
        folder.announce(&announcement).unwrap();
        assert!(folder.announced().unwrap().is_some());
        drop(held);
        assert!(folder.announced().unwrap().is_none());
        let _held = folder.take().unwrap();
        assert!(folder.announced().unwrap().is_none(), "a new daemon has not announced itself yet");
    }
}
