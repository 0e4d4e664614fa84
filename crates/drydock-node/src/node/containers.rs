//! Containers as the node sees them: a shim that reports, and the asker who waits for the report.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::unistd::{ForkResult, fork};

use super::asks::{Answer, Asker, check_name, done, failed, refuse};
use super::serve::Node;
use crate::protocol::frame::{self, Inbox};
use crate::protocol::{
    ContainerSpec, ContainerState, ContainerStatus, Exit, NodeEvent, Refusal, RefusalKind, Reply, Resources,
};
use crate::runtime::cgroup::Group;
use crate::runtime::process;
use crate::runtime::rootfs::Places;
use crate::shim::{self, Attachment, Command, Report};
use crate::system;

#[derive(Debug)]
pub(super) struct Container {
    pub status: ContainerStatus,
    /// Absent for what an earlier node ran.
    pub live: Option<Live>,
    creator: Option<Asker>,
    starter: Option<Asker>,
    removers: Vec<Asker>,
    /// In the order in which the shim will answer them.
    attachers: VecDeque<Asker>,
    /// To be forgotten as soon as its shim is gone.
    discarded: bool,
    /// Why it never came to be.
    refused: Option<Refusal>,
}

/// What is only there while a shim is.
#[derive(Debug)]
pub(super) struct Live {
    pub spec: ContainerSpec,
    pub group: Group,
    pub init: Option<OwnedFd>,
    shim: i32,
    control: UnixStream,
    inbox: Inbox,
    /// The shim has said all it will.
    silent: bool,
}

impl Container {
    pub fn ended(status: ContainerStatus) -> Self {
        Self {
            status,
            live: None,
            creator: None,
            starter: None,
            removers: Vec::new(),
            attachers: VecDeque::new(),
            discarded: false,
            refused: None,
        }
    }

    pub fn shim_fd(&self) -> Option<i32> {
        self.live.as_ref().filter(|live| !live.silent).map(|live| live.control.as_raw_fd())
    }

    /// Not before it is set up, and not when it is only waiting to be forgotten.
    pub fn listed(&self) -> Option<ContainerStatus> {
        (self.creator.is_none() && !self.discarded).then(|| self.status.clone())
    }

    pub fn is_running(&self) -> bool {
        matches!(self.status.state, ContainerState::Running { .. })
    }
}

