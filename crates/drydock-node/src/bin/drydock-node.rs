//! The node alone, as a program: what the tests launch, and a maintainer's way to try one by hand.
//!
//! `drydock-node drydock-node <dir>`: the role's name is given as the `seaworthy` binary is given it.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(2).collect();
    drydock_node::node::node_main(&words)
}
