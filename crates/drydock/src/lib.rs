//! drydock: a Kubernetes for one machine, in one process and a node beside it.
//!
//! The only crate that knows store, API, controllers and node together. For the command line: [`run`] is the
//! daemon, [`run_role`] the node, [`status`], [`stop`], [`reset`], [`rotate_key`],
//! [`doctor()`] and [`export()`] look at an engine from outside.
//! **Invariant:** whoever holds the lock of a folder is its only daemon; a folder without a daemon is whole.
//!
//! Start at [`daemon`].

mod backend;
mod control;
mod daemon;
mod doctor;
mod export;
mod folder;
mod memory;
mod node_side;
mod rotate;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use control::{Status, is_ready, is_running, reset, status, stop};
pub use daemon::{Error, run};
pub use doctor::{Check, State, doctor};
pub use export::{Error as ExportError, Exported, export};
pub use memory::share_arenas;
pub use rotate::{Error as RotateError, rotate_key};

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Objects, certificates, volumes, logs. Created when absent.
    pub folder: PathBuf,
    /// The image store.
    pub images: PathBuf,
    /// Port of the API on 127.0.0.1; another one is taken when it is in use.
    pub api_port: u16,
    /// Port of the ingress on 127.0.0.1.
    pub http_port: u16,
    /// Kinds whose objects are sealed in the store's file, as `PLURAL` or `PLURAL.GROUP`.
    pub sealed_kinds: Vec<String>,
    /// Where to record who asked the API for what; nowhere without.
    pub audit_log: Option<PathBuf>,
}

impl Config {
    pub fn new(folder: PathBuf, images: PathBuf) -> Self {
        let sealed_kinds = drydock_api::SEALED.iter().map(|kind| (*kind).to_owned()).collect();
        Self { folder, images, api_port: 6443, http_port: 8080, sealed_kinds, audit_log: None }
    }
}

/// Runs a hidden role of this binary, if the arguments name one. Must be called before any thread exists.
pub fn run_role(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    match args.next()?.to_str()? {
        drydock_node::protocol::NODE_ROLE => Some(drydock_node::node::node_main(&args.collect::<Vec<_>>())),
        _ => None,
    }
}
