//! Pods into processes: images, sandboxes, volumes, probes, logs, network.
pub mod agent;
pub mod client;
pub mod node;
pub mod protocol;
pub mod dns;
pub mod ingress;
pub mod mirror;
pub mod services;
pub mod runtime;
pub mod netlink;
pub mod shim;
mod system;
