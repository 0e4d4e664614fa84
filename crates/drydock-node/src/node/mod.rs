//! The node process: holds the outer namespaces and everything pods need from the kernel.
//!
//! `seaworthy drydock-node <dir>` makes namespaces, forks the process that becomes PID 1 in them, executes
//! itself once more from a read-only mount and serves `<dir>/node.sock` from one thread. It never reads
//! Kubernetes objects, never resolves names, never waits for a daemon. When it ends, the kernel ends every
//! process, mount and link in it. Start at [`node_main`]; the loop is in `serve`.
//!
//! In `<dir>`: `node.sock`, `node.lock`, `node.log`, `containers/<id>/status.json`, and `run`, which is
//! memory that only the node and its containers see.

mod asks;
mod containers;
mod execs;
mod network;
mod outer;
mod sandboxes;
mod serve;
mod settle;
mod sockets;
mod volumes;

use std::ffi::OsString;
use std::process::ExitCode;

pub use crate::runtime::cgroup::Cgroups;

/// The socket's name inside the node's directory.
pub const SOCKET: &str = "node.sock";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a node already runs in `{0}`")]
    AlreadyRunning(std::path::PathBuf),
    #[error("usage: drydock-node <dir>")]
    Usage,
    #[error("cannot {doing}")]
    System {
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
}

trait Trying<T> {
    fn trying(self, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> Trying<T> for Result<T, E> {
    fn trying(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::System { doing, source: source.into() })
    }
}

/// The hidden role. Must be called before the program has any thread; `args` are those after the role's
/// name. The calling process ends when the node serves (success) or could not be made.
pub fn node_main(args: &[OsString]) -> ExitCode {
    let result = match args {
        [dir] => outer::start(dir.as_ref()),
        [dir, inside, lock, ready] if inside == outer::INSIDE => settle::run(dir.as_ref(), lock, ready),
        _ => Err(Error::Usage),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes in one line, for whoever launched us.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    said
}
