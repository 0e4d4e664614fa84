//! Hostile and broken input: the engine answers with a text or an error, within its limits, and never panics.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod fuzz;
mod limits;
