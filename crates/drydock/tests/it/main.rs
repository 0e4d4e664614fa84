//! The whole engine as a process, with real containers, under real clients.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod attaching;
mod commands;
mod debugging;
mod forwarding;
mod kube_rs;
mod logging;
mod reaching;
mod rotating;
mod world;
