//! The node process: holds the outer namespaces and everything pods need from the kernel.

/// The socket's name inside the node's directory.
pub const SOCKET: &str = "node.sock";
