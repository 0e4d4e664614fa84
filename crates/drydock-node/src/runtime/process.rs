//! The calling process becomes a container's first process, or joins a container that runs.
//!
//! Both ways end alike: take the pod's user, drop every power not asked for, find the program, close all
//! other descriptors, `execve`. The process is not dumpable until then (the node is not, and forks inherit
//! that), so nothing in the container can look into it. The node itself was executed from a read-only
//! mount, so a program that is a link to `/proc/self/exe` gets a file nobody can write.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid};

use super::capabilities::{self, Set};
use super::cgroup::Group;
use super::command::{self, Command};
use super::rootfs::{self, Places};
use super::user::{self, IdMap, Identity};
use super::{Doing, Error, limits, seccomp};
use crate::protocol::{ContainerSpec, ExecSpec, Seccomp};

/// passwd and group files longer than this are cut: they come from an image.
const MAX_ACCOUNTS_BYTES: u64 = 1 << 20;

/// The namespaces a pod's containers share. `network` is absent when the pod uses the node's own.
#[derive(Debug)]
pub struct Namespaces {
    pub network: Option<OwnedFd>,
    pub ipc: OwnedFd,
    pub host_name: OwnedFd,
}

/// What the first process of a container needs to know.
#[derive(Debug)]
pub struct Container<'a> {
    pub spec: &'a ContainerSpec,
    pub hostname: &'a str,
    pub namespaces: &'a Namespaces,
    pub group: &'a Group,
    pub places: Places<'a>,
}

/// Refuses early what would only fail later, without touching anything.
pub fn check(spec: &ContainerSpec) -> Result<(), Error> {
    if spec.security.privileged {
        return Err(Error::Unsupported(
            "privileged containers are refused: one would own this machine".to_owned(),
        ));
    }
    Set::asked(&spec.security).map(drop)
}

/// Sets everything up, calls `gate` (which says so and waits for the start) and executes the program.
///
/// The caller has forked into a new pid namespace and put the standard descriptors in place. `terminal` replaces them
/// by one if the container has one.
pub fn enter_container(
    container: &Container<'_>,
    terminal: impl FnOnce() -> Result<(), Error>,
    gate: impl FnOnce() -> Result<(), Error>,
) -> Result<Infallible, Error> {
    let spec = container.spec;
    let powers = Powers::of(spec)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::unistd::setsid().doing(|| "start a session".to_owned())?;
    container.group.join().doing(|| "join the container's cgroup".to_owned())?;
    limits::apply_oom_score(&spec.resources);
    join(container.namespaces)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP)
        .doing(|| "make the container's namespaces".to_owned())?;
    rootfs::build(spec, &container.places)?;
    terminal()?;
    let identity = identity(spec)?;
    go_to(spec.cwd.as_deref())?;
    powers.drop_to(&identity, spec)?;
    die_with_parent()?;
    let environment = command::environment(&spec.env, &identity.home, container.hostname, spec.tty);
    let command = Command::find(&spec.args, &environment)?;
    gate()?;
    execute(&command)
}

/// Joins the container whose first process is `init` and executes the program.
///
/// The caller has forked into the container's pid namespace. `terminal` opens one and hands its other end
/// away; without it the standard descriptors must be in place.
pub fn enter_exec(
    spec: &ContainerSpec,
    exec: &ExecSpec,
    hostname: &str,
    init: BorrowedFd<'_>,
    group: &Group,
    terminal: impl FnOnce() -> Result<(), Error>,
) -> Result<Infallible, Error> {
    let powers = Powers::of(spec)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::unistd::setsid().doing(|| "start a session".to_owned())?;
    group.join().doing(|| "join the container's cgroup".to_owned())?;
    limits::apply_oom_score(&spec.resources);
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    setns(init, all).doing(|| "join the container's namespaces".to_owned())?;
    terminal()?;
    let identity = identity(spec)?;
    go_to(exec.cwd.as_deref().or(spec.cwd.as_deref()))?;
    powers.drop_to(&identity, spec)?;
    let given = [spec.env.as_slice(), exec.env.as_slice()].concat();
    let environment = command::environment(&given, &identity.home, hostname, exec.tty);
    execute(&Command::find(&exec.args, &environment)?)
}

fn join(namespaces: &Namespaces) -> Result<(), Error> {
    let doing = || "join the pod's namespaces".to_owned();
    if let Some(network) = &namespaces.network {
        setns(network, CloneFlags::CLONE_NEWNET).doing(doing)?;
    }
    setns(&namespaces.ipc, CloneFlags::CLONE_NEWIPC).doing(doing)?;
    setns(&namespaces.host_name, CloneFlags::CLONE_NEWUTS).doing(doing)
}

/// Closes everything but the standard descriptors at the moment of the exec, and goes.
fn execute(command: &Command) -> Result<Infallible, Error> {
    // SAFETY: only marks descriptors close-on-exec.
    let marked = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    if marked < 0 {
        return Err(std::io::Error::last_os_error()).doing(|| "close descriptors".to_owned());
    }
    command::reset_signals()?;
    Err(command.execute())
}

fn go_to(cwd: Option<&Path>) -> Result<(), Error> {
    let cwd = cwd.unwrap_or(Path::new("/"));
    nix::unistd::chdir(cwd).doing(|| format!("enter working directory `{}`", cwd.display()))
}

