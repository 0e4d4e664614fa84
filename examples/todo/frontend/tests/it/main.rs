//! What a person does with the application, in a real browser; and what a browser is told over HTTP.
//!
//! Each test starts the real backend and MCP server on an empty database of its own, and the pages in front of them.
//! Screenshots are kept in `target/screenshots`. Where Chromium is missing the tests say so and do nothing; with `TODO_REQUIRE_BROWSER` set, a missing piece is a failure.
//!
//! Start at `journey.rs`; the browser is steered by `browser.rs`, the services are started by `program.rs` and `world.rs`.

// A test that cannot go on says so by failing.
#![allow(clippy::unwrap_used)]

mod accessibility;
mod browser;
mod headers;
mod journey;
mod keyboard;
mod live;
mod looks;
mod plain;
mod program;
mod world;
