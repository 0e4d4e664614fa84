//! Small system calls that node, shim and runtime share.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use nix::unistd::Pid;

/// Ends a forked process without running what its parent registered or holds.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

pub fn now_unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// What `ps` shows, at most 15 bytes.
pub fn name_process(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // A name is a courtesy.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Closes every descriptor above the standard three that is not in `kept`.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<u32> = kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    let mut from = 3;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > from {
            // SAFETY: called in a forked process that uses none but the kept descriptors and never drops
            // what it inherited.
            unsafe { libc::close_range(from, fd - u32::from(fd != u32::MAX), 0) };
        }
        from = from.max(fd.saturating_add(1));
    }
}

/// Makes copies of three descriptors the standard ones.
pub fn set_standard(standard: [BorrowedFd<'_>; 3]) -> io::Result<()> {
    // Copies above the standard three first, so that none is overwritten before it was used.
    let copies: Vec<_> = standard.iter().map(|fd| above_standard(*fd)).collect::<io::Result<_>>()?;
    for (number, copy) in copies.into_iter().enumerate() {
        // SAFETY: both numbers are open or about to be replaced.
        let done = unsafe { (libc::dup2(copy, number as RawFd), libc::close(copy)) };
        if done.0 < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn above_standard(fd: BorrowedFd<'_>) -> io::Result<RawFd> {
    Ok(nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3))?)
}

/// `poll` that goes on after a signal.
pub fn poll(polled: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: the slice outlives the call and its true length is given.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    if result >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// How a child ended, if it did: its code as a shell shows it, and the signal that killed it.
pub fn reap(pid: Pid) -> Option<(i32, Option<i32>)> {
    wait_for(pid.as_raw()).map(|(_, code, signal)| (code, signal))
}

/// Any child that ended.
pub fn reap_any() -> Option<(Pid, i32, Option<i32>)> {
    wait_for(-1)
}

/// The library's own call, since nix has no name for real-time signals and would lose such an end.
fn wait_for(pid: i32) -> Option<(Pid, i32, Option<i32>)> {
    let mut status = 0;
    loop {
        // SAFETY: writes one integer that outlives the call.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        match ended {
            0 => return None,
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return None,
            ended if libc::WIFSIGNALED(status) => {
                let signal = libc::WTERMSIG(status);
                return Some((Pid::from_raw(ended), 128 + signal, Some(signal)));
            }
            ended => return Some((Pid::from_raw(ended), libc::WEXITSTATUS(status), None)),
        }
    }
}
