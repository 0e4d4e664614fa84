//! One file per kind and the catalog: scope, names, defaults, validation, columns, merge keys.
//!
//! For everyone who serves, stores or reconciles Kubernetes objects. Objects are `serde_json::Value`;
//! nothing here reads a file, a socket or a clock: the time comes in as an argument.
//!
//! Start at [`catalog`] for the kinds and at [`schema`] for their fields.

pub mod catalog;
pub mod column;
mod deployment;
pub mod field;
mod namespace;
pub mod schema;
pub mod spec;

pub use catalog::{by_api_version, by_kind, by_plural, catalog};
pub use column::{Column, ColumnType};
pub use field::{FieldError, FieldErrorKind, Path};
pub use spec::{Generation, KindSpec, NameRule, Scale, Scope, Selectable};
