//! What a real cluster answered to clients, recorded, and drydock compared with it.
//!
//! For CI and for whoever wonders what Kubernetes does. A *scenario* (`scenarios/`) is a list of kubectl command lines
//! or HTTP requests; a *recording* (`recordings/`) is what a real control plane answered, per version of kubectl, with
//! what changes from run to run masked; `differences.txt` declares each place where drydock answers otherwise, and why.
//! An undeclared difference fails; a declared one that is gone is reported.
//!
//! Start at [`Scenario`], then [`run_all`]; `main.rs` lists what can be done by hand.

mod cluster;
mod compare;
mod differences;
mod kubectl;
mod kubelet;
mod ledger;
mod mask;
mod recording;
mod request;
mod run;
mod scenario;
mod target;
mod voices;

pub use cluster::Cluster;
pub use compare::{Difference, compare, textual};
pub use differences::{Declared, Differences, UNEXPLAINED};
pub use kubectl::{Client, clients};
pub use kubelet::pretend;
pub use ledger::ledger;
pub use recording::Recording;
pub use run::{Breadth, Outcome, Ran, run_all};
pub use scenario::{Action, Scenario, Step};
pub use target::Target;

use std::path::PathBuf;

/// A folder of this crate: `scenarios` or `recordings`.
pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}
