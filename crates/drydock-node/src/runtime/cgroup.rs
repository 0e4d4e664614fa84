//! Limits and usage of containers, through whichever cgroup version the machine has.
//!
//! A node owns one directory per hierarchy, named after its own directory; containers are directories in
//! it. Version 1 hierarchies are used where mounted (also in the hybrid layout), else version 2. When
//! nothing is writable the answer is [`Cgroups::none`]: containers run, limits do not bind.

mod detect;
mod stats;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::protocol::{Resources, Stats};

const PERIOD_US: u64 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The node's place in the cgroup tree.
#[derive(Debug, Clone)]
pub struct Cgroups {
    version: Option<Version>,
    /// The node's directory per hierarchy, with the controller's name; one entry in version 2.
    hierarchies: Vec<(String, PathBuf)>,
}

/// One container's directories.
#[derive(Debug, Clone)]
pub struct Group {
    version: Option<Version>,
    dirs: Vec<(String, PathBuf)>,
}

impl Cgroups {
    /// Finds and makes the node's directories; what an earlier node of the same directory left is removed.
    pub fn claim(node_dir: &Path) -> Self {
        let found = detect::find(&name_for(node_dir));
        found.hierarchies.iter().for_each(|(_, dir)| remove_tree(dir));
        let usable = found.hierarchies.iter().all(|(_, dir)| fs::create_dir(dir).is_ok());
        if !usable || found.hierarchies.is_empty() {
            found.hierarchies.iter().for_each(|(_, dir)| remove_tree(dir));
            return Self::none();
        }
        if found.version == Some(Version::Two) {
            for (_, dir) in &found.hierarchies {
                // Best effort: a controller that the parent did not hand down is one limit less.
                for controller in ["+cpu", "+memory", "+pids"] {
                    let _ = fs::write(dir.join("cgroup.subtree_control"), controller);
                }
            }
        }
        found
    }

    pub fn none() -> Self {
        Self { version: None, hierarchies: Vec::new() }
    }

    /// `v1`, `v2` or `none`.
    pub fn name(&self) -> &'static str {
        match self.version {
            Some(Version::One) => "v1",
            Some(Version::Two) => "v2",
            None => "none",
        }
    }

    /// Removes the node's directories and all below; all processes must be gone from them.
    pub fn remove(&self) {
        self.hierarchies.iter().for_each(|(_, dir)| remove_tree(dir));
    }

    /// Removes what a node of `node_dir` left when it was killed. For the daemon, after the node is gone.
    pub fn remove_stale(node_dir: &Path) {
        detect::find(&name_for(node_dir)).remove();
    }

    /// Makes a container's directories and writes its limits.
    pub fn create(&self, container: &str, resources: &Resources) -> io::Result<Group> {
        let dirs = self.hierarchies.iter().map(|(controller, dir)| (controller.clone(), dir.join(container)));
        let group = Group { version: self.version, dirs: dirs.collect() };
        for (_, dir) in &group.dirs {
            if let Err(error) = fs::create_dir(dir)
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                group.remove();
                return Err(error);
            }
        }
        match group.limit(resources) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.remove();
                Err(error)
            }
        }
    }
}

impl Group {
    /// Moves the calling process in.
    pub fn join(&self) -> io::Result<()> {
        self.dirs.iter().try_for_each(|(_, dir)| fs::write(dir.join("cgroup.procs"), "0"))
    }

    /// The hierarchies' names, for mounting them inside the container; empty for version 2.
    pub fn v1_controllers(&self) -> Option<Vec<&str>> {
        match self.version {
            Some(Version::One) => Some(self.dirs.iter().map(|(controller, _)| controller.as_str()).collect()),
            Some(Version::Two) => Some(Vec::new()),
            None => None,
        }
    }

    /// Whether the kernel killed any process in it for want of memory.
    pub fn saw_oom_kill(&self) -> bool {
        let file = match self.version {
            Some(Version::One) => "memory.oom_control",
            Some(Version::Two) => "memory.events",
            None => return false,
        };
        self.read("memory", file).is_some_and(|text| stats::field(&text, "oom_kill").is_some_and(|n| n > 0))
    }

    pub fn stats(&self) -> Stats {
        stats::read(self)
    }

    /// All processes in it, as the node counts them.
    pub fn pids(&self) -> Vec<i32> {
        let text = self.dirs.first().and_then(|(_, dir)| fs::read_to_string(dir.join("cgroup.procs")).ok());
        text.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
    }

    pub fn remove(&self) {
        self.dirs.iter().for_each(|(_, dir)| remove_tree(dir));
    }

