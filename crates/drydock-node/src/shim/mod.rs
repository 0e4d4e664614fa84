//! One process per container: starts it, writes its log, waits for it, says how it ended.
//!
//! Forked from the node, never executed: it shares the node's memory pages and has one thread. It talks to
//! the node over a socket pair in [`frame`]s ([`Report`]s up, [`Command`]s down) and needs no daemon. Its
//! status file is what a later node knows about the container. Start at [`run`].

mod log;
mod status;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, fork, pipe2};
use serde::{Deserialize, Serialize};

use crate::protocol::frame::{self, Inbox};
use crate::protocol::{ContainerState, ContainerStatus, Exit, Refusal, RefusalKind};
use crate::runtime::process::{Container, enter_container};
use crate::runtime::{Doing, Error};
use crate::system;
use log::{Log, Stream};
pub use status::{read_all, write};

/// What the shim tells the node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Set up and waiting; `pid` as the node counts.
    Created {
        pid: i32,
    },
    /// Could not be set up; nothing is left of it.
    Failed(Refusal),
    Started {
        unix_ms: i64,
    },
    /// The program could not be executed after all.
    StartFailed {
        refusal: Refusal,
        exit: Exit,
    },
    Exited(Exit),
}

/// What the node tells the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Start,
}

/// What a shim is made of, besides the container itself.
#[derive(Debug)]
pub struct Job<'a> {
    pub container: Container<'a>,
    /// Join this process's pid namespace instead of making one.
    pub shared_pid: Option<BorrowedFd<'a>>,
    pub status: ContainerStatus,
    pub status_file: &'a Path,
}

/// What a container's first process says when it is ready to execute; anything after it is a refusal.
const READY: u8 = b'R';
const CANNOT_RUN: i32 = 128;
const KILLED: i32 = 137;

/// Runs in the forked process and ends it.
pub fn run(job: Job<'_>, control: OwnedFd) -> ! {
    let code = match supervise(job, &control) {
        Ok(()) => 0,
        Err(error) => {
            report(&control, &Report::Failed(error.refusal()));
            1
        }
    };
    system::exit_now(code)
}

fn supervise(job: Job<'_>, control: &OwnedFd) -> Result<(), Error> {
    let mut kept = vec![control.as_raw_fd()];
    let namespaces = job.container.namespaces;
    kept.extend(namespaces.network.as_ref().map(AsRawFd::as_raw_fd));
    kept.extend([namespaces.ipc.as_raw_fd(), namespaces.host_name.as_raw_fd()]);
    kept.extend(job.shared_pid.as_ref().map(AsRawFd::as_raw_fd));
    system::close_all_but(&kept);
    system::name_process("drydock-shim");
    let child = start(&job)?;
    Shim { job, control, child, phase: Phase::SettingUp, said: Vec::new(), started_unix_ms: None }.watch()
}

/// Our ends of everything that connects us with the container's first process.
struct Child {
    pid: Pid,
    /// Gets [`READY`], then nothing (executed) or a refusal.
    says: std::fs::File,
    /// One byte lets it execute.
    go: Option<std::fs::File>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn start(job: &Job<'_>) -> Result<Child, Error> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).doing(|| "make a pipe".to_owned());
    let (says, say) = pipe()?;
    let (wait, go) = pipe()?;
    let (stdout, stdout_write) = pipe()?;
    let (stderr, stderr_write) = pipe()?;
    let null = std::fs::File::open("/dev/null").doing(|| "open /dev/null".to_owned())?;
    match job.shared_pid {
        Some(first) => setns(first, CloneFlags::CLONE_NEWPID),
        None => unshare(CloneFlags::CLONE_NEWPID),
    }
    .doing(|| "make the container's pid namespace".to_owned())?;
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    match unsafe { fork() }.doing(|| "fork the container".to_owned())? {
        ForkResult::Child => {
            drop((says, go, stdout, stderr));
            let (mut say, wait) = (std::fs::File::from(say), std::fs::File::from(wait));
            let standard = [null.as_fd(), stdout_write.as_fd(), stderr_write.as_fd()];
            let Err(error) = first_process(&job.container, standard, &mut say, wait);
            let _ = serde_json::to_writer(&mut say, &error.refusal());
            system::exit_now(1)
        }
        ForkResult::Parent { child: pid } => {
            for ours in [&stdout, &stderr, &says] {
                fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).doing(|| "set up a pipe".to_owned())?;
            }
            Ok(Child { pid, says: says.into(), go: Some(go.into()), stdout, stderr })
        }
    }
}

