//! The node's first moments as PID 1: signals, log, network, cgroups, what is left of an earlier node.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::containers::Container;
use super::network::Network;
use super::outer::{PRIVATE, READY};
use super::sandboxes::Home;
use super::serve::Node;
use super::{Cgroups, Error, SOCKET, Trying};
use crate::protocol::{ContainerState, ContainerStatus, Exit};
use crate::runtime::user::IdMap;
use crate::{shim, system};

const MAX_LOG_BYTES: u64 = 1 << 20;
const LOST: &str = "the node that ran it is gone";

pub(super) fn run(dir: &Path, lock: &OsStr, ready: &OsStr) -> Result<(), Error> {
    let lock = inherited(lock)?;
    let mut ready = File::from(inherited(ready)?);
    let result = settle(dir, lock);
    let node = match result {
        Ok(node) => node,
        Err(error) => {
            let _ = ready.write_all(super::sentence(&error).as_bytes());
            return Err(error);
        }
    };
    ready.write_all(READY.as_bytes()).trying("say that the node is ready")?;
    drop(ready);
    node.serve()
}

fn inherited(number: &OsStr) -> Result<OwnedFd, Error> {
    let fd: i32 = number.to_str().and_then(|text| text.parse().ok()).ok_or(Error::Usage)?;
    // SAFETY: the first execution of this program left exactly these descriptors open for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let cloexec = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
    nix::fcntl::fcntl(&fd, cloexec).trying("keep a descriptor")?;
    Ok(fd)
}

fn settle(dir: &Path, lock: OwnedFd) -> Result<Node, Error> {
    // Forks inherit this until they execute, so nothing in a container can look into one.
    nix::sys::prctl::set_dumpable(false).trying("hide from tracing")?;
    system::name_process("drydock-node");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    redirect_standard(dir)?;
    let signals = take_signals()?;
    let network = Network::set_up().trying("set up the node's network")?;
    let private = dir.join(PRIVATE);
    for name in ["root", "sandboxes", "volumes"] {
        DirBuilder::new().mode(0o755).create(private.join(name)).trying("make a directory")?;
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir.join("containers"))
        .trying("make a directory")?;
    Ok(Node {
        dir: dir.to_owned(),
        private,
        ids: IdMap::of_users(),
        started_unix_ms: system::now_unix_ms(),
        home: Home::open().trying("open the node's namespaces")?,
        cgroups: Cgroups::claim(dir),
        network,
        listener: listen(dir).trying("listen on the node's socket")?,
        signals,
        peers: BTreeMap::new(),
        next_peer: 0,
        sandboxes: BTreeMap::new(),
        containers: lost_containers(dir),
        execs: BTreeMap::new(),
        next_exec: 0,
        workers: BTreeMap::new(),
        ending: None,
        _lock: lock,
    })
}

/// Nobody's terminal: a log that starts anew when it has grown.
fn redirect_standard(dir: &Path) -> Result<(), Error> {
    let null = File::open("/dev/null").trying("open /dev/null")?;
    let mut log =
        File::options().create(true).append(true).open(dir.join("node.log")).trying("open the node's log")?;
    if log.seek(std::io::SeekFrom::End(0)).is_ok_and(|length| length > MAX_LOG_BYTES) {
        log.set_len(0).trying("empty the node's log")?;
    }
    system::set_standard([null.as_fd(), log.as_fd(), log.as_fd()]).trying("redirect output")
}

fn take_signals() -> Result<SignalFd, Error> {
    let mut taken = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        taken.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&taken), None).trying("block signals")?;
    SignalFd::with_flags(&taken, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).trying("receive signals")
}

/// Binds through the directory's descriptor: a socket's path may be no longer than 107 bytes.
fn listen(dir: &Path) -> std::io::Result<UnixListener> {
    let _ = std::fs::remove_file(dir.join(SOCKET));
    let opened = File::open(dir)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What an earlier node ran: nothing of it lives, but how it ended may still be asked.
fn lost_containers(dir: &Path) -> BTreeMap<String, Container> {
    let statuses = shim::read_all(&dir.join("containers")).into_iter().map(|mut status| {
        settle_status(&mut status);
        let file = dir.join("containers").join(&status.id).join("status.json");
        let _ = shim::write(&file, &status);
        (status.id.clone(), Container::ended(status))
    });
    statuses.collect()
}

fn settle_status(status: &mut ContainerStatus) {
    let started_unix_ms = match status.state {
        ContainerState::Exited(_) => return,
        ContainerState::Created => None,
        ContainerState::Running { started_unix_ms, .. } => Some(started_unix_ms),
    };
    status.state = ContainerState::Exited(Exit {
        code: 137,
        signal: Some(libc::SIGKILL),
        oom_killed: false,
        started_unix_ms,
        finished_unix_ms: system::now_unix_ms(),
        message: Some(LOST.to_owned()),
    });
}
