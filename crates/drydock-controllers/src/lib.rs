//! The Kubernetes controllers: they make the cluster be what its objects say.
//!
//! Ordinary kube-rs programs that talk only through a [`kube::Client`] and would run unchanged
//! against another cluster. Every kind is watched and cached once and shared by all controllers;
//! every reaction is woken by a change, none polls.
//!
//! Start at [`run`]. One folder per controller, each read from its `mod.rs`: observe, plan (pure),
//! act, status.

mod aggregation;
mod cache;
mod claims;
mod controller;
mod cronjob;
mod cx;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod events;
mod garbage;
mod hash;
mod history;
mod hpa;
mod job;
mod key;
mod kind;
mod kinds;
mod namespace;
mod owner;
mod pods;
mod quantity;
mod queue;
mod replicaset;
mod resourcequota;
mod run;
mod scheduler;
mod selector;
mod serviceaccount;
mod statefulset;
mod supervise;
mod watches;

pub use self::claims::PROVISIONER;
pub use self::cx::{Clock, Config, DirectoryVolumes, SystemClock, VolumeHost};
pub use self::run::run;
