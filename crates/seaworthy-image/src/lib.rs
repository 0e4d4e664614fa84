//! OCI images without a daemon: layout store, builders, registry pull.
