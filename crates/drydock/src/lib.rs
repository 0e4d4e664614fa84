//! The engine: wires store, API, controllers and node into one Kubernetes for one machine.
