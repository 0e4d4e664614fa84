//! PostgreSQL and Redis from the machine's own programs, in a directory of their own, on free ports.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A program we started; stopped when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn new(mut command: Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
        let server = Self { child, port };
        wait_for(port);
        server
    }

    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
    }

    /// Sends `name` and gives the exit code.
    pub fn stop_with(mut self, name: &str) -> Option<i32> {
        self.signal(name);
        self.child.wait().expect("the child is ours").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The polite way first: a killed PostgreSQL leaves shared memory behind.
            self.signal("INT");
            let deadline = Instant::now() + Duration::from_secs(10);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A port that was free and is given once: below those the kernel hands out, so that no connection of this machine
/// takes it before the program that is started on it does; each test process begins somewhere else.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u32 = 18_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let at = std::process::id().wrapping_mul(199).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(at % COUNT).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

fn wait_for(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The directory of `initdb` and `postgres`, and the path of `redis-server`; or what is missing.
pub fn programs() -> Result<(PathBuf, PathBuf), String> {
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let redis = places.iter().map(|dir| dir.join("redis-server")).find(|path| path.exists());
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    places.splice(0..0, versions.into_iter().rev());
    let postgres =
        places.into_iter().find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists());
    match (postgres, redis) {
        (Some(postgres), Some(redis)) => Ok((postgres, redis)),
        (None, _) => Err("`initdb` and `postgres` are not installed (Debian: postgresql)".to_owned()),
        (_, None) => Err("`redis-server` is not installed (Debian: redis-server)".to_owned()),
    }
}

pub fn postgres(bin: &Path, dir: &Path) -> Server {
    let data = dir.join("postgres");
    std::fs::create_dir(&data).expect("a fresh directory");
    if is_root() {
        // PostgreSQL refuses to run as root; the account comes with its package.
        run(Command::new("chown").arg("-R").arg("postgres").arg(dir));
    }
    let mut init = unprivileged(&bin.join("initdb"));
    run(init.arg("-D").arg(&data).args([
        "-U",
        "todo",
        "-A",
        "trust",
        "--no-sync",
        "--locale",
        "C.UTF-8",
        "-E",
        "UTF8",
    ]));
    start_postgres(bin, dir, free_port())
}

/// Starts PostgreSQL on data that exists.
pub fn start_postgres(bin: &Path, dir: &Path, port: u16) -> Server {
    let mut command = unprivileged(&bin.join("postgres"));
    command.arg("-D").arg(dir.join("postgres")).arg("-k").arg(dir).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50"]);
    command.stderr(
        std::fs::File::create(dir.join(format!("postgres-{port}.log"))).expect("a writable directory"),
    );
    Server::new(command, port)
}

pub fn redis(program: &Path, port: u16) -> Server {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    Server::new(command, port)
}

fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` exists everywhere");
    id.stdout.starts_with(b"0\n")
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