    fn read(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.dir(controller)?.join(file)).ok()
    }

    fn dir(&self, controller: &str) -> Option<&Path> {
        let two = self.version == Some(Version::Two);
        self.dirs.iter().find(|(name, _)| two || name == controller).map(|(_, dir)| dir.as_path())
    }

    fn limit(&self, resources: &Resources) -> io::Result<()> {
        match self.version {
            Some(Version::One) => self.limit_v1(resources),
            Some(Version::Two) => self.limit_v2(resources),
            None => Ok(()),
        }
    }

    /// Writes other limits for what runs inside. Memory in use is never taken away: the kernel would kill for it.
    pub fn resize(&self, resources: &Resources) -> io::Result<()> {
        if let Some(bytes) = resources.memory_bytes {
            let used = self.stats().memory_working_set_bytes;
            if used > bytes {
                let why = format!("it uses {used} bytes of memory, more than the {bytes} it is to get");
                return Err(io::Error::other(why));
            }
            // The limit with swap may not lie below the other: it has to move first when both grow.
            if self.version == Some(Version::One)
                && self.write("memory", "memory.limit_in_bytes", bytes).is_err()
            {
                let _ = self.write("memory", "memory.memsw.limit_in_bytes", bytes);
            }
        }
        self.limit(resources)
    }

    fn limit_v1(&self, resources: &Resources) -> io::Result<()> {
        if let Some(bytes) = resources.memory_bytes {
            self.write("memory", "memory.limit_in_bytes", bytes)?;
            // Without swap accounting the file is absent, and the plain limit has to do.
            let _ = self.write("memory", "memory.memsw.limit_in_bytes", bytes);
        }
        if let Some(millis) = resources.cpu_limit_millis {
            self.write("cpu", "cpu.cfs_period_us", PERIOD_US)?;
            self.write("cpu", "cpu.cfs_quota_us", quota_us(millis))?;
        }
        self.write("cpu", "cpu.shares", shares(resources.cpu_request_millis))?;
        resources.pids.map_or(Ok(()), |pids| self.write("pids", "pids.max", pids))
    }

    fn limit_v2(&self, resources: &Resources) -> io::Result<()> {
        if let Some(bytes) = resources.memory_bytes {
            self.write("memory", "memory.max", bytes)?;
            let _ = self.write("memory", "memory.swap.max", 0);
        }
        if let Some(millis) = resources.cpu_limit_millis {
            self.write("cpu", "cpu.max", format!("{} {PERIOD_US}", quota_us(millis)))?;
        }
        // A weight that cannot be set costs fairness, not correctness.
        let _ = self.write("cpu", "cpu.weight", weight(shares(resources.cpu_request_millis)));
        resources.pids.map_or(Ok(()), |pids| self.write("pids", "pids.max", pids))
    }

    /// A controller that is not mounted, or not handed down, is a limit that does not bind.
    fn write(&self, controller: &str, file: &str, value: impl ToString) -> io::Result<()> {
        let Some(path) = self.dir(controller).map(|dir| dir.join(file)) else { return Ok(()) };
        if !path.exists() {
            return Ok(());
        }
        fs::write(path, value.to_string())
    }
}

/// At least 1 ms per period, the kernel's smallest quota.
fn quota_us(millis: u64) -> u64 {
    (millis.saturating_mul(PERIOD_US) / 1000).max(1000)
}

/// The kubelet's conversion; 2 is the kernel's smallest.
fn shares(request_millis: Option<u64>) -> u64 {
    (request_millis.unwrap_or(0).saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// From 2..=262144 shares to a weight of 1..=10000.
fn weight(shares: u64) -> u64 {
    1 + (shares - 2) * 9999 / 262_142
}

/// One name per node directory, so that several nodes live side by side.
fn name_for(node_dir: &Path) -> String {
    use sha2::Digest;
    use std::os::unix::ffi::OsStrExt;
    let digest = sha2::Sha256::digest(node_dir.as_os_str().as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("drydock-{hex}")
}

/// Cgroup directories hold only directories of ours; a group still in use is tried again for a moment.
fn remove_tree(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path());
    }
    for _ in 0..50 {
        match fs::remove_dir(dir) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_limit_becomes_a_share_of_each_period() {
        assert_eq!([quota_us(500), quota_us(2000), quota_us(1)], [50_000, 200_000, 1000]);
    }

    #[test]
    fn a_cpu_request_becomes_shares_and_a_weight_within_the_kernels_bounds() {
        assert_eq!([shares(None), shares(Some(1000)), shares(Some(u64::MAX))], [2, 1024, 262_144]);
        assert_eq!([weight(2), weight(1024), weight(262_144)], [1, 39, 10_000]);
    }

    #[test]
    fn two_directories_never_share_a_name() {
        assert_ne!(name_for(Path::new("/a")), name_for(Path::new("/b")));
    }
}
