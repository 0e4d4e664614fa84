//! The Kubernetes API over HTTP: discovery, CRUD, patch, apply, watch, tables, authentication.
pub mod patch;
