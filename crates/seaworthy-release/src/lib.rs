//! Releases on a cluster, stored as Helm stores them: install, upgrade, wait, roll back, test, remove.
//!
//! For the command line; works against any cluster through `kube::Client`. A release made here is listed,
//! upgraded and removed by Helm 4, and the other way round.
//! **Invariant:** a revision is recorded before the first object changes, so an operation that was cut off is
//! found and continued; it never blocks the next one.
//!
//! Start at [`Releases`]; its operations are in `operate`. What a revision holds is [`record::Release`]; what an
//! operation would do is a [`plan::Plan`]; readiness is decided in [`ready`], which is pure.

mod apply;
mod current;
mod diagnose;
mod diff;
mod error;
mod hooks;
mod lock;
mod manifest;
mod merge;
mod operate;
mod origin;
pub mod plan;
mod policy;
mod progress;
pub mod ready;
pub mod record;
mod releases;
mod settle;
mod standing;
mod storage;
mod wait;

pub use diagnose::LogLine;
pub use diff::Line;
pub use error::{Answer, Error};
pub use operate::{Filter, Tested};
pub use policy::{Apply, Cascade, Crds, Left, MAX_HISTORY, Policy, Removal, Wait};
pub use progress::Progress;
pub use record::{Release, Status};
pub use releases::{Definition, Done, Package, Releases, newest};
pub use standing::Standing;
pub use wait::NotReady;
