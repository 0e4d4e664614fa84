//! A machine of one's own: a state folder with images, free ports, folders with compose files.
//!
//! Ends itself: when a test is over nothing runs any more. When a test fails, its folder stays, and the end of the
//! daemon's log is printed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::images;
use crate::program::{self, Ran, Running};

const SEAWORTHY: &str = env!("CARGO_BIN_EXE_seaworthy");
const LOG_TAIL_LINES: usize = 40;
/// What of the example is not its source.
const NOT_SOURCE: [&str; 3] = ["target", ".env", "charts"];

static TURN: Mutex<()> = Mutex::new(());

pub struct World {
    dir: TempDir,
    pub http_port: u16,
    api_port: u16,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// A world with images and nothing running; `None`, said aloud, where this machine allows none.
    pub fn begin() -> Option<World> {
        if !rustix::process::geteuid().is_root() {
            program::missing("containers of several users need root");
            return None;
        }
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // On the file system of the shared images, so that they can be linked.
        let dir = tempfile::Builder::new().prefix("w-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let world = World { http_port: free_port(), api_port: free_port(), dir, _turn };
        images::link_into(&world.home());
        Some(world)
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn drydock_folder(&self) -> PathBuf {
        self.home().join("drydock")
    }

    /// A folder with this compose file.
    pub fn folder(&self, name: &str, compose: &str) -> PathBuf {
        let folder = self.dir.path().join("apps").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("compose.yaml"), compose).unwrap();
        folder
    }

    /// A copy of `examples/todo` as somebody has it who just cloned it.
    pub fn example(&self) -> PathBuf {
        let to = self.dir.path().join("todo");
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(images::root().join("examples/todo")).unwrap().map(Result::unwrap) {
            if !NOT_SOURCE.iter().any(|name| entry.file_name() == *name) {
                program::copy(&entry.path(), &to, false);
            }
        }
        to
    }

    pub fn command(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(SEAWORTHY);
        command.args(args).current_dir(folder).env("SEAWORTHY_HOME", self.home());
        command
            .env("SEAWORTHY_API_PORT", self.api_port.to_string())
            .env("SEAWORTHY_HTTP_PORT", self.http_port.to_string());
        command
    }

    pub fn start(&self, folder: &Path, args: &[&str]) -> Running {
        program::start(self.command(folder, args))
    }

    pub fn run(&self, folder: &Path, args: &[&str]) -> Ran {
        self.start(folder, args).wait()
    }

    pub fn drydock(&self, action: &str) -> Ran {
        self.run(self.dir.path(), &["drydock", action])
    }

    /// Process id of the running daemon, as it says it itself.
    pub fn daemon(&self) -> i32 {
        let status = self.drydock("status").ok();
        let pid = status.split("(process ").nth(1).and_then(|rest| rest.split(')').next());
        pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no daemon runs: {status}"))
    }

    /// Any program that finds its cluster by `KUBECONFIG`, with a home of its own.
    pub fn client(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("KUBECONFIG", self.drydock_folder().join("kubeconfig"))
            .env("HOME", self.dir.path());
        command.current_dir(self.dir.path());
        command
    }

    /// Whatever kubectl there is; its arguments are split at spaces.
    pub fn kubectl(&self, line: &str) -> Ran {
        let args: Vec<&str> = line.split(' ').collect();
        program::run(self.client("kubectl", &args))
    }

    /// Applies an object given as JSON.
    pub fn apply(&self, object: &Value) {
        let file = self.dir.path().join("object.json");
        fs::write(&file, object.to_string()).unwrap();
        self.kubectl(&format!("apply -f {}", file.display())).ok();
    }

    pub fn get(&self, line: &str) -> Value {
        serde_json::from_str(&self.kubectl(&format!("get {line} -o json")).ok()).unwrap()
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.drydock_folder().join("drydock.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Drop for World {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("the end of drydock's log:\n{}", self.log_tail());
            eprintln!("the test's folder is kept: {}", self.dir.path().display());
            self.dir.disable_cleanup(true);
        }
        // Not through `run`: a panic here would hide the first one.
        let stopped = self.command(self.dir.path(), &["drydock", "stop"]).output();
        let stopped = stopped.is_ok_and(|output| output.status.success());
        assert!(failed || stopped, "drydock does not stop; its log ends with\n{}", self.log_tail());
    }
}
