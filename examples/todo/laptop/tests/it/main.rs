//! The program that starts everything, as somebody at a terminal has it; and what is written about its settings.

// A test that cannot go on says so by failing.
#![allow(clippy::unwrap_used)]

mod program;
mod settings;
mod starting;
