//! Pods into processes: images, sandboxes, volumes, probes, logs, network.
pub mod client;
pub mod node;
pub mod protocol;
