//! From an ordinary process to PID 1 of namespaces of its own.
//!
//! The calling process makes the namespaces, forks, and stays only to say whether the node came up. The
//! child mounts its own `/proc` and the node's private memory, then executes the program again from a
//! read-only mount: whatever a container does with `/proc/self/exe`, the file behind it cannot be written.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{ForkResult, fork, getegid, geteuid, pipe2};

use super::{Error, Trying, sentence};
use crate::protocol::NODE_ROLE;
use crate::runtime::mount_api::{MOUNT_ATTR_RDONLY, attach, clone_tree, path_fd, set_attributes};
use crate::system;

pub(super) const INSIDE: &str = "--inside";
/// What the ready pipe carries when all went well; anything else is why not.
pub(super) const READY: &str = "ready";
/// The node's private memory, below its directory.
pub(super) const PRIVATE: &str = "run";

pub(super) fn start(dir: &Path) -> Result<(), Error> {
    let dir = prepare_dir(dir)?;
    let lock = lock(&dir)?;
    let (mut ready, tell) = pipe2(OFlag::O_CLOEXEC).trying("make a pipe").map(|(r, w)| (File::from(r), w))?;
    make_namespaces()?;
    // SAFETY: the program has no thread yet, so the child may do whatever its parent could.
    match unsafe { fork() }.trying("fork the node")? {
        ForkResult::Child => {
            drop(ready);
            let Err(error) = become_node(&dir, &lock, &tell);
            let _ = File::from(tell).write_all(sentence(&error).as_bytes());
            system::exit_now(1)
        }
        ForkResult::Parent { .. } => {
            drop(tell);
            let mut said = String::new();
            ready.read_to_string(&mut said).trying("wait for the node")?;
            if said == READY {
                return Ok(());
            }
            let said =
                if said.is_empty() { "it ended while starting; see node.log".to_owned() } else { said };
            Err(Error::System { doing: "start the node", source: std::io::Error::other(said) })
        }
    }
}

fn prepare_dir(dir: &Path) -> Result<PathBuf, Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).trying("make the node's directory")?;
    let dir = dir.canonicalize().trying("find the node's directory")?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir.join(PRIVATE)).trying("make a directory")?;
    Ok(dir)
}

/// The lock is held by the node for its life, through the descriptor it inherits.
fn lock(dir: &Path) -> Result<File, Error> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("node.lock"));
    let file = file.trying("open the lock file")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(error).trying("lock the node's directory"),
    }
}

fn make_namespaces() -> Result<(), Error> {
    if !geteuid().is_root() {
        make_user_namespace()?;
    }
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWPID;
    unshare(flags).trying("make namespaces (a container or security policy may forbid it)")
}

/// Becomes root of a user namespace: with a range of ids where the machine has one for us, else with one.
fn make_user_namespace() -> Result<(), Error> {
    let (uid, gid) = (geteuid(), getegid());
    let (wait, go) = pipe2(OFlag::O_CLOEXEC).trying("make a pipe")?;
    let us = std::process::id();
    // SAFETY: the program has no thread yet. The helper must be made before we leave its namespace.
    let helper = match unsafe { fork() }.trying("fork a helper")? {
        ForkResult::Child => {
            drop(go);
            let _ = File::from(wait).read(&mut [0]);
            let mapped = map_range("newuidmap", us, uid.as_raw()) && map_range("newgidmap", us, gid.as_raw());
            system::exit_now(i32::from(!mapped))
        }
        ForkResult::Parent { child } => child,
    };
    drop(wait);
    unshare(CloneFlags::CLONE_NEWUSER).trying("make a user namespace (the system may restrict them)")?;
    drop(go);
    let mapped =
        matches!(nix::sys::wait::waitpid(helper, None), Ok(nix::sys::wait::WaitStatus::Exited(_, 0)));
    if !mapped {
        std::fs::write("/proc/self/setgroups", "deny").trying("give up setgroups")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).trying("map our user")?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).trying("map our group")?;
    }
    nix::unistd::setresgid(0.into(), 0.into(), 0.into()).trying("become root of the namespace")?;
    nix::unistd::setresuid(0.into(), 0.into(), 0.into()).trying("become root of the namespace")
}

