//! The whole engine as a process, with real containers, under real clients.

mod attaching;
mod commands;
mod debugging;
mod forwarding;
mod world;