/// Reads who we are from the container's own files; we are inside its root already.
fn identity(spec: &ContainerSpec) -> Result<Identity, Error> {
    let identity = user::resolve(&spec.user, &accounts("/etc/passwd"), &accounts("/etc/group"))?;
    user::check_exists(&identity, &IdMap::of_users(), &IdMap::of_groups())?;
    Ok(identity)
}

/// An ordinary file's text, or nothing: an image may have a pipe there, or no such file.
fn accounts(path: &str) -> String {
    let open = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let Some(file) = open.ok().filter(|file| file.metadata().is_ok_and(|about| about.is_file())) else {
        return String::new();
    };
    let mut bytes = Vec::new();
    let _ = file.take(MAX_ACCOUNTS_BYTES).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the process may do once it is the pod's; worked out before anything is irrevocable.
struct Powers {
    capabilities: Set,
    profile: Option<seccomp::Profile>,
}

impl Powers {
    fn of(spec: &ContainerSpec) -> Result<Self, Error> {
        check(spec)?;
        let capabilities = Set::asked(&spec.security)?;
        let profile = match spec.security.seccomp {
            Seccomp::RuntimeDefault => Some(seccomp::runtime_default(capabilities)?),
            Seccomp::Unconfined => None,
        };
        Ok(Self { capabilities, profile })
    }

    /// The filter comes first, while the power to install one without `no_new_privs` is still there.
    fn drop_to(&self, identity: &Identity, spec: &ContainerSpec) -> Result<(), Error> {
        limits::apply_rlimits(&spec.resources)?;
        give_standard_descriptors(identity.uid).doing(|| "hand over the standard descriptors".to_owned())?;
        if spec.security.no_new_privs {
            nix::sys::prctl::set_no_new_privs().doing(|| "set no_new_privs".to_owned())?;
        }
        if let Some(profile) = &self.profile {
            seccomp::install(profile).doing(|| "install the seccomp profile".to_owned())?;
        }
        capabilities::bound(self.capabilities).doing(|| "bound the capabilities".to_owned())?;
        capabilities::keep_over_setuid().doing(|| "keep the capabilities".to_owned())?;
        become_user(identity)?;
        capabilities::apply(self.capabilities).doing(|| "set the capabilities".to_owned())
    }
}

fn become_user(identity: &Identity) -> Result<(), Error> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    match nix::unistd::setgroups(&groups) {
        // A user namespace with a single id has no other groups to give or take.
        Err(nix::errno::Errno::EPERM) if groups.is_empty() => {}
        other => other.doing(|| "set the supplementary groups".to_owned())?,
    }
    let gid = Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid).doing(|| format!("become group {gid}"))?;
    let uid = Uid::from_raw(identity.uid);
    nix::unistd::setresuid(uid, uid, uid).doing(|| format!("become user {uid}"))
}

/// Lets a program that is not root reopen `/dev/stdout`; only pipes and terminals are ours to give.
fn give_standard_descriptors(uid: u32) -> std::io::Result<()> {
    let standard = [std::io::stdin().as_raw_fd(), 1, 2];
    for fd in standard {
        // SAFETY: the three standard descriptors stay open for the life of this process.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let is_pipe = nix::sys::stat::fstat(fd)?.st_mode & libc::S_IFMT == libc::S_IFIFO;
        if is_pipe || nix::unistd::isatty(fd).unwrap_or(false) {
            nix::unistd::fchown(fd, Some(uid.into()), None)?;
        }
    }
    Ok(())
}

/// The container must not outlive its shim. Comes after the change of user, which would clear it.
fn die_with_parent() -> Result<(), Error> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .doing(|| "tie life to the shim".to_owned())
}

/// A terminal inside the container: this process gets it as its own, the controlling end is returned.
pub fn open_terminal() -> Result<OwnedFd, Error> {
    let doing = || "open a terminal".to_owned();
    let flags = libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_CLOEXEC;
    let controller = std::fs::File::options()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open("/dev/pts/ptmx")
        .doing(doing)?;
    let about = nix::sys::stat::fstat(controller.as_fd()).doing(doing)?;
    if about.st_rdev != libc::makedev(5, 2) {
        return Err(Error::Invalid("the container replaced /dev/pts/ptmx".to_owned()));
    }
    unlock_and_take(controller.as_raw_fd()).doing(doing)?;
    Ok(controller.into())
}

fn unlock_and_take(controller: i32) -> std::io::Result<()> {
    let check = |result: i32| if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) };
    let unlock: libc::c_int = 0;
    // SAFETY: reads one integer that outlives the call.
    check(unsafe { libc::ioctl(controller, libc::TIOCSPTLCK, &raw const unlock) })?;
    // SAFETY: opens the other end by descriptor, so no path of the container's is trusted.
    let terminal =
        check(unsafe { libc::ioctl(controller, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY) })?;
    // SAFETY: makes the terminal ours; we lead a session without one.
    check(unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) })?;
    for standard in 0..3 {
        // SAFETY: replaces a standard descriptor by the terminal.
        check(unsafe { libc::dup2(terminal, standard) })?;
    }
    // SAFETY: the terminal lives on as the standard descriptors; nothing else owns this number.
    check(unsafe { libc::close(terminal) }).map(drop)
}
