//! One more program in a running container: a fork, a few joins, an exec. No shim: the node itself waits.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::asks::{Answer, Asker, done, failed, refuse};
use super::containers::{fork_with_socket, process_handle, signal_process};
use super::serve::Node;
use crate::protocol::frame::{self, Inbox};
use crate::protocol::{ContainerSpec, ExecExit, ExecSpec, FromNode, NodeEvent, Refusal, RefusalKind, Reply};
use crate::runtime::cgroup::Group;
use crate::runtime::process::{enter_exec, open_terminal};
use crate::runtime::{Doing, Error};
use crate::system;

/// More than this at once in one node is a probe gone wild.
const MAX_EXECS: usize = 512;

#[derive(Debug)]
pub(super) struct Exec {
    asker: Asker,
    pid: i32,
    handle: OwnedFd,
    deadline: Option<Instant>,
    timed_out: bool,
    /// The child's end closes at the moment of its execve.
    report: Option<(UnixStream, Inbox)>,
    terminal: Option<OwnedFd>,
    refusal: Option<Refusal>,
    code: Option<i32>,
}

/// What the forked process says before it is another program.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// Carries the terminal's controlling end.
    Terminal,
    Failed(Refusal),
}

impl Exec {
    pub fn report_fd(&self) -> Option<i32> {
        self.report.as_ref().map(|(socket, _)| socket.as_raw_fd())
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.timed_out)
    }
}

impl Node {
    /// The answer comes when the program was executed, or could not be.
    pub(super) fn exec(&mut self, asker: Asker, spec: ExecSpec, stdio: Vec<OwnedFd>) -> Option<Answer> {
        match self.fork_exec(asker, &spec, stdio) {
            Ok(exec) => {
                self.execs.insert(self.next_exec, exec);
                self.next_exec += 1;
                None
            }
            Err(refusal) => Some(Err(refusal)),
        }
    }

