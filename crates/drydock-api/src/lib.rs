//! The Kubernetes API over HTTP: discovery, CRUD, patch, apply, watch, tables, authentication.
//!
//! For the engine, which serves it on a socket and hands in-process clients to controllers and the node. One generic
//! path serves every kind of the catalog; objects stay `serde_json::Value` and live in a `drydock_store::Store`.
//!
//! Start at [`Api`]. A request goes `server` (who, may they, bounds) -> `resource` (get, list, create, update, patch,
//! delete) -> `resource::admit` (what is stored) -> the store; `watch` brings it back out.

mod admission;
mod audit;
mod auth;
mod bootstrap;
mod bounds;
mod certificates;
mod counts;
mod custom;
mod discovery;
mod endpoint;
mod expiry;
#[doc(hidden)]
pub mod fuzzing;
mod gather;
mod keyring;
mod meta;
mod metrics;
pub mod node;
mod openapi;
pub mod patch;
pub mod pki;
mod policy;
mod proxy;
mod renewal;
mod request;
mod resource;
mod review;
mod selector;
mod serve;
mod served;
mod server;
mod service_ip;
mod status;
mod stored;
mod subresource;
mod watch;
mod webhook;
mod wire;

pub use audit::AuditConfig;
pub use auth::{MASTERS, User};
pub use keyring::{Keyring, Rotation, SEALED};
pub use node::{NoNode, NodeBackend};
pub use pki::{Pki, PkiError};
pub use serve::ServeError;
pub use server::{Api, ApiConfig, Part};
pub use service_ip::Network;
pub use status::ApiError;
