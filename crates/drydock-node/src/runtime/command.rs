//! The last step: environment, program lookup and `execve`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::{Doing, Error};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment with later entries winning and the three every program expects.
pub fn environment(
    given: &[(String, String)],
    home: &str,
    hostname: &str,
    tty: bool,
) -> BTreeMap<String, String> {
    let expected = [("PATH", DEFAULT_PATH), ("HOME", home), ("HOSTNAME", hostname)];
    let terminal = tty.then_some(("TERM", "xterm"));
    let expected = expected.into_iter().chain(terminal);
    let mut environment: BTreeMap<String, String> =
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    environment.extend(given.iter().cloned());
    environment
}

/// A program found and ready to be executed.
pub struct Command {
    program: CString,
    args: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    /// Looks the program up as the user who will run it, in the container's own root.
    pub fn find(args: &[String], environment: &BTreeMap<String, String>) -> Result<Self, Error> {
        let Some(name) = args.first().filter(|name| !name.is_empty()) else {
            return Err(Error::Invalid("no command specified".to_owned()));
        };
        let path = environment.get("PATH").map_or("", String::as_str);
        let program = if name.contains('/') { check_named(name)? } else { search(name, path)? };
        let c_string = |text: &str| {
            CString::new(text)
                .map_err(|_| Error::Invalid("a zero byte in the command or environment".to_owned()))
        };
        Ok(Self {
            program: c_string(&program.to_string_lossy())?,
            args: args.iter().map(|arg| c_string(arg)).collect::<Result<_, _>>()?,
            environment: environment
                .iter()
                .map(|(name, value)| c_string(&format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Becomes the program; returns only when that failed.
    pub fn execute(&self) -> Error {
        let Err(errno) = nix::unistd::execve(&self.program, &self.args, &self.environment);
        let program = self.program.to_string_lossy();
        match errno {
            nix::errno::Errno::ENOEXEC => Error::CannotRun(format!("{program:?}: exec format error")),
            nix::errno::Errno::ENOENT => Error::CannotRun(format!(
                "{program:?}: its interpreter is missing: no such file or directory"
            )),
            nix::errno::Errno::EACCES => Error::CannotRun(format!("{program:?}: permission denied")),
            other => Error::CannotRun(format!("{program:?}: {}", other.desc())),
        }
    }
}

fn check_named(name: &str) -> Result<PathBuf, Error> {
    let path = PathBuf::from(name);
    match executable(&path) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::CannotRun(format!("{name:?}: stat {name}: no such file or directory")))
        }
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            Err(Error::CannotRun(format!("{name:?}: is a directory")))
        }
        Err(_) => Err(Error::CannotRun(format!("{name:?}: permission denied"))),
    }
}

fn search(name: &str, path: &str) -> Result<PathBuf, Error> {
    path.split(':')
        .map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(name))
        .find(|candidate| executable(candidate).is_ok())
        .ok_or_else(|| Error::CannotRun(format!("{name:?}: executable file not found in $PATH")))
}

fn executable(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(path, AccessFlags::X_OK)?)
}

/// Gives the program the signals it would have in a shell: ours are blocked and SIGPIPE ignored.
pub fn reset_signals() -> Result<(), Error> {
    use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
    for number in Signal::iterator().filter(|number| !matches!(number, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of ours.
        unsafe { signal(number, SigHandler::SigDfl) }.doing(|| format!("reset {number}"))?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).doing(|| "unblock signals".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(args: &[&str], path: &str) -> String {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let environment = environment(&[("PATH".to_owned(), path.to_owned())], "/", "h", false);
        match Command::find(&args, &environment) {
            Ok(command) => command.program.to_string_lossy().into_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_bare_name_is_looked_up_in_path() {
        assert_eq!(found(&["sh"], "/nowhere:/bin"), "/bin/sh");
    }

    #[test]
    fn a_name_that_is_nowhere_reads_as_runc_says_it() {
        assert_eq!(found(&["foo"], "/bin"), "exec: \"foo\": executable file not found in $PATH");
    }

    #[test]
    fn a_path_that_is_not_there_reads_as_runc_says_it() {
        assert_eq!(found(&["/no/foo"], "/bin"), "exec: \"/no/foo\": stat /no/foo: no such file or directory");
    }

    #[test]
    fn a_file_without_the_executable_bit_is_no_program() {
        assert_eq!(found(&["/etc/passwd"], "/bin"), "exec: \"/etc/passwd\": permission denied");
    }

    #[test]
    fn what_is_given_wins_over_what_is_expected() {
        let given = [("HOME", "/a"), ("HOME", "/b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = environment(&given, "/root", "web-0", false);
        assert_eq!(environment["HOME"], "/b");
        assert_eq!(environment["HOSTNAME"], "web-0");
    }
}
