//! Pods into processes: images, sandboxes, volumes, probes, logs, network.
//!
//! For the engine, in two halves that meet at [`protocol`]. The daemon's half decides: [`agent`] makes pods run,
//! [`dns`], [`ingress`] and [`services`] bring traffic to them, all through a [`client`]. The [`node`] does: a process
//! of its own, in namespaces of its own, that forks a shim per container and outlives the daemon.
//! **Invariant:** the daemon never enters a namespace and never forks; the node never reads a Kubernetes object.
//!
//! Start at [`agent::Agent::start`] to see what is decided, at [`node::node_main`] to see how it is done.

pub mod agent;
pub mod client;
pub mod dns;
pub mod ingress;
pub mod mirror;
mod netlink;
pub mod node;
pub mod protocol;
mod runtime;
pub mod services;
mod shim;
mod system;