/// A handle that keeps meaning this process even when its number is used again.
pub(super) fn process_handle(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us; pidfds are close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

pub(super) fn signal_process(handle: &OwnedFd, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no further information is passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, none, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl Node {
    /// Forks the shim; the answer comes when that has set the container up, or has not.
    pub(super) fn create_container(&mut self, asker: Asker, spec: ContainerSpec) -> Option<Answer> {
        match self.fork_shim(spec) {
            Ok(mut container) => {
                container.creator = Some(asker);
                self.containers.insert(container.status.id.clone(), container);
                None
            }
            Err(refusal) => Some(Err(refusal)),
        }
    }

    fn fork_shim(&mut self, spec: ContainerSpec) -> Result<Container, Refusal> {
        check_name(&spec.id)?;
        process::check(&spec)?;
        if self.containers.contains_key(&spec.id) {
            return Err(refuse(RefusalKind::AlreadyExists, format!("container `{}` exists", spec.id)));
        }
        let Some(sandbox) = self.sandboxes.get(&spec.sandbox).filter(|sandbox| sandbox.removers.is_empty())
        else {
            return Err(refuse(RefusalKind::NotFound, format!("sandbox `{}` does not exist", spec.sandbox)));
        };
        let target = spec.share_pid_with.as_ref().and_then(|id| self.containers.get(id));
        let target = target.filter(|one| one.status.sandbox == spec.sandbox);
        let target = target.and_then(|one| one.live.as_ref()?.init.as_ref()).map(AsFd::as_fd);
        let status = ContainerStatus {
            id: spec.id.clone(),
            sandbox: spec.sandbox.clone(),
            labels: spec.labels.clone(),
            log_path: spec.log_path.clone(),
            created_unix_ms: system::now_unix_ms(),
            state: ContainerState::Created,
        };
        let state_dir = self.dir.join("containers").join(&spec.id);
        fs::create_dir_all(&state_dir).map_err(failed("make the container's directory"))?;
        let group = self.cgroups.create(&spec.id, &spec.resources).map_err(failed("limit the container"))?;
        let controllers = group.v1_controllers();
        let job = shim::Job {
            container: process::Container {
                spec: &spec,
                hostname: &sandbox.hostname,
                namespaces: &sandbox.namespaces,
                group: &group,
                places: Places {
                    mount_point: &self.private.join("root"),
                    sandbox_dir: &self.private.join("sandboxes").join(&spec.sandbox),
                    rootless: self.ids.is_rootless(),
                    cgroups: controllers.as_deref(),
                },
            },
            shared_pid: target.or_else(|| sandbox.first.as_ref().map(|first| first.handle.as_fd())),
            status: status.clone(),
            status_file: &state_dir.join("status.json"),
        };
        let forked = fork_with_socket(|control| shim::run(job, control));
        let (shim, control) = forked.inspect_err(|_| group.remove()).map_err(failed("fork the shim"))?;
        let live = Live { spec, group, init: None, shim, control, inbox: Inbox::default(), silent: false };
        Ok(Container { live: Some(live), ..Container::ended(status) })
    }

    /// Takes what a shim has said.
    pub(super) fn hear_shim(&mut self, id: &str) {
        loop {
            let Some(live) = self.containers.get_mut(id).and_then(|container| container.live.as_mut()) else {
                return;
            };
            match live.inbox.fill(live.control.as_fd()) {
                Ok(()) => {}
                Err(frame::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    live.silent = true;
                    return;
                }
            }
            while let Some((report, fds)) = self.next_report(id) {
                self.on_report(id, report, fds);
            }
        }
    }

    fn next_report(&mut self, id: &str) -> Option<(Report, Vec<OwnedFd>)> {
        let live = self.containers.get_mut(id)?.live.as_mut()?;
        live.inbox.take::<Report>().ok()?
    }

    fn on_report(&mut self, id: &str, report: Report, fds: Vec<OwnedFd>) {
        let Some(container) = self.containers.get_mut(id) else { return };
        match report {
            Report::Created { pid } => {
                if let Some(live) = &mut container.live {
                    live.init = process_handle(pid).ok();
                }
                let status = container.status.clone();
                if let Some(asker) = container.creator.take() {
                    self.answer(asker, Ok((Reply::Container(status), Vec::new())));
                }
            }
            Report::Failed(refusal) => {
                container.discarded = true;
                container.refused = Some(refusal);
            }
            Report::Started { unix_ms } => self.on_started(id, unix_ms),
            Report::StartFailed { refusal, exit } => {
                let starter = container.starter.take();
                self.on_exited(id, exit);
                if let Some(asker) = starter {
                    self.answer(asker, Err(refusal));
                }
            }
            Report::Exited(exit) => self.on_exited(id, exit),
            Report::Attached(result) => {
                let Some(asker) = container.attachers.pop_front() else { return };
                let attached = |got: Attachment| Reply::Attached { tty: got.tty, stdin_once: got.stdin_once };
                self.answer(asker, result.map(|got| (attached(got), fds)));
            }
        }
    }

    fn on_started(&mut self, id: &str, started_unix_ms: i64) {
        let Some(container) = self.containers.get_mut(id) else { return };
        // The shim's own file has the pid too; here the handle is what counts.
        let pid = container.live.as_ref().and_then(|live| live.init.as_ref()).and_then(pid_of).unwrap_or(0);
        container.status.state = ContainerState::Running { pid, started_unix_ms };
        let status = container.status.clone();
        if let Some(asker) = container.starter.take() {
            self.answer(asker, Ok((Reply::Container(status), Vec::new())));
        }
        self.announce(&NodeEvent::ContainerStarted { id: id.to_owned(), pid, started_unix_ms });
    }

    fn on_exited(&mut self, id: &str, exit: Exit) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.status.state = ContainerState::Exited(exit.clone());
        let starter = container.starter.take();
        if !container.discarded {
            self.announce(&NodeEvent::ContainerExited { id: id.to_owned(), exit });
        }
        if let Some(asker) = starter {
            let refusal = refuse(RefusalKind::WrongState, "the container ended before it was started");
            self.answer(asker, Err(refusal));
        }
    }

    /// A shim is gone: its container is over, whatever it still said.
    pub(super) fn shim_ended(&mut self, pid: i32, signal: Option<i32>) {
        let mine = |container: &Container| container.live.as_ref().is_some_and(|live| live.shim == pid);
        let Some(id) = self.containers.iter().find(|(_, one)| mine(one)).map(|(id, _)| id.clone()) else {
            return;
        };
        self.hear_shim(&id);
        let Some(container) = self.containers.get_mut(&id) else { return };
        if let Some(live) = container.live.take() {
            // Only when the shim was killed is anything of the container left.
            if let Some(init) = &live.init {
                let _ = signal_process(init, libc::SIGKILL);
            }
            live.group.remove();
        }
        let attachers = std::mem::take(&mut container.attachers);
        let over = matches!(container.status.state, ContainerState::Exited(_)) || container.discarded;
        if !over {
            self.on_exited(&id, killed_with_shim(signal));
        }
        for attacher in attachers {
            self.answer(attacher, Err(not_running(&id)));
        }
        self.forget_if_discarded(&id);
    }

    fn forget_if_discarded(&mut self, id: &str) {
        if self.containers.get(id).is_none_or(|container| !container.discarded || container.live.is_some()) {
            return;
        }
        let Some(container) = self.containers.remove(id) else { return };
        let _ = fs::remove_dir_all(self.dir.join("containers").join(id));
        let gone = || refuse(RefusalKind::WrongState, "the container was removed");
        if let Some(creator) = container.creator {
            self.answer(creator, Err(container.refused.unwrap_or_else(gone)));
        }
        if let Some(starter) = container.starter {
            self.answer(starter, Err(gone()));
        }
        for remover in container.removers {
            self.answer(remover, done());
        }
        self.finish_sandbox(&container.status.sandbox);
    }

    pub(super) fn start_container(&mut self, asker: Asker, id: &str) -> Option<Answer> {
        if let Err(refusal) = self.find_container(id) {
            return Some(Err(refusal));
        }
        let container = self.containers.get_mut(id)?;
        let waiting = container.status.state == ContainerState::Created && container.creator.is_none();
        let (true, Some(live)) = (waiting && container.starter.is_none(), &mut container.live) else {
            return Some(Err(refuse(RefusalKind::WrongState, format!("container `{id}` cannot be started"))));
        };
        let sent = frame::encode(&Command::Start, 0).map(|bytes| send(&live.control, &bytes));
        if matches!(sent, Ok(Ok(_))) {
            container.starter = Some(asker);
            return None;
        }
        Some(Err(refuse(RefusalKind::Failed, format!("the shim of container `{id}` does not listen"))))
    }

    pub(super) fn signal_container(&mut self, id: &str, signal: i32) -> Answer {
        let container = self.find_container(id)?;
        let init = container.live.as_ref().and_then(|live| live.init.as_ref());
        let (true, Some(init)) = (container.is_running(), init) else {
            return Err(refuse(RefusalKind::WrongState, format!("container `{id}` does not run")));
        };
        match signal_process(init, signal) {
            // It ended just now; its exit is on the way.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => done(),
            Err(error) => Err(failed("signal the container")(error)),
            Ok(()) => done(),
        }
    }

    /// Passes the client's descriptors to the shim, which answers with the container's own.
    pub(super) fn attach(&mut self, asker: Asker, id: &str, outputs: Vec<OwnedFd>) -> Option<Answer> {
        if outputs.len() != 2 {
            return Some(Err(refuse(RefusalKind::Invalid, "an attachment takes two descriptors")));
        }
        if let Err(refusal) = self.find_container(id) {
            return Some(Err(refusal));
        }
        let container = self.containers.get_mut(id)?;
        let (true, Some(live)) = (container.is_running(), &container.live) else {
            return Some(Err(not_running(id)));
        };
        let sent = frame::encode(&Command::Attach, outputs.len())
            .map(|bytes| frame::send_some(live.control.as_fd(), &bytes, &outputs));
        if matches!(sent, Ok(Ok(_))) {
            container.attachers.push_back(asker);
            return None;
        }
        Some(Err(refuse(RefusalKind::Failed, format!("the shim of container `{id}` does not listen"))))
    }

    pub(super) fn remove_container(&mut self, asker: Asker, id: &str) -> Option<Answer> {
        let Some(container) = self.containers.get_mut(id) else { return Some(done()) };
        container.removers.push(asker);
        self.discard_container(id);
        None
    }

    /// Kills what runs of it; it is forgotten once its shim is gone.
    pub(super) fn discard_container(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.discarded = true;
        if let Some(live) = &container.live {
            match &live.init {
                Some(init) => drop(signal_process(init, libc::SIGKILL)),
                // Not set up yet: without the node's end of the socket the shim gives up.
                None => drop(live.control.shutdown(std::net::Shutdown::Both)),
            }
        }
        self.forget_if_discarded(id);
    }

    pub(super) fn resize_container(&mut self, id: &str, resources: Resources) -> Answer {
        let live = self.find_container(id)?.live.as_ref().ok_or_else(|| not_running(id))?;
        let wrong = |error: io::Error| refuse(RefusalKind::Failed, format!("cannot resize `{id}`: {error}"));
        live.group.resize(&resources).map_err(wrong)?;
        done()
    }

    pub(super) fn stats(&mut self, id: &str) -> Answer {
        let live = self.find_container(id)?.live.as_ref();
        let stats = live.map(|live| live.group.stats()).unwrap_or_default();
        Ok((Reply::Stats(stats), Vec::new()))
    }

    pub(super) fn find_container(&self, id: &str) -> Result<&Container, Refusal> {
        let missing = || refuse(RefusalKind::NotFound, format!("container `{id}` does not exist"));
        self.containers.get(id).filter(|container| !container.discarded).ok_or_else(missing)
    }
}

fn not_running(id: &str) -> Refusal {
    refuse(RefusalKind::WrongState, format!("container `{id}` does not run"))
}

fn send(control: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    frame::send_some(control.as_fd(), bytes, &[])
}

/// The number in a process handle's entry below `/proc`, as the node counts.
fn pid_of(handle: &OwnedFd) -> Option<i32> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd())).ok()?;
    about.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

fn killed_with_shim(signal: Option<i32>) -> Exit {
    let how = signal.map_or("ended".to_owned(), |signal| format!("was killed by signal {signal}"));
    Exit {
        code: 137,
        signal: Some(libc::SIGKILL),
        oom_killed: false,
        started_unix_ms: None,
        finished_unix_ms: system::now_unix_ms(),
        message: Some(format!("the process that watched over it {how}")),
    }
}

/// Forks a process that gets one end of a socket pair and ends with `child`; gives back its number and
/// the other end.
pub(super) fn fork_with_socket(child: impl FnOnce(OwnedFd)) -> io::Result<(i32, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    // SAFETY: the node has one thread, so the child may do whatever its parent could.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok((child.as_raw(), ours)),
        ForkResult::Child => {
            child(theirs.into());
            system::exit_now(1)
        }
    }
}
