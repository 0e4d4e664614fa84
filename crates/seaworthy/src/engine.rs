//! Starts and stops the drydock daemon as a background process of its own.
//!
//! The daemon is this same binary (`seaworthy drydock run`); it holds a lock for as long as it lives,
//! so "is it running" never depends on a process id that somebody else may have by now.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or};

/// A daemon that does not answer after this long will not.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(45);
const POLL: Duration = Duration::from_millis(5);
const LOG_TAIL_BYTES: u64 = 2000;

pub fn kubeconfig_path(cx: &Cx) -> PathBuf {
    cx.home.drydock().join("kubeconfig")
}

pub fn log_path(cx: &Cx) -> PathBuf {
    cx.home.drydock().join("drydock.log")
}

pub fn is_running(cx: &Cx) -> Result<bool, Failure> {
    drydock::is_running(&cx.home.drydock()).or_fail(Kind::Cluster, "cannot tell whether drydock is running")
}

/// Port on which the running daemon answers for Ingresses.
pub fn http_port(cx: &Cx) -> Result<u16, Failure> {
    match drydock::status(&cx.home.drydock()).or_fail(Kind::Cluster, "cannot tell how drydock is")? {
        drydock::Status::Running { http_port, .. } => Ok(http_port),
        drydock::Status::Starting | drydock::Status::Stopped => {
            Err(Failure::new(Kind::Cluster, anyhow!("drydock ended meanwhile")))
        }
    }
}

/// Starts the daemon unless it runs, and waits until its API answers. Returns whether it was started.
pub async fn start(cx: &Cx) -> Result<bool, Failure> {
    let folder = cx.home.drydock();
    fs::create_dir_all(&folder).or_fail(Kind::Cluster, format!("cannot create `{}`", folder.display()))?;
    // Two `up`s at once start one daemon: the second waits here and finds it running.
    let _turn = take_turn(folder.join("start.lock")).await?;
    if is_running(cx)? && drydock::is_ready(&folder) {
        return Ok(false);
    }
    cx.progress.live("starting drydock");
    let mut child = match is_running(cx)? {
        true => None,
        false => Some(spawn(cx)?),
    };
    let deadline = Instant::now() + START_TIMEOUT;
    while !drydock::is_ready(&folder) {
        if let Some(child) = &mut child
            && let Ok(Some(status)) = child.try_wait()
        {
            return Err(did_not_start(cx, &format!("it ended with {status}")));
        }
        if Instant::now() > deadline {
            return Err(did_not_start(
                cx,
                &format!("it did not answer within {} s", START_TIMEOUT.as_secs()),
            ));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(true)
}

async fn take_turn(path: PathBuf) -> Result<File, Failure> {
    let wait = move || -> std::io::Result<File> {
        let file = File::create(&path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(file)
    };
    let taken = tokio::task::spawn_blocking(wait)
        .await
        .or_fail(Kind::Unexpected, "cannot wait for the start lock")?;
    taken.or_fail(Kind::Cluster, "cannot lock drydock's folder")
}

fn spawn(cx: &Cx) -> Result<Child, Failure> {
    let path = log_path(cx);
    let open = || -> std::io::Result<(File, File)> {
        let log = File::options().create(true).append(true).open(&path)?;
        Ok((log.try_clone()?, log))
    };
    let (out, err) = open().or_fail(Kind::Cluster, format!("cannot write `{}`", path.display()))?;
    let program = std::env::current_exe().or_fail(Kind::Unexpected, "cannot find this program's own file")?;
    Command::new(program)
        .args(["drydock", "run"])
        .env("SEAWORTHY_HOME", cx.home.root())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        // Ctrl-C in the terminal is for the command, not for the cluster.
        .process_group(0)
        .spawn()
        .or_fail(Kind::Cluster, "cannot start drydock")
}

fn did_not_start(cx: &Cx, why: &str) -> Failure {
    let log = log_path(cx);
    let tail = tail_of(&log).unwrap_or_default();
    let error = anyhow!("drydock did not start: {why}; the end of its log:\n{}", indent(&tail));
    Failure::new(Kind::Cluster, error).hint(format!("the whole log is `{}`", log.display()))
}

fn tail_of(path: &PathBuf) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Stops the daemon and every container. Returns whether anything was running.
pub async fn stop(cx: &Cx) -> Result<bool, Failure> {
    drydock::stop(&cx.home.drydock(), STOP_TIMEOUT).await.or_fail(Kind::Cluster, "cannot stop drydock")
}