    fn fork_exec(&self, asker: Asker, spec: &ExecSpec, stdio: Vec<OwnedFd>) -> Result<Exec, Refusal> {
        if self.execs.len() >= MAX_EXECS {
            return Err(refuse(RefusalKind::WrongState, format!("{MAX_EXECS} execs run already")));
        }
        if stdio.len() != if spec.tty { 0 } else { 3 } {
            return Err(refuse(RefusalKind::Invalid, "an exec takes three descriptors, or a terminal"));
        }
        let not_running =
            || refuse(RefusalKind::WrongState, format!("container `{}` does not run", spec.container));
        let container = self.find_container(&spec.container)?;
        let live = container.live.as_ref().filter(|_| container.is_running()).ok_or_else(not_running)?;
        let init = live.init.as_ref().ok_or_else(not_running)?;
        let hostname = self.sandboxes.get(&live.spec.sandbox).map_or("", |sandbox| &sandbox.hostname);
        let inside = Inside { container: &live.spec, hostname, group: &live.group, init };
        let forked = self.home.away(CloneFlags::CLONE_NEWPID, || {
            setns(init, CloneFlags::CLONE_NEWPID)?;
            fork_with_socket(|report| inside.run(spec, &stdio, report))
        });
        // ESRCH: it ended a moment ago. ENOMEM: its pid namespace takes no more processes for that reason.
        let (pid, report) = forked.map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH | libc::ENOMEM) => not_running(),
            _ => failed("join the container")(error),
        })?;
        let handle = process_handle(pid).map_err(failed("hold the exec"))?;
        Ok(Exec {
            asker,
            pid,
            handle,
            deadline: spec.timeout_ms.map(|timeout| Instant::now() + Duration::from_millis(timeout)),
            timed_out: false,
            report: Some((report, Inbox::default())),
            terminal: None,
            refusal: None,
            code: None,
        })
    }

    pub(super) fn hear_exec(&mut self, number: u64) {
        let Some(exec) = self.execs.get_mut(&number) else { return };
        let Some((socket, inbox)) = &mut exec.report else { return };
        let silent = match inbox.fill(socket.as_fd()) {
            Ok(()) => false,
            Err(frame::Error::Io(error)) => error.kind() != io::ErrorKind::WouldBlock,
            Err(_) => true,
        };
        while let Ok(Some((report, mut fds))) = inbox.take::<Report>() {
            match report {
                Report::Terminal => exec.terminal = fds.pop(),
                Report::Failed(refusal) => exec.refusal = Some(refusal),
            }
        }
        if !silent {
            return;
        }
        exec.report = None;
        let asker = exec.asker;
        let answer = match exec.refusal.take() {
            Some(refusal) => Err(refusal),
            None => Ok((Reply::ExecStarted { exec: number }, exec.terminal.take().into_iter().collect())),
        };
        let refused = answer.is_err();
        self.answer(asker, answer);
        if refused {
            // Its process ends by itself and is reaped as nobody's.
            self.execs.remove(&number);
        } else {
            self.finish_exec(number);
        }
    }

    /// Whether the process that ended was an exec's.
    pub(super) fn exec_ended(&mut self, pid: i32, code: i32) -> bool {
        let Some((&number, exec)) = self.execs.iter_mut().find(|(_, exec)| exec.pid == pid) else {
            return false;
        };
        exec.code = Some(code);
        self.finish_exec(number);
        true
    }

    /// Says how it ended, once both its start and its end are known.
    fn finish_exec(&mut self, number: u64) {
        let Some(exec) = self.execs.get(&number) else { return };
        let (None, Some(code)) = (&exec.report, exec.code) else { return };
        let (peer, exit) = (exec.asker.peer, ExecExit { code, timed_out: exec.timed_out });
        self.execs.remove(&number);
        self.post(peer, &FromNode::Event(NodeEvent::ExecExited { exec: number, exit }), Vec::new());
    }

    pub(super) fn signal_exec(&mut self, number: u64, signal: i32) -> Answer {
        match self.execs.get(&number) {
            Some(exec) => signal_process(&exec.handle, signal).map_err(failed("signal the exec")),
            // Over already, which is what most signals wish for.
            None => Ok(()),
        }?;
        done()
    }

    pub(super) fn stop_overdue_execs(&mut self) {
        let now = Instant::now();
        for exec in self.execs.values_mut().filter(|exec| exec.deadline().is_some_and(|end| end <= now)) {
            exec.timed_out = true;
            let _ = signal_process(&exec.handle, libc::SIGKILL);
            // What it started in its own session goes with it; not reaped yet, so the number is still its.
            let _ = kill(Pid::from_raw(-exec.pid), Signal::SIGKILL);
        }
    }
}

/// Where the program will run.
struct Inside<'a> {
    container: &'a ContainerSpec,
    hostname: &'a str,
    group: &'a Group,
    init: &'a OwnedFd,
}

impl Inside<'_> {
    fn run(&self, spec: &ExecSpec, stdio: &[OwnedFd], report: OwnedFd) -> ! {
        let Err(error) = self.enter(spec, stdio, &report);
        if let Ok(bytes) = frame::encode(&Report::Failed(error.refusal()), 0) {
            let _ = frame::send_some(report.as_fd(), &bytes, &[]);
        }
        system::exit_now(127)
    }

    fn enter(&self, spec: &ExecSpec, stdio: &[OwnedFd], report: &OwnedFd) -> Result<Infallible, Error> {
        if let [stdin, stdout, stderr] = stdio {
            system::set_standard([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])
                .doing(|| "set the standard descriptors".to_owned())?;
        }
        let terminal = || if spec.tty { hand_over_terminal(report) } else { Ok(()) };
        enter_exec(self.container, spec, self.hostname, self.init.as_fd(), self.group, terminal)
    }
}

fn hand_over_terminal(report: &OwnedFd) -> Result<(), Error> {
    let controller = open_terminal()?;
    let doing = || "hand the terminal over".to_owned();
    let bytes = frame::encode(&Report::Terminal, 1).map_err(io::Error::other).doing(doing)?;
    frame::send_some(report.as_fd(), &bytes, &[controller]).doing(doing).map(drop)
}
