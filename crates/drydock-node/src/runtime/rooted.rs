//! Paths inside a directory that we do not trust: an image's root, a volume.
//!
//! Every lookup is `openat2` with `RESOLVE_IN_ROOT`, so absolute links and `..` end at the directory itself
//! however they are swapped meanwhile, and no lookup passes through a magic link of `/proc`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};

/// The kernel cannot vouch for `..` while anything on the machine is renamed or mounted, and says "again".
const MAX_TRIES: usize = 1000;

#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    pub fn new(directory: OwnedFd) -> Self {
        Self(directory)
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens without creating; `O_CLOEXEC` is added.
    pub fn open(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        self.resolve(path, flags, libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS)
    }

    /// As `open`, and fails with `ELOOP` when any part of the path is a symlink.
    pub fn open_without_links(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        self.resolve(path, flags, libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS)
    }

    /// Opens the directory, making missing parts with `mode`.
    pub fn ensure_dir(&self, path: &Path, mode: Mode) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        match self.open(path, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let mut parent = self.open(Path::new("."), flags)?;
        let mut walked = PathBuf::new();
        for name in names(path)? {
            walked.push(name);
            parent = match self.open(&walked, flags) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    mkdirat(&parent, name, mode)?;
                    self.open(&walked, flags)?
                }
                opened => opened?,
            };
        }
        Ok(parent)
    }

    /// Opens whatever is there, or makes an empty file (with its parents) to mount over.
    pub fn ensure_file(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open(path, OFlag::O_PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::EINVAL.into());
        };
        let parent = self.ensure_dir(parent, Mode::from_bits_truncate(0o755))?;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        nix::fcntl::openat(&parent, name, flags, Mode::from_bits_truncate(0o644))?;
        self.open(path, OFlag::O_PATH)
    }

    fn resolve(&self, path: &Path, flags: OFlag, resolve: u64) -> io::Result<OwnedFd> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: all-zero is a valid `open_how`, which only holds integers.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = (flags | OFlag::O_CLOEXEC).bits() as u64;
        how.resolve = resolve;
        for _ in 0..MAX_TRIES {
            // SAFETY: the path and `how` outlive the call, and the size given is the true one.
            let fd = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    self.0.as_raw_fd(),
                    path.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            };
            if fd >= 0 {
                // SAFETY: the kernel just made this descriptor for us.
                return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) });
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EAGAIN) {
                return Err(error);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// The plain names of a path; `..` is refused because what it means depends on links.
fn names(path: &Path) -> io::Result<Vec<&std::ffi::OsStr>> {
    path.components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(Errno::EINVAL.into()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::runtime::mount_api::path_fd;

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(path_fd(dir.path()).unwrap());
        (dir, root)
    }

    const DIR: Mode = Mode::from_bits_truncate(0o755);

    #[test]
    fn missing_parts_of_a_directory_are_made() {
        let (dir, root) = root();
        root.ensure_dir(Path::new("/a/b/c"), DIR).unwrap();
        assert!(dir.path().join("a/b/c").is_dir());
    }

    #[test]
    fn an_absolute_link_stays_inside() {
        let (dir, root) = root();
        symlink("/outside", dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        root.ensure_dir(Path::new("/link/made"), DIR).unwrap();
        assert!(dir.path().join("outside/made").is_dir());
        assert!(!Path::new("/outside").exists());
    }

    #[test]
    fn a_link_upwards_stays_inside() {
        let (dir, root) = root();
        symlink("../../../../../../..", dir.path().join("up")).unwrap();
        root.ensure_file(Path::new("/up/file")).unwrap();
        assert!(dir.path().join("file").is_file());
    }

    #[test]
    fn a_dangling_link_is_an_error_and_nothing_is_made() {
        let (dir, root) = root();
        symlink("/nowhere", dir.path().join("link")).unwrap();
        assert!(root.ensure_dir(Path::new("/link/x"), DIR).is_err());
        assert!(root.ensure_file(Path::new("/link")).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn dots_that_climb_are_refused_when_something_must_be_made() {
        let (_dir, root) = root();
        assert!(root.ensure_dir(Path::new("/a/../../b"), DIR).is_err());
    }
}
