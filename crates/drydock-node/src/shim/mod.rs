//! One process per container: starts it, writes its log, waits for it, says how it ended.
//!
//! Forked from the node, never executed: it shares the node's memory pages and has one thread. It talks to
//! the node over a socket pair in [`frame`]s ([`Report`]s up, [`Command`]s down) and needs no daemon. Its
//! status file is what a later node knows about the container. Start at [`run`].

mod attached;
mod log;
mod status;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, fork, pipe2};
use serde::{Deserialize, Serialize};

use crate::protocol::frame::{self, Inbox};
use crate::protocol::{ContainerState, ContainerStatus, Exit, Refusal, RefusalKind};
use crate::runtime::process::{Container, enter_container, open_terminal};
use crate::runtime::{Doing, Error};
use crate::system;
use attached::Attached;
use log::{Log, Sink, Stream};
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
    /// Carries the container's input or its terminal, if it has one. One per [`Command::Attach`], in order.
    Attached(Result<Attachment, Refusal>),
}

/// What the node tells the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Start,
    /// Carries two descriptors that get the container's output from now on.
    Attach,
}

/// What came with an attachment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Attachment {
    pub tty: bool,
    /// The container's only input was handed out.
    pub stdin_once: bool,
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
    let sink = Sink { log: Log::open(job.container.spec.log_path.as_deref()), attached: Attached::default() };
    let phase = Phase::SettingUp;
    Shim { job, control, child, sink, phase, said: Vec::new(), started_unix_ms: None }.watch()
}

/// Our ends of everything that connects us with the container's first process.
struct Child {
    pid: Pid,
    /// Gets [`READY`], then nothing (executed) or a refusal.
    says: std::fs::File,
    /// One byte lets it execute.
    go: Option<std::fs::File>,
    /// Brings the terminal, when there is one, before the first word.
    terminal: Option<UnixStream>,
    /// The writing end, or the terminal's controlling end; absent when nobody may write, or nobody any more.
    input: Option<OwnedFd>,
    /// Of a terminal everything comes through `stdout`.
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
    let spec = job.container.spec;
    let (stdin, input) = match spec.stdin && !spec.tty {
        true => pipe().map(|(stdin, input)| (stdin, Some(input)))?,
        false => (null.into(), None),
    };
    let (ours, theirs) = UnixStream::pair().doing(|| "make a socket pair".to_owned())?;
    match job.shared_pid {
        Some(first) => setns(first, CloneFlags::CLONE_NEWPID),
        None => unshare(CloneFlags::CLONE_NEWPID),
    }
    .doing(|| "make the container's pid namespace".to_owned())?;
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    match unsafe { fork() }.doing(|| "fork the container".to_owned())? {
        ForkResult::Child => {
            drop((says, go, stdout, stderr, input, ours));
            let (mut say, wait) = (std::fs::File::from(say), std::fs::File::from(wait));
            let standard = [stdin.as_fd(), stdout_write.as_fd(), stderr_write.as_fd()];
            let terminal = || if spec.tty { hand_over_terminal(theirs.as_fd()) } else { Ok(()) };
            let Err(error) = first_process(&job.container, standard, terminal, &mut say, wait);
            let _ = serde_json::to_writer(&mut say, &error.refusal());
            system::exit_now(1)
        }
        ForkResult::Parent { child: pid } => {
            for ours in [&stdout, &stderr, &says] {
                fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).doing(|| "set up a pipe".to_owned())?;
            }
            let terminal = Some(ours).filter(|_| spec.tty);
            Ok(Child { pid, says: says.into(), go: Some(go.into()), terminal, input, stdout, stderr })
        }
    }
}

