//! Releases on a cluster, stored as Helm stores them: install, upgrade, wait, roll back, remove.
//!
//! For the command line; works against any cluster through `kube::Client`. A release made here is listed,
//! upgraded and removed by Helm 4, and the other way round.
//! **Invariant:** a revision is recorded before the first object changes, so an operation that was cut off is
//! found and continued; it never blocks the next one.
//!
//! Start at [`Releases`]. What a revision holds is [`record::Release`]; readiness is decided in [`ready`], which is pure.

mod apply;
mod current;
mod diagnose;
mod error;
mod hooks;
mod lock;
mod manifest;
mod operate;
pub mod ready;
pub mod record;
mod settle;
mod storage;
mod wait;

pub use error::Error;
pub use operate::{Done, Package, Policy, Releases};
pub use record::{Release, Status};
pub use wait::{NotReady, Progress};
