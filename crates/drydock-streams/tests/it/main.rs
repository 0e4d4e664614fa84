//! The server's side of each transport against clients written from the frames up.

mod commands;
mod forwards;
mod peer;