fn first_process(
    container: &Container<'_>,
    standard: [BorrowedFd<'_>; 3],
    terminal: impl FnOnce() -> Result<(), Error>,
    say: &mut std::fs::File,
    mut wait: std::fs::File,
) -> Result<Infallible, Error> {
    system::set_standard(standard).doing(|| "set the standard descriptors".to_owned())?;
    enter_container(container, terminal, || {
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
    sink: Sink,
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
        let mut streams = [Stream::stdout(), Stream::stderr()];
        let mut inbox = Inbox::default();
        let mut open = [true; 4];
        loop {
            let mut polled = self.polled(&signals, open);
            system::poll(&mut polled, None).doing(|| "poll".to_owned())?;
            let ready = |at: usize| polled.get(at).is_some_and(|one| one.revents != 0);
            if ready(2) {
                open[2] = streams[0].pump(&self.child.stdout, &mut self.sink);
            }
            if ready(3) {
                open[3] = streams[1].pump(&self.child.stderr, &mut self.sink);
            }
            self.sink.attached.on_polled(polled.get(5..).unwrap_or_default());
            if ready(0) {
                open[0] = self.listen();
            }
            if ready(1) {
                open[1] = self.obey(&mut inbox);
            }
            if ready(4) {
                while let Ok(Some(_)) = signals.read_signal() {}
                if let Some((code, signal)) = system::reap(self.child.pid) {
                    self.listen();
                    self.kill_the_rest();
                    streams[0].finish(&self.child.stdout, &mut self.sink);
                    streams[1].finish(&self.child.stderr, &mut self.sink);
                    self.end(code, signal);
                    self.sink.attached.drain();
                    return Ok(());
                }
            }
        }
    }

    /// Five of our own, then those of who is attached. A program whose watcher does not read is not read either.
    fn polled(&self, signals: &SignalFd, open: [bool; 4]) -> Vec<libc::pollfd> {
        let held = self.sink.attached.is_full();
        let ours = [
            (self.child.says.as_raw_fd(), open[0]),
            (self.control.as_raw_fd(), open[1]),
            (self.child.stdout.as_raw_fd(), open[2] && !held),
            (self.child.stderr.as_raw_fd(), open[3] && !held),
            (signals.as_raw_fd(), true),
        ];
        let ours = ours.map(|(fd, wanted)| libc::pollfd {
            fd: if wanted { fd } else { -1 },
            events: libc::POLLIN,
            revents: 0,
        });
        ours.into_iter().chain(self.sink.attached.polled()).collect()
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
            self.take_terminal();
            self.save(ContainerState::Created);
            report(self.control, &Report::Created { pid: self.child.pid.as_raw() });
        }
        self.said.extend_from_slice(bytes);
    }

    /// It was sent before the first word, so it is there.
    fn take_terminal(&mut self) {
        let Some(socket) = self.child.terminal.take() else { return };
        let mut inbox = Inbox::default();
        if inbox.fill(socket.as_fd()).is_err() {
            return;
        }
        let Ok(Some(((), mut fds))) = inbox.take::<()>() else { return };
        let Some(terminal) = fds.pop() else { return };
        let set_up = |fd: &OwnedFd| fcntl(fd, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK));
        if let (Ok(copy), Ok(_)) = (terminal.try_clone(), set_up(&terminal)) {
            self.child.stdout = copy;
            self.child.input = Some(terminal);
        }
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
        while let Ok(Some((command, fds))) = inbox.take::<Command>() {
            match command {
                Command::Start => {
                    if let Some(mut go) = self.child.go.take() {
                        self.phase = Phase::Starting;
                        // A process that is gone will be reaped and reported.
                        let _ = go.write_all(b"g");
                    }
                }
                Command::Attach => self.attach(fds),
            }
        }
        if !connected {
            let _ = nix::sys::signal::kill(self.child.pid, Signal::SIGKILL);
        }
        connected
    }

    fn attach(&mut self, outputs: Vec<OwnedFd>) {
        let spec = self.job.container.spec;
        if !self.sink.attached.add(outputs) {
            let message = "too many clients are attached to the container".to_owned();
            let refusal = Refusal { kind: RefusalKind::WrongState, message };
            return report(self.control, &Report::Attached(Err(refusal)));
        }
        let once = spec.stdin_once && !spec.tty;
        // Handed out for good, the end of that client's input is the program's.
        let input = if once { self.child.input.take() } else { copy_of(self.child.input.as_ref()) };
        let attachment = Attachment { tty: spec.tty, stdin_once: once && input.is_some() };
        report_with(self.control, &Report::Attached(Ok(attachment)), input);
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

fn copy_of(fd: Option<&OwnedFd>) -> Option<OwnedFd> {
    fd?.try_clone().ok()
}

/// The node may be gone; then nobody is left to tell.
fn report(control: &OwnedFd, report: &Report) {
    report_with(control, report, None);
}

fn report_with(control: &OwnedFd, report: &Report, fd: Option<OwnedFd>) {
    let fds: Vec<OwnedFd> = fd.into_iter().collect();
    if let Ok(bytes) = frame::encode(report, fds.len()) {
        let _ = frame::send_some(control.as_fd(), &bytes, &fds);
    }
}

/// In the container's first process: a terminal becomes its own, the shim gets the controlling end.
fn hand_over_terminal(socket: BorrowedFd<'_>) -> Result<(), Error> {
    let controller = open_terminal()?;
    let doing = || "hand the terminal over".to_owned();
    let bytes = frame::encode(&(), 1).map_err(std::io::Error::other).doing(doing)?;
    frame::send_some(socket, &bytes, &[controller]).doing(doing).map(drop)
}
