//! What every service does for its callers, tried over real connections.

#![allow(clippy::unwrap_used)]

mod connections;
mod requests;
mod server;
