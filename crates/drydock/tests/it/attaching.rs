//! `kubectl attach`, `kubectl run -i` and terminals: the container's own process.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Stdio};

use nix::pty::{OpenptyResult, Winsize, openpty};
use serde_json::json;

use crate::world::{World, newest, with_every_kubectl};

/// kubectl in a terminal of a size, as a person has it.
struct Terminal {
    child: Child,
    controller: File,
    seen: String,
}

impl Terminal {
    fn start(world: &World, line: &str, columns: u16, rows: u16) -> Self {
        let OpenptyResult { master: controller, slave } = openpty(&size(columns, rows), None).unwrap();
        let terminal = || slave.try_clone().unwrap();
        let mut command = world.command(&line.split(' ').collect::<Vec<_>>());
        command
            .stdin(Stdio::from(terminal()))
            .stdout(Stdio::from(terminal()))
            .stderr(Stdio::from(terminal()));
        Self { child: command.spawn().unwrap(), controller: controller.into(), seen: String::new() }
    }

    fn say(&mut self, text: &str) {
        self.controller.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the text appears; kubectl's end is an end of the terminal.
    fn until(&mut self, text: &str) {
        let mut piece = [0; 1024];
        while !self.seen.contains(text) {
            let read = self.controller.read(&mut piece).unwrap_or(0);
            assert!(read > 0, "{text:?} should come, {:?} came", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    }

    fn end(mut self, world: &World) -> i32 {
        world.wait(&mut self.child, &["(in a terminal)"])
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn resize(terminal: &File, columns: u16, rows: u16) {
    let size = size(columns, rows);
    // SAFETY: reads one structure that outlives the call.
    assert_eq!(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
}

#[test]
fn a_shell_in_a_terminal_knows_its_size_and_hears_of_a_new_one() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let mut shell = Terminal::start(world, "exec -it p -- sh", 91, 33);
        // The first size is told a moment after the start.
        shell.say("until [ \"$(stty size)\" = '33 91' ]; do sleep 0.1; done; echo first-$((40+2))\n");
        shell.until("first-42");
        resize(&shell.controller, 101, 22);
        // Who resizes a window has a kernel that tells its program; kubectl is in no session of this one.
        let pid = rustix::process::Pid::from_child(&shell.child);
        rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
        shell.say("until [ \"$(stty size)\" = '22 101' ]; do sleep 0.1; done; echo second-$((40+2)) $TERM\n");
        shell.until("second-42 xterm");
        shell.say("exit 5\n");
        assert_eq!(shell.end(world), 5);
    });
}

#[test]
fn a_container_started_for_its_input_reads_it_to_the_end() {
    with_every_kubectl(|world| {
        let line = ["run", "-i", "--rm", "--quiet", "--image=busybox:1", "--restart=Never", "r", "--", "cat"];
        let bytes = "line\n".repeat(20_000);
        let ran = world.run(&line, Some(bytes.as_bytes()));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.text() == bytes, "{} of {} bytes came back", ran.stdout.len(), bytes.len());
        assert_eq!(world.ok("get pods -o name"), "");
    });
}

#[test]
fn the_code_of_a_pod_that_was_run_is_kubectls() {
    with_every_kubectl(|world| {
        let line = "run -i --rm --quiet --image=busybox:1 --restart=Never r --command -- sh -c".split(' ');
        let line: Vec<&str> = line.chain(["cat; exit 3"]).collect();
        let ran = world.run(&line, Some(b"said\n"));
        assert_eq!((ran.code, ran.text().as_str()), (3, "said\n"), "{}", ran.stderr);
    });
}

#[test]
fn a_person_runs_a_shell_in_a_pod_of_its_own() {
    let Some(world) = newest() else { return };
    let mut shell = Terminal::start(&world, "run -it --rm --image=busybox:1 --restart=Never r -- sh", 80, 24);
    shell.until("If you don't see a command prompt");
    shell.say("echo answer-$((40+2))\n");
    shell.until("answer-42");
    shell.say("exit\n");
    shell.until("pod \"r\" deleted");
    assert_eq!(shell.end(&world), 0);
}

#[test]
fn whoever_attaches_sees_what_is_said_from_then_on() {
    with_every_kubectl(|world| {
        let script = "read word; echo out $word; echo err $word >&2; cat";
        world.pod("p", script, json!({ "stdin": true }));
        world.until_ready("p");
        let ran = world.run(&["attach", "-i", "-q", "p", "-c", "c"], Some(b"one\ntwo\n"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        // The end of this client's input is not the container's: others may follow.
        let mut attached = world.command(&["attach", "-i", "-q", "p", "-c", "c"]);
        let mut child = attached.stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        stdin.write_all(b"three\n").unwrap();
        let mut seen = String::new();
        let mut piece = [0; 100];
        while !seen.contains("three\n") {
            let length = stdout.read(&mut piece).unwrap();
            assert!(length > 0, "{seen:?}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        drop(stdin);
        world.wait(&mut child, &["attach"]);
        let log = world.ok("logs p");
        for line in ["out one", "err one", "two", "three"] {
            assert!(log.contains(line), "`{line}` should be in the log: {log}");
        }
    });
}

#[test]
fn an_attachment_ends_with_the_container() {
    with_every_kubectl(|world| {
        world.pod(
            "p",
            "read word; seq 1 30000; echo last >&2; exit 4",
            json!({ "stdin": true, "stdinOnce": true }),
        );
        world.until_ready("p");
        let ran = world.run(&["attach", "-i", "-q", "p"], Some(b"go\n"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, "last\n"));
        assert_eq!(ran.text().lines().count(), 30_000, "nothing is lost at the end");
    });
}

#[test]
fn a_container_with_a_terminal_is_attached_to_and_logged() {
    let Some(world) = newest() else { return };
    world.pod(
        "p",
        "while read word; do [ -t 1 ] && echo got $word; done",
        json!({ "stdin": true, "tty": true }),
    );
    world.until_ready("p");
    let mut shell = Terminal::start(&world, "attach -it -q p", 80, 24);
    shell.say("fish\n");
    shell.until("got fish");
    drop(shell.controller);
    let _ = shell.child.kill();
    let _ = shell.child.wait();
    let mut again = Terminal::start(&world, "attach -it -q p", 80, 24);
    again.say("bird\n");
    again.until("got bird");
    let _ = again.child.kill();
    let _ = again.child.wait();
    assert!(world.ok("logs p").contains("got fish\r\n"));
}
