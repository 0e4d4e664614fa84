//! A container: what to run, in which rootfs, as whom, and with how much.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Unique for the life of the node's directory; letters, digits, `-`, `_` and `.` only.
    pub id: String,
    pub sandbox: String,
    pub rootfs: Rootfs,
    /// The program and its arguments; a program without a slash is looked up in `PATH`.
    pub args: Vec<String>,
    /// Later entries win. `PATH`, `HOME` and `HOSTNAME` are added when absent.
    pub env: Vec<(String, String)>,
    /// Created when missing. Default `/`.
    pub cwd: Option<PathBuf>,
    pub user: UserSpec,
    pub mounts: Vec<Mount>,
    pub read_only_root: bool,
    pub security: Security,
    pub resources: Resources,
    /// See the processes of this running container of the same sandbox, instead of its own only.
    pub share_pid_with: Option<String>,
    /// Give it a terminal of its own, which is logged as stdout.
    pub tty: bool,
    /// Its input can be attached to; without a client it waits.
    pub stdin: bool,
    /// Its input ends with the first client's.
    pub stdin_once: bool,
    /// A CRI-format log file on the host; `None` throws the output away.
    pub log_path: Option<PathBuf>,
    /// Kept and given back by `list`, for adoption after a restart of the daemon.
    pub labels: BTreeMap<String, String>,
}

/// Directories on the host that overlayfs makes one root of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, the topmost first. At least one.
    pub layers: Vec<PathBuf>,
    /// Writes go here. Both are created when missing and stay until the daemon removes them.
    pub upper: PathBuf,
    pub work: PathBuf,
}

/// Who runs it. Numbers win over `user`, which is resolved in the container's own `/etc/passwd`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserSpec {
    /// As in an image's configuration: `name`, `uid`, `name:group`, `uid:gid`. Default root.
    pub user: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub extra_groups: Vec<u32>,
    /// Refuse to create the container when it would run as uid 0.
    pub must_not_be_root: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute, inside the container; symlinks in the image cannot lead it outside. Created when missing.
    pub target: PathBuf,
    pub source: MountSource,
    #[serde(default)]
    pub read_only: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A file or directory as the node sees it. `sub_path` cannot leave `path`; a missing one is created
    /// as a directory unless the mount is read-only.
    Bind { path: PathBuf, sub_path: Option<String> },
    /// A fresh tmpfs for this container alone.
    Tmpfs { size_bytes: Option<u64>, mode: u32 },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Over Docker's default set; names with or without `CAP_`, `ALL` allowed. Drops come first.
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    pub no_new_privs: bool,
    pub seccomp: Seccomp,
    /// Always refused: a privileged container would own the machine of whoever runs drydock.
    pub privileged: bool,
    /// Leave `/proc` without masked and read-only paths (`procMount: Unmasked`).
    pub unmasked_proc: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    #[default]
    RuntimeDefault,
    Unconfined,
}

/// Limits; `None` means none. Without a writable cgroup tree they are accepted and not enforced,
/// which [`super::NodeInfo::cgroups`] says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub memory_bytes: Option<u64>,
    pub cpu_limit_millis: Option<u64>,
    pub cpu_request_millis: Option<u64>,
    pub pids: Option<u64>,
    pub oom_score_adj: Option<i32>,
    pub rlimits: Vec<Rlimit>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rlimit {
    /// `nofile`, `nproc`, `core`, ... as in `ulimits` of a compose file.
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub id: String,
    pub sandbox: String,
    pub labels: BTreeMap<String, String>,
    pub log_path: Option<PathBuf>,
    pub created_unix_ms: i64,
    pub state: ContainerState,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ContainerState {
    /// Set up, waiting for `start_container`.
    Created,
    /// `pid` counts in the node's own pid namespace.
    Running {
        pid: i32,
        started_unix_ms: i64,
    },
    Exited(Exit),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// As a shell shows it: 128 + signal when killed by one.
    pub code: i32,
    pub signal: Option<i32>,
    /// The kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Absent when the program never ran.
    pub started_unix_ms: Option<i64>,
    pub finished_unix_ms: i64,
    /// Why it ended, when the program did not decide that: it could not be executed, the node went away.
    pub message: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    pub container: String,
    pub args: Vec<String>,
    /// Added to the container's own environment.
    pub env: Vec<(String, String)>,
    pub cwd: Option<PathBuf>,
    /// Give it a terminal of its own; the answer then carries its controlling end.
    pub tty: bool,
    /// Kill it after this long.
    pub timeout_ms: Option<u64>,
}

/// How an exec ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecExit {
    pub code: i32,
    pub timed_out: bool,
}

/// A container's use of the machine at this moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub cpu_usage_ns: u64,
    pub memory_usage_bytes: u64,
    /// Usage without the inactive file cache: what `kubectl top` shows.
    pub memory_working_set_bytes: u64,
    pub pids: u64,
}
