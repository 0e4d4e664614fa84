//! Clients that watch a container's output while it is logged.
//!
//! Each gets what is written from the moment of its attachment on. One that does not read holds the program back as soon
//! as [`MAX_PENDING_BYTES`] wait for it, as a terminal would; one that is gone is forgotten. The log is never held back
//! by anything but the program.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::system;

const MAX_PENDING_BYTES: usize = 256 << 10;
const MAX_ATTACHMENTS: usize = 32;
/// How long clients may take to read the last words of a container that has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// stdout and stderr of one client each.
#[derive(Default)]
pub(super) struct Attached(Vec<[Option<Pipe>; 2]>);

struct Pipe {
    fd: OwnedFd,
    pending: VecDeque<u8>,
}

impl Attached {
    /// False when there are too many already.
    pub fn add(&mut self, outputs: Vec<OwnedFd>) -> bool {
        let Ok([stdout, stderr]) = <[OwnedFd; 2]>::try_from(outputs) else { return false };
        if self.0.len() >= MAX_ATTACHMENTS {
            return false;
        }
        self.0.push([stdout, stderr].map(Pipe::new));
        true
    }

    /// Whether the program has to wait for a client.
    pub fn is_full(&self) -> bool {
        self.pipes().any(|pipe| pipe.pending.len() >= MAX_PENDING_BYTES)
    }

    /// Passes on what the program wrote to its output of this number (0 or 1).
    pub fn feed(&mut self, output: usize, bytes: &[u8]) {
        for one in &mut self.0 {
            let Some(place) = one.get_mut(output) else { continue };
            let Some(pipe) = place else { continue };
            pipe.pending.extend(bytes);
            if !pipe.flush() {
                *place = None;
            }
        }
        self.forget();
    }

    /// An output has ended, while the program perhaps goes on.
    pub fn close(&mut self, output: usize) {
        for place in self.0.iter_mut().filter_map(|one| one.get_mut(output)) {
            // What is still pending goes out when the container ends, or is lost with a client that does not read.
            if place.as_ref().is_some_and(|pipe| pipe.pending.is_empty()) {
                *place = None;
            }
        }
        self.forget();
    }

    /// What to wait for: room in the pipes that need it, and the end of all others.
    pub fn polled(&self) -> impl Iterator<Item = libc::pollfd> {
        self.pipes().map(|pipe| libc::pollfd {
            fd: pipe.fd.as_raw_fd(),
            events: if pipe.pending.is_empty() { 0 } else { libc::POLLOUT },
            revents: 0,
        })
    }

    /// Takes the answers to [`Attached::polled`].
    pub fn on_polled(&mut self, polled: &[libc::pollfd]) {
        for answer in polled.iter().filter(|answer| answer.revents != 0) {
            for place in self.0.iter_mut().flatten() {
                let gone = match place {
                    Some(pipe) if pipe.fd.as_raw_fd() == answer.fd => {
                        answer.revents & libc::POLLOUT == 0 || !pipe.flush()
                    }
                    _ => false,
                };
                if gone {
                    *place = None;
                }
            }
        }
        self.forget();
    }

    /// Waits until everything is delivered, or the patience is over.
    pub fn drain(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        loop {
            for place in self.0.iter_mut().flatten() {
                if place.as_ref().is_some_and(|pipe| pipe.pending.is_empty()) {
                    *place = None;
                }
            }
            self.forget();
            let left = until.saturating_duration_since(Instant::now());
            let mut polled: Vec<libc::pollfd> = self.polled().collect();
            if polled.is_empty() || left.is_zero() || system::poll(&mut polled, Some(left)).is_err() {
                return;
            }
            self.on_polled(&polled);
        }
    }

    fn pipes(&self) -> impl Iterator<Item = &Pipe> {
        self.0.iter().flatten().flatten()
    }

    fn forget(&mut self) {
        self.0.retain(|one| one.iter().any(Option::is_some));
    }
}

impl Pipe {
    fn new(fd: OwnedFd) -> Option<Self> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_WRONLY | OFlag::O_NONBLOCK)).ok()?;
        Some(Self { fd, pending: VecDeque::new() })
    }

    /// Writes what the pipe takes; false when nobody reads it any more.
    fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            let (front, _) = self.pending.as_slices();
            match nix::unistd::write(&self.fd, front) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(Errno::EINTR) => {}
                Err(error) => return error == Errno::EAGAIN,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use nix::unistd::pipe;

    use super::*;

    fn attach(attached: &mut Attached) -> [File; 2] {
        let (stdout, stdout_write) = pipe().unwrap();
        let (stderr, stderr_write) = pipe().unwrap();
        assert!(attached.add(vec![stdout_write, stderr_write]));
        [stdout.into(), stderr.into()]
    }

    fn poll(attached: &mut Attached) {
        let mut polled: Vec<libc::pollfd> = attached.polled().collect();
        system::poll(&mut polled, Some(Duration::ZERO)).unwrap();
        attached.on_polled(&polled);
    }

    #[test]
    fn every_client_sees_what_is_written_after_it_came() {
        let mut attached = Attached::default();
        let [mut early, _early_errors] = attach(&mut attached);
        attached.feed(0, b"one ");
        let [mut late, mut late_errors] = attach(&mut attached);
        attached.feed(0, b"two");
        attached.feed(1, b"oops");
        attached.drain();
        let read = |from: &mut File| {
            let mut text = String::new();
            from.read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(read(&mut early), "one two");
        assert_eq!((read(&mut late), read(&mut late_errors)), ("two".to_owned(), "oops".to_owned()));
    }

    #[test]
    fn a_client_that_does_not_read_holds_the_program_back_until_it_does() {
        let mut attached = Attached::default();
        let [mut stdout, _stderr] = attach(&mut attached);
        while !attached.is_full() {
            attached.feed(0, &[b'x'; 4096]);
        }
        let mut some = vec![0; 32 << 10];
        stdout.read_exact(&mut some).unwrap();
        poll(&mut attached);
        assert!(!attached.is_full());
    }

    #[test]
    fn a_client_that_is_gone_is_forgotten() {
        let mut attached = Attached::default();
        drop(attach(&mut attached));
        poll(&mut attached);
        assert!(attached.0.is_empty());
        drop(attach(&mut attached));
        attached.feed(0, b"nobody");
        attached.feed(1, b"nobody");
        assert!(attached.0.is_empty());
    }
}
