//! Builds a container's file system in the calling process's own mount namespace and moves into it.
//!
//! Order matters: the image's layers, the kernel's file systems, the pod's volumes from the outside in, the
//! pod's own `/etc` files, masks, the read-only flag, then `pivot_root`. All targets are resolved inside the
//! new root. Device nodes are the host's, bound one by one; every other mount is `nodev`, so a node that a
//! container makes itself opens nothing, with or without a device cgroup. Start at [`build`].

mod kernel;
mod volumes;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;

use super::mount_api::{MOUNT_ATTR_RDONLY, path_fd, set_attributes};
use super::rooted::Root;
use super::{Doing, Error};
use crate::protocol::{ContainerSpec, Rootfs};

const DIR_MODE: Mode = Mode::from_bits_truncate(0o755);

/// Where things are, besides what the container's spec says.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// An empty directory of the node's to mount the root on; it stays empty for everybody else.
    pub mount_point: &'a Path,
    /// Holds `hosts`, `hostname`, `resolv.conf` and the pod's `shm`.
    pub sandbox_dir: &'a Path,
    pub rootless: bool,
    /// Hierarchies of version 1 to show below `/sys/fs/cgroup`; `None` when there are no cgroups at all.
    pub cgroups: Option<&'a [&'a str]>,
}

pub fn build(spec: &ContainerSpec, places: &Places<'_>) -> Result<(), Error> {
    mount_overlay(&spec.rootfs, places)?;
    let mount_point = path_fd(places.mount_point).doing(|| "open the container's root".to_owned())?;
    let root = Root::new(mount_point);
    kernel::mount_all(&root, places)?;
    volumes::mount_all(&root, spec, places)?;
    if !spec.security.unmasked_proc {
        kernel::mask(&root)?;
    }
    if let Some(cwd) = &spec.cwd {
        root.ensure_dir(cwd, DIR_MODE).doing(|| format!("make working directory `{}`", cwd.display()))?;
    }
    if spec.read_only_root {
        set_attributes(root.as_fd(), MOUNT_ATTR_RDONLY, false)
            .doing(|| "make the root read-only".to_owned())?;
    }
    pivot(&root)
}

/// Layers are named by descriptors: paths may be long, many, and contain `:` or `,`.
fn mount_overlay(rootfs: &Rootfs, places: &Places<'_>) -> Result<(), Error> {
    if rootfs.layers.is_empty() {
        return Err(Error::Invalid("the image has no layers".to_owned()));
    }
    for dir in [&rootfs.upper, &rootfs.work] {
        std::fs::create_dir_all(dir).doing(|| format!("make `{}`", dir.display()))?;
    }
    // The container's `/` gets the upper directory's mode, and every user must be able to enter it.
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&rootfs.upper, open_to_all).doing(|| "open the root to all users".to_owned())?;
    let open = |path: &Path| path_fd(path).doing(|| format!("open layer `{}`", path.display()));
    let layers: Vec<OwnedFd> = rootfs.layers.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    let (upper, work) = (open(&rootfs.upper)?, open(&rootfs.work)?);
    let link = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut options = format!(
        "lowerdir={},upperdir={},workdir={}",
        layers.iter().map(link).collect::<Vec<_>>().join(":"),
        link(&upper),
        link(&work)
    );
    if places.rootless {
        options.push_str(",userxattr");
    }
    let options = CString::new(options).map_err(|_| Error::Invalid("a zero byte in a path".to_owned()))?;
    mount(Some("overlay"), places.mount_point, Some("overlay"), MsFlags::MS_NODEV, Some(options.as_c_str()))
        .doing(|| "mount the image's layers".to_owned())
}

fn pivot(root: &Root) -> Result<(), Error> {
    let inside = root.open(Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY);
    let inside = inside.doing(|| "open the new root".to_owned())?;
    nix::unistd::fchdir(inside.as_fd()).doing(|| "enter the new root".to_owned())?;
    nix::unistd::pivot_root(".", ".").doing(|| "swap the roots".to_owned())?;
    umount2(".", MntFlags::MNT_DETACH).doing(|| "let go of the old root".to_owned())?;
    nix::unistd::chdir("/").doing(|| "enter the root".to_owned())
}
