//! Finding where a node may make cgroups.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Cgroups, Version};

const WANTED: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// The directories a node called `name` would own; not yet made, possibly not writable.
pub(super) fn find(name: &str) -> Cgroups {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    choose(&mounts, &own, name, nix::unistd::geteuid().is_root())
}

fn choose(mounts: &str, own: &str, name: &str, root: bool) -> Cgroups {
    let first = version_one(mounts, name);
    if root && !first.is_empty() {
        return Cgroups { version: Some(Version::One), hierarchies: first };
    }
    let Some(mount) = mount_points(mounts).find(|mount| mount.kind == "cgroup2") else {
        return Cgroups::none();
    };
    // Root makes its directory at the top, as container engines do; others only where they were given a
    // subtree, which is then the parent of the cgroup they were started in.
    let base = if root { PathBuf::from(mount.point) } else { delegated(mount.point, own) };
    let dir = base.join(name);
    Cgroups { version: Some(Version::Two), hierarchies: vec![(String::new(), dir)] }
}

fn version_one(mounts: &str, name: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for mount in mount_points(mounts).filter(|mount| mount.kind == "cgroup") {
        for controller in WANTED.iter().filter(|wanted| mount.options.split(',').any(|one| one == **wanted)) {
            // `cpu` and `cpuacct` are often one hierarchy: list its directory once.
            let dir = Path::new(mount.point).join(name);
            if found.iter().all(|(_, known)| *known != dir) {
                found.push(((*controller).to_owned(), dir));
            }
        }
    }
    found
}

fn delegated(point: &str, own: &str) -> PathBuf {
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let own = PathBuf::from(format!("{point}{path}"));
    own.parent().filter(|parent| parent.starts_with(point)).map_or(own.clone(), Path::to_path_buf)
}

struct MountPoint<'a> {
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn mount_points(mounts: &str) -> impl Iterator<Item = MountPoint<'_>> {
    mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let kind = right.next()?;
        Some(MountPoint { point: left.split(' ').nth(4)?, kind, options: right.nth(1)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 29 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 29 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
33 29 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "30 29 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[track_caller]
    fn check(mounts: &str, root: bool, expect: &str) {
        let found = choose(mounts, "0::/user.slice/a.scope\n", "n", root);
        let dirs: Vec<_> = found.hierarchies.iter().map(|(_, dir)| dir.display().to_string()).collect();
        assert_eq!(format!("{} {}", found.name(), dirs.join(" ")).trim(), expect);
    }

    #[test]
    fn root_uses_version_one_where_it_is_mounted() {
        check(HYBRID, true, "v1 /sys/fs/cgroup/memory/n /sys/fs/cgroup/cpu,cpuacct/n");
    }

    #[test]
    fn root_uses_the_top_of_version_two() {
        check(UNIFIED, true, "v2 /sys/fs/cgroup/n");
    }

    #[test]
    fn others_use_the_subtree_they_were_given() {
        check(UNIFIED, false, "v2 /sys/fs/cgroup/user.slice/n");
    }

    #[test]
    fn no_mount_means_no_limits() {
        check("", true, "none");
    }
}
