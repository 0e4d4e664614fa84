//! What fields a kind has, of which type, and how lists of it merge.
//!
//! For patches, server-side apply, field validation and OpenAPI. Built from the published OpenAPI documents of
//! Kubernetes (see `schema/README.md`); a custom kind can bring its own [`Schema`].
//! The index of fields is decoded once, on first use; descriptions are decoded per request and never kept.
//!
//! Start at [`Schema::builtin`] and [`Schema::kind`].

mod artefact;
mod build;
mod conform;
pub(crate) mod custom;
mod duplicates;
pub mod openapi;
mod types;

pub(crate) use artefact::fnv;
pub use conform::{Mismatch, conform, json_type};
pub use duplicates::duplicate_fields;
pub use types::{Field, ListType, PatchStrategy, Schema, Shape, Type};
