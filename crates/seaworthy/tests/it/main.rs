//! The whole chain with nothing faked: `cargo test -p seaworthy --test it`, as root.
//!
//! Each test has a drydock of its own in a temporary folder, on ports of its own, and asserts what only real
//! containers can answer. Tests take turns, because two databases and a compiler are enough for two cores.
//! Where something is missing they say so and do nothing; with `CI` set, a missing piece is a failure.
//!
//! Start at `world.rs`, then `example.rs`.

// A test that cannot go on says so by failing.
#![allow(clippy::unwrap_used)]

mod browser;
mod example;
mod failures;
mod http;
mod images;
mod interrupted;
mod kubectl;
mod leftovers;
mod program;
mod releases;
mod revisions;
mod survival;
mod todo;
mod webdriver;
mod world;
