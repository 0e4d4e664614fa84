//! What every container gets from the kernel: `/proc`, `/dev`, `/sys`, and what is hidden in them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::mkdirat;
use nix::unistd::symlinkat;

use super::super::mount_api::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, attach, clone_tree, new_fs,
    path_fd, set_attributes,
};
use super::super::rooted::Root;
use super::super::{Doing, Error};
use super::{DIR_MODE, Places};

const QUIET: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// As Docker and containerd hide them.
const MASKED: [&str; 14] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn mount_all(root: &Root, places: &Places<'_>) -> Result<(), Error> {
    mount_fs(root, "/proc", "proc", &[], QUIET)?;
    mount_dev(root)?;
    mount_sys(root, places)
}

fn mount_dev(root: &Root) -> Result<(), Error> {
    let options = [("mode", Some("755")), ("size", Some("65536k"))];
    mount_fs(root, "/dev", "tmpfs", &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)?;
    let dev = top_level(root, "/dev")?;
    for name in DEVICES {
        let target = root.ensure_file(&Path::new("/dev").join(name)).doing(|| format!("make /dev/{name}"))?;
        let device = path_fd(&Path::new("/dev").join(name)).doing(|| format!("open /dev/{name}"))?;
        bind(&device, &target).doing(|| format!("bind /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev.as_fd(), name).doing(|| format!("link /dev/{name}"))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(dev.as_fd(), name, DIR_MODE).doing(|| format!("make /dev/{name}"))?;
    }
    mount_pts(root)?;
    mount_fs(root, "/dev/mqueue", "mqueue", &[], QUIET)
}

/// Group 5 is `tty` everywhere; a user namespace with a single id does not have it.
fn mount_pts(root: &Root) -> Result<(), Error> {
    let options = [("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("0620"))];
    let with_group = [&options[..], &[("gid", Some("5"))]].concat();
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    mount_fs(root, "/dev/pts", "devpts", &with_group, attributes)
        .or_else(|_| mount_fs(root, "/dev/pts", "devpts", &options, attributes))
}

fn mount_sys(root: &Root, places: &Places<'_>) -> Result<(), Error> {
    // A user namespace may be forbidden a sysfs of its own; an empty one is then all there is.
    mount_fs(root, "/sys", "sysfs", &[], QUIET | MOUNT_ATTR_RDONLY)
        .or_else(|_| mount_fs(root, "/sys", "tmpfs", &[("size", Some("0"))], QUIET | MOUNT_ATTR_RDONLY))?;
    let Some(controllers) = places.cgroups else { return Ok(()) };
    if root.open(Path::new("/sys/fs/cgroup"), OFlag::O_PATH).is_err() {
        return Ok(());
    }
    if controllers.is_empty() {
        // Programs that size themselves by their limit look here; without it they still run.
        let _ = mount_fs(root, "/sys/fs/cgroup", "cgroup2", &[], QUIET | MOUNT_ATTR_RDONLY);
        return Ok(());
    }
    mount_fs(root, "/sys/fs/cgroup", "tmpfs", &[("mode", Some("755"))], QUIET)?;
    for controller in controllers {
        let path = Path::new("/sys/fs/cgroup").join(controller);
        root.ensure_dir(&path, DIR_MODE).doing(|| format!("make `{}`", path.display()))?;
        let path = path.to_string_lossy();
        let _ = mount_fs(root, &path, "cgroup", &[(controller, None)], QUIET | MOUNT_ATTR_RDONLY);
    }
    let mount = root.open(Path::new("/sys/fs/cgroup"), OFlag::O_PATH);
    let mount = mount.doing(|| "open /sys/fs/cgroup".to_owned())?;
    set_attributes(mount.as_fd(), MOUNT_ATTR_RDONLY, false).doing(|| "seal /sys/fs/cgroup".to_owned())
}

pub(super) fn mask(root: &Root) -> Result<(), Error> {
    for path in READ_ONLY {
        let Some(target) = existing(root, path)? else { continue };
        let copy = clone_tree(target.as_fd()).doing(|| format!("clone {path}"))?;
        set_attributes(copy.as_fd(), MOUNT_ATTR_RDONLY, true).doing(|| format!("make {path} read-only"))?;
        attach(copy.as_fd(), target.as_fd()).doing(|| format!("mount {path}"))?;
    }
    for path in MASKED {
        let Some(target) = existing(root, path)? else { continue };
        cover(&target).doing(|| format!("mask {path}"))?;
    }
    Ok(())
}

/// Hides a directory under an empty read-only one, a file under `/dev/null`.
fn cover(target: &OwnedFd) -> std::io::Result<()> {
    let is_dir = nix::sys::stat::fstat(target.as_fd())?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if is_dir {
        let empty = new_fs("tmpfs", &[("size", Some("0"))], QUIET | MOUNT_ATTR_RDONLY)?;
        attach(empty.as_fd(), target.as_fd())
    } else {
        bind(&path_fd(Path::new("/dev/null"))?, target)
    }
}

fn bind(source: &OwnedFd, target: &OwnedFd) -> std::io::Result<()> {
    attach(clone_tree(source.as_fd())?.as_fd(), target.as_fd())
}

fn existing(root: &Root, path: &str) -> Result<Option<OwnedFd>, Error> {
    match root.open_without_links(Path::new(path), OFlag::O_PATH) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("open {path}")),
    }
}

/// Mounts a fresh file system on a directory that must not be reached through a link.
pub(super) fn mount_fs(
    root: &Root,
    path: &str,
    kind: &str,
    options: &[(&str, Option<&str>)],
    attributes: u64,
) -> Result<(), Error> {
    let target = top_level(root, path)?;
    let mount = new_fs(kind, options, attributes).doing(|| format!("make a {kind} for {path}"))?;
    attach(mount.as_fd(), target.as_fd()).doing(|| format!("mount {path}"))
}

fn top_level(root: &Root, path: &str) -> Result<OwnedFd, Error> {
    root.ensure_dir(Path::new(path), DIR_MODE).doing(|| format!("make {path} in the image"))?;
    root.open_without_links(Path::new(path), OFlag::O_PATH | OFlag::O_DIRECTORY)
        .map_err(|_| Error::Invalid(format!("the image has a symlink where {path} belongs")))
}
