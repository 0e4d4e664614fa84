//! The whole engine as a process, with real containers, under real clients.

mod attaching;
mod commands;
mod forwarding;
mod world;
