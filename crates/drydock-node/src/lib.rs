//! Pods into processes: images, sandboxes, volumes, probes, logs, network.