fn first_process(
    container: &Container<'_>,
    standard: [BorrowedFd<'_>; 3],
    say: &mut std::fs::File,
    mut wait: std::fs::File,
) -> Result<Infallible, Error> {
    system::set_standard(standard).doing(|| "set the standard descriptors".to_owned())?;
    enter_container(container, || {
        say.write_all(&[READY]).doing(|| "report to the shim".to_owned())?;
        let mut byte = [0];
        // The end of the pipe means that the shim, and thus the wish to run this, is gone.
        wait.read_exact(&mut byte).doing(|| "wait for the start".to_owned())
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    SettingUp,
    Waiting,
    Starting,
    Running,
}

struct Shim<'a> {
    job: Job<'a>,
    control: &'a OwnedFd,
    child: Child,
    phase: Phase,
    /// What the first process said after it was ready.
    said: Vec<u8>,
    started_unix_ms: Option<i64>,
}

impl Shim<'_> {
    fn watch(mut self) -> Result<(), Error> {
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        let signals = SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .doing(|| "watch for the container's end".to_owned())?;
        let mut log = Log::open(self.job.container.spec.log_path.as_deref());
        let mut streams = [Stream::new("stdout"), Stream::new("stderr")];
        let mut inbox = Inbox::default();
        let mut open = [true; 4];
        loop {
            let fds = [
                self.child.says.as_fd(),
                self.control.as_fd(),
                self.child.stdout.as_fd(),
                self.child.stderr.as_fd(),
                signals.as_fd(),
            ];
            let wanted = [open[0], open[1], open[2], open[3], true];
            let ready = system::poll_readable(&fds, &wanted, None).doing(|| "poll".to_owned())?;
            if ready[2] {
                open[2] = streams[0].pump(&self.child.stdout, &mut log);
            }
            if ready[3] {
                open[3] = streams[1].pump(&self.child.stderr, &mut log);
            }
            if ready[0] {
                open[0] = self.listen();
            }
            if ready[1] {
                open[1] = self.obey(&mut inbox);
            }
            if ready[4] {
                while let Ok(Some(_)) = signals.read_signal() {}
                if let Some((code, signal)) = system::reap(self.child.pid) {
                    self.listen();
                    self.kill_the_rest();
                    streams[0].finish(&self.child.stdout, &mut log);
                    streams[1].finish(&self.child.stderr, &mut log);
                    self.end(code, signal);
                    return Ok(());
                }
            }
        }
    }

    /// Hears the first process; false once it has no more to say.
    fn listen(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match self.child.says.read(&mut chunk) {
                Ok(0) => {
                    self.fell_silent();
                    return false;
                }
                Ok(length) => self.heard(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.phase == Phase::SettingUp && bytes.first() == Some(&READY) {
            bytes = &bytes[1..];
            self.phase = Phase::Waiting;
            self.save(ContainerState::Created);
            report(self.control, &Report::Created { pid: self.child.pid.as_raw() });
        }
        self.said.extend_from_slice(bytes);
    }

    /// Silence without a refusal, after the go, means that the program was executed.
    fn fell_silent(&mut self) {
        if self.phase == Phase::Starting && self.said.is_empty() {
            let unix_ms = system::now_unix_ms();
            self.phase = Phase::Running;
            self.started_unix_ms = Some(unix_ms);
            self.save(ContainerState::Running { pid: self.child.pid.as_raw(), started_unix_ms: unix_ms });
            report(self.control, &Report::Started { unix_ms });
        }
    }

    /// Follows the node's commands; when the node lets go of us the container has to end.
    fn obey(&mut self, inbox: &mut Inbox) -> bool {
        let connected = inbox.fill(self.control.as_fd()).is_ok();
        while let Ok(Some((Command::Start, _))) = inbox.take::<Command>() {
            if let Some(mut go) = self.child.go.take() {
                self.phase = Phase::Starting;
                // A process that is gone will be reaped and reported.
                let _ = go.write_all(b"g");
            }
        }
        if !connected {
            let _ = nix::sys::signal::kill(self.child.pid, Signal::SIGKILL);
        }
        connected
    }

    /// In a pid namespace shared with the pod the others do not die with the first process.
    fn kill_the_rest(&self) {
        if self.job.shared_pid.is_some() {
            for pid in self.job.container.group.pids() {
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn end(&mut self, code: i32, signal: Option<i32>) {
        let refusal = serde_json::from_slice::<Refusal>(&self.said).ok();
        let oom_killed = self.job.container.group.saw_oom_kill();
        let mut exit = Exit {
            code,
            signal,
            oom_killed,
            started_unix_ms: self.started_unix_ms,
            finished_unix_ms: system::now_unix_ms(),
            message: None,
        };
        match (self.phase, refusal) {
            (Phase::SettingUp, refusal) => {
                let refusal = refusal.unwrap_or_else(|| died_early(&exit));
                report(self.control, &Report::Failed(refusal));
            }
            (Phase::Starting, Some(refusal)) => {
                exit.code = CANNOT_RUN;
                exit.signal = None;
                exit.message = Some(refusal.message.clone());
                self.save(ContainerState::Exited(exit.clone()));
                report(self.control, &Report::StartFailed { refusal, exit });
            }
            (Phase::Starting, None) if self.started_unix_ms.is_none() => {
                exit.code = KILLED;
                let refusal = died_early(&exit);
                exit.message = Some(refusal.message.clone());
                self.save(ContainerState::Exited(exit.clone()));
                report(self.control, &Report::StartFailed { refusal, exit });
            }
            _ => {
                self.save(ContainerState::Exited(exit.clone()));
                report(self.control, &Report::Exited(exit));
            }
        }
    }

    /// A status that cannot be written is only missed after the node's own death.
    fn save(&mut self, state: ContainerState) {
        self.job.status.state = state;
        let _ = write(self.job.status_file, &self.job.status);
    }
}

fn died_early(exit: &Exit) -> Refusal {
    let why = if exit.oom_killed { "its memory limit is too small to start in" } else { "it was killed" };
    Refusal {
        kind: RefusalKind::Failed,
        message: format!("the container ended before its program ran: {why}"),
    }
}

/// The node may be gone; then nobody is left to tell.
fn report(control: &OwnedFd, report: &Report) {
    if let Ok(bytes) = frame::encode(report, 0) {
        let _ = frame::send_some(control.as_fd(), &bytes, &[]);
    }
}
