//! The pod's volumes and its own `/etc` files.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, fstat};

use super::super::mount_api::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, attach, clone_tree, new_fs, path_fd,
    set_attributes,
};
use super::super::rooted::Root;
use super::super::{Doing, Error};
use super::{DIR_MODE, Places};
use crate::protocol::{ContainerSpec, Mount, MountSource};

/// The sandbox's files and where every container of the pod sees them.
const POD_FILES: [(&str, &str); 4] = [
    ("hosts", "/etc/hosts"),
    ("hostname", "/etc/hostname"),
    ("resolv.conf", "/etc/resolv.conf"),
    ("shm", "/dev/shm"),
];

/// Mounts outer targets before inner ones, and the pod's files unless a volume takes their place.
pub(super) fn mount_all(root: &Root, spec: &ContainerSpec, places: &Places<'_>) -> Result<(), Error> {
    let pod_files = POD_FILES.iter().map(|(name, target)| Mount {
        target: target.into(),
        source: MountSource::Bind { path: places.sandbox_dir.join(name), sub_path: None },
        read_only: spec.read_only_root && *name != "shm",
    });
    let taken = |mount: &Mount| spec.mounts.iter().any(|own| own.target == mount.target);
    let mut mounts: Vec<Mount> = pod_files.filter(|mount| !taken(mount)).collect();
    mounts.extend(spec.mounts.iter().cloned());
    mounts.sort_by_key(|mount| mount.target.components().count());
    mounts.iter().try_for_each(|mount| mount_one(root, mount))
}

fn mount_one(root: &Root, mount: &Mount) -> Result<(), Error> {
    check_target(&mount.target)?;
    let (tree, is_dir) = match &mount.source {
        MountSource::Bind { path, sub_path } => source(path, sub_path.as_deref(), mount.read_only)?,
        MountSource::Tmpfs { size_bytes, mode } => (tmpfs(*size_bytes, *mode)?, true),
    };
    let shown = mount.target.display();
    let read_only = if mount.read_only { MOUNT_ATTR_RDONLY } else { 0 };
    set_attributes(tree.as_fd(), MOUNT_ATTR_NODEV | read_only, true)
        .doing(|| format!("set the flags of the mount on `{shown}`"))?;
    let target =
        if is_dir { root.ensure_dir(&mount.target, DIR_MODE) } else { root.ensure_file(&mount.target) };
    let target = target.doing(|| format!("make mount target `{shown}` in the image"))?;
    attach(tree.as_fd(), target.as_fd()).doing(|| format!("mount on `{shown}`"))
}

/// `/proc` and `/sys` are the kernel's, whoever asks; the root itself cannot be covered.
fn check_target(target: &Path) -> Result<(), Error> {
    let plain = target.is_absolute() && target.components().all(|part| part != Component::ParentDir);
    let kernels = ["/proc", "/sys"].iter().any(|taken| target.starts_with(taken));
    if plain && !kernels && target != Path::new("/") {
        return Ok(());
    }
    Err(Error::Invalid(format!("`{}` cannot be mounted on", target.display())))
}

fn tmpfs(size_bytes: Option<u64>, mode: u32) -> Result<OwnedFd, Error> {
    let (size, mode) = (size_bytes.map(|size| size.to_string()), format!("{mode:o}"));
    let mut options = vec![("mode", Some(mode.as_str()))];
    if let Some(size) = &size {
        options.push(("size", Some(size)));
    }
    new_fs("tmpfs", &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV).doing(|| "make a tmpfs".to_owned())
}

fn source(path: &Path, sub_path: Option<&str>, read_only: bool) -> Result<(OwnedFd, bool), Error> {
    let doing = || format!("open volume `{}`", path.display());
    let volume = path_fd(path).doing(doing)?;
    let opened = match sub_path.filter(|sub| !sub.is_empty()) {
        None => volume,
        Some(sub) => open_sub_path(volume, Path::new(sub), read_only)?,
    };
    let is_dir = is_dir(&fstat(opened.as_fd()).doing(doing)?);
    let tree = clone_tree(opened.as_fd()).doing(|| format!("clone the mount of `{}`", path.display()))?;
    Ok((tree, is_dir))
}

/// The part of a volume a `subPath` names; a missing one becomes a directory like the volume itself.
fn open_sub_path(volume: OwnedFd, sub: &Path, read_only: bool) -> Result<OwnedFd, Error> {
    let doing = || format!("open sub-path `{}`", sub.display());
    if sub.is_absolute() || sub.components().any(|part| part == Component::ParentDir) {
        return Err(Error::Invalid(format!("sub-path `{}` leaves the volume", sub.display())));
    }
    let like = fstat(volume.as_fd()).doing(doing)?;
    let volume = Root::new(volume);
    match volume.open(sub, OFlag::O_PATH) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !read_only => {
            let made =
                volume.ensure_dir(sub, Mode::from_bits_truncate(like.st_mode & 0o7777)).doing(doing)?;
            adopt_owner(&volume, sub, &like).doing(doing)?;
            Ok(made)
        }
        opened => opened.doing(doing),
    }
}

/// Owner and mode of the volume itself, whatever the umask said.
fn adopt_owner(volume: &Root, sub: &Path, like: &FileStat) -> std::io::Result<()> {
    let dir = volume.open(sub, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
    nix::unistd::fchown(dir.as_fd(), Some(like.st_uid.into()), Some(like.st_gid.into()))?;
    Ok(nix::sys::stat::fchmod(dir.as_fd(), Mode::from_bits_truncate(like.st_mode & 0o7777))?)
}

fn is_dir(stat: &FileStat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, allowed: bool) {
        assert_eq!(check_target(Path::new(target)).is_ok(), allowed, "{target}");
    }

    #[test]
    fn ordinary_targets_are_fine() {
        check("/data", true);
        check("/dev/shm", true);
        check("/process", true);
    }

    #[test]
    fn the_kernels_directories_are_not() {
        check("/proc/self", false);
        check("/sys", false);
        check("/", false);
    }

    #[test]
    fn a_target_must_be_plain_and_absolute() {
        check("data", false);
        check("/data/../proc", false);
    }
}
