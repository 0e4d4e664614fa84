//! A state folder to measure in: images of the real one, nothing else, removed at the end with all that runs in it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::standin;

/// Time for the disk to finish what a round before left to do, once everything is written.
const SETTLE: Duration = Duration::from_secs(2);

pub struct World {
    seaworthy: PathBuf,
    app: PathBuf,
    home: TempDir,
    api_port: u16,
    http_port: u16,
}

impl World {
    pub fn new(seaworthy: PathBuf, app: PathBuf) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("seaworthy-bench-").tempdir()?;
        let (from, to) = (standin::images_folder()?, home.path().join("images"));
        copy_images(&from, &to).with_context(|| format!("cannot copy the images in `{}`", from.display()))?;
        let (api_port, http_port) = free_ports()?;
        Ok(Self { seaworthy, app, home, api_port, http_port })
    }

    pub fn images(&self) -> PathBuf {
        self.home.path().join("images")
    }

    pub fn engine(&self) -> PathBuf {
        self.home.path().join("drydock")
    }

    pub fn seaworthy(&self) -> &Path {
        &self.seaworthy
    }

    /// Builds and unpacks what the first `up` on any machine builds and unpacks.
    pub fn warm_up(&self) -> anyhow::Result<()> {
        self.run(&["up"]).map(drop)
    }

    /// Runs a command of `seaworthy` in the app's folder; its output when it succeeded.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        self.output(Command::new(&self.seaworthy).args(args))
    }

    pub fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.output(
            Command::new("kubectl").arg("--kubeconfig").arg(self.engine().join("kubeconfig")).args(args),
        )
    }

    /// Waits until the disk is done with the round before: it shows in the times of the next.
    pub fn settle(&self) -> anyhow::Result<()> {
        self.output(Command::new("sync").arg("--file-system").arg(self.home.path()))?;
        std::thread::sleep(SETTLE);
        Ok(())
    }

    /// How long a command of `seaworthy` takes, as a person at a terminal would count.
    pub fn time(&self, args: &[&str]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.run(args)?;
        Ok(begun.elapsed())
    }

    fn output(&self, command: &mut Command) -> anyhow::Result<String> {
        command
            .current_dir(&self.app)
            .env("SEAWORTHY_HOME", self.home.path())
            .env("SEAWORTHY_API_PORT", self.api_port.to_string())
            .env("SEAWORTHY_HTTP_PORT", self.http_port.to_string());
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["drydock", "reset", "--yes"]) {
            eprintln!("the measured engine in `{}` did not end: {error:#}", self.home.path().display());
        }
    }
}

/// Blobs never change under their names, so a link will do; everything else is small and copied.
fn copy_images(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join("blobs/sha256"))?;
    for name in ["index.json", "oci-layout"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    for blob in fs::read_dir(from.join("blobs/sha256"))? {
        let blob = blob?;
        let copy = to.join("blobs/sha256").join(blob.file_name());
        if fs::hard_link(blob.path(), &copy).is_err() {
            fs::copy(blob.path(), &copy)?;
        }
    }
    Ok(())
}

/// Two ports that nobody uses; both are held until both are known.
fn free_ports() -> io::Result<(u16, u16)> {
    let (api, http) =
        (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    Ok((api.local_addr()?.port(), http.local_addr()?.port()))
}
