//! The node with real namespaces, real containers and the real program: `cargo test -p drydock-node --test it`.
//!
//! Each test has a node of its own in a temporary directory and ends it; ending checks that nothing is left.
//! Without the right to make namespaces the tests say so and do nothing.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod agent;
mod containers;
mod execs;
mod isolation;
mod life;
mod network;
mod volumes;
mod world;