/// Maps ourselves to 0 and the range that /etc/subuid or /etc/subgid gives us above it.
fn map_range(program: &str, pid: u32, id: u32) -> bool {
    let file = if program == "newuidmap" { "/etc/subuid" } else { "/etc/subgid" };
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = nix::unistd::User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
    let Some((start, count)) = sub_range(&text, name.as_deref(), geteuid().as_raw()) else { return false };
    let numbers = [pid, 0, id, 1, 1, start, count].map(|number| number.to_string());
    Command::new(program).args(numbers).status().is_ok_and(|status| status.success())
}

fn sub_range(text: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let ours = Some(owner) == name || owner.parse() == Ok(uid);
        let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (ours && count > 0).then_some((start, count))
    })
}

/// The child's part, up to the second execution of the program.
fn become_node(dir: &Path, lock: &File, tell: &OwnedFd) -> Result<std::convert::Infallible, Error> {
    nix::unistd::setsid().trying("start a session")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).trying("make mounts private")?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), quiet, none).trying("mount /proc")?;
    let private = dir.join(PRIVATE);
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), &private, Some("tmpfs"), quiet, Some("mode=700"))
        .trying("mount the node's memory")?;
    let program = seal_program(&private)?;
    for fd in [lock.as_fd(), tell.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).trying("pass a descriptor on")?;
    }
    let lock = lock.as_raw_fd().to_string();
    let tell = tell.as_raw_fd().to_string();
    let name = std::env::args_os().next().unwrap_or_else(|| OsString::from("drydock"));
    let words: [&OsStr; 6] =
        [&name, NODE_ROLE.as_ref(), dir.as_ref(), INSIDE.as_ref(), lock.as_ref(), tell.as_ref()];
    let words: Vec<CString> = words
        .iter()
        .map(|word| CString::new(word.as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(std::io::Error::from)
        .trying("build the command line")?;
    let program = CString::new(program.as_os_str().as_bytes()).map_err(std::io::Error::from);
    nix::unistd::execv(&program.trying("build the command line")?, &words).trying("execute the node")
}

/// Our own program, mounted read-only where no container can reach the mount. A program whose file was
/// replaced since it started is copied instead: then there is no file on disk to protect.
fn seal_program(private: &Path) -> Result<PathBuf, Error> {
    let sealed = private.join("program");
    let running = Path::new("/proc/self/exe");
    let seal = || -> std::io::Result<()> {
        let file = std::fs::read_link(running)?;
        if !same_file(&file, running) {
            std::fs::copy(running, &sealed)?;
            return std::fs::set_permissions(&sealed, std::os::unix::fs::PermissionsExt::from_mode(0o500));
        }
        File::create(&sealed)?;
        let copy = clone_tree(path_fd(&file)?.as_fd())?;
        set_attributes(copy.as_fd(), MOUNT_ATTR_RDONLY, false)?;
        attach(copy.as_fd(), path_fd(&sealed)?.as_fd())
    };
    seal().trying("mount the program read-only")?;
    Ok(sealed)
}

fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| std::fs::metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(u32, u32)>) {
        assert_eq!(sub_range(text, Some("ann"), 1000), expect);
    }

    #[test]
    fn a_range_is_found_by_name_or_number() {
        check("bob:1:2\nann:100000:65536\n", Some((100_000, 65_536)));
        check("1000:200000:65536\n", Some((200_000, 65_536)));
    }

    #[test]
    fn no_range_and_empty_ranges_are_none() {
        check("bob:100000:65536\nbroken\n", None);
        check("ann:100000:0\n", None);
    }
}
