//! Processes that are measured, and what they are measured beside; each is stopped when dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::http;

const PATIENCE: Duration = Duration::from_secs(60);
/// Ticks of `/proc/PID/stat`, fixed for user space on Linux.
const TICKS_PER_S: f64 = 100.0;

pub struct Service {
    child: Child,
    pub port: u16,
}

impl Service {
    pub fn start(mut command: Command, port: u16) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start `{name}`"))?, port })
    }

    /// Waits until `path` answers 200 and gives how long that took.
    pub fn wait_for(&self, path: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while !matches!(http::send(self.port, "GET", path, "", &Value::Null), Ok((200, _))) {
            if began.elapsed() > PATIENCE {
                bail!("`{path}` on port {} never answered 200", self.port);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(began.elapsed())
    }

    /// Waits until something listens.
    pub fn wait(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if began.elapsed() > PATIENCE {
                bail!("nothing listens on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Processor seconds used so far, user and system, by the process and its children: PostgreSQL has one for each connection.
    /// What a child used that has ended counts once its parent has noticed.
    pub fn tree_cpu_s(&self) -> anyhow::Result<f64> {
        let own = self.child.id();
        let (_, used_s) = parent_and_cpu_s(own).context("the process has ended")?;
        let all = std::fs::read_dir("/proc")?.flatten();
        let processes = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let children = processes.filter_map(parent_and_cpu_s).filter(|(parent, _)| *parent == own);
        Ok(used_s + children.map(|(_, used_s)| used_s).sum::<f64>())
    }

    /// Memory in MB: in use now (`VmRSS`) or at the most so far (`VmHWM`).
    pub fn memory_mb(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)).context("the process has ended")?;
        let kb = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>()?;
        Ok(kb / 1024.0)
    }
}

/// Its parent, and what it and its ended children used; none when it is gone.
fn parent_and_cpu_s(process: u32) -> Option<(u32, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    let used = ticks(11)? + ticks(12)? + ticks(13)? + ticks(14)?;
    Some((fields.get(1)?.parse().ok()?, used / TICKS_PER_S))
}

impl Drop for Service {
    fn drop(&mut self) {
        // The polite way first: a killed PostgreSQL leaves shared memory behind.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A durable PostgreSQL with its usual settings, in `folder`.
pub fn postgres(folder: &Path) -> anyhow::Result<Service> {
    let bin = newest_postgres().context("PostgreSQL is not installed (Debian: postgresql)")?;
    let data = folder.join("postgres");
    std::fs::create_dir(&data)?;
    if is_root()? {
        run(Command::new("chown").arg("-R").arg("postgres").arg(folder))?;
    }
    let init = ["-U", "todo", "-A", "trust", "--no-sync", "--locale", "C.UTF-8", "-E", "UTF8"];
    run(unprivileged(&bin.join("initdb"))?.arg("-D").arg(&data).args(init))?;
    let port = free_port()?;
    let mut command = unprivileged(&bin.join("postgres"))?;
    command.arg("-D").arg(&data).arg("-k").arg(folder).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1"]);
    let service = Service::start(command, port)?;
    service.wait()?;
    Ok(service)
}

pub fn redis() -> anyhow::Result<Service> {
    let port = free_port()?;
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let service = Service::start(command, port)?;
    service.wait()?;
    Ok(service)
}

/// The FastAPI twin in an environment of its own, which `folder` keeps.
pub fn twin(folder: &Path, database_url: &str, secret: &str) -> anyhow::Result<Service> {
    let venv = folder.join("venv");
    let app = folder.join("app");
    std::fs::create_dir(&app)?;
    std::fs::write(app.join("twin.py"), include_str!("twin.py"))?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let packages = ["fastapi", "uvicorn[standard]", "asyncpg", "pyjwt"];
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
    let port = free_port()?;
    let mut command = Command::new(venv.join("bin/uvicorn"));
    command.args(["twin:app", "--no-access-log", "--log-level", "warning", "--port", &port.to_string()]);
    command.arg("--app-dir").arg(&app).env("DATABASE_URL", database_url).env("SECRET", secret);
    let service = Service::start(command, port)?;
    service.wait()?;
    Ok(service)
}

fn newest_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut bins: Vec<PathBuf> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    bins.sort();
    bins.into_iter().rev().find(|bin| bin.join("initdb").exists())
}

fn is_root() -> anyhow::Result<bool> {
    Ok(Command::new("id").arg("-u").output()?.stdout.starts_with(b"0\n"))
}

/// PostgreSQL refuses to run as root; the account comes with its package.
fn unprivileged(program: &Path) -> anyhow::Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    Ok(command)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
