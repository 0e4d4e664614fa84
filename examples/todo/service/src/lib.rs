//! What every service of the application needs to be a good citizen: configuration from the
//! environment, JSON logs, request ids, limits, metrics, health answers, signed tokens, graceful shutdown.
//!
//! Used by `frontend`, `backend` and `mcp-server`; knows nothing about tasks, users or pages.
//! A service is given [`config::Settings`], builds a router and hands it to [`web::serve`].

pub mod client;
pub mod clock;
pub mod config;
mod connections;
pub mod health;
pub mod log;
pub mod metrics;
pub mod request_id;
pub mod shutdown;
pub mod start;
pub mod token;
pub mod web;
