//! The server's side of each transport against clients written from the frames up.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod commands;
mod forwards;
mod peer;
