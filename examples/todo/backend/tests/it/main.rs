//! The contract of the API, held against the real backend process, a real PostgreSQL, a real Redis and the
//! real MCP server. What a machine lacks is said; with `TODO_REQUIRE_DATABASES=1` it is a failure.

#![allow(clippy::unwrap_used)]

mod auth;
mod browsers;
mod chat;
mod contract;
mod databases;
mod isolation;
mod live;
mod mcp;
mod models;
mod outages;
mod sse;
mod stand_in;
mod tasks;
mod world;
