//! Changes to an object, as pure functions over `serde_json::Value` and a schema.
//!
//! For the write path of the API: strategic merge patches, server-side apply, and the bookkeeping of who owns which
//! field (`metadata.managedFields`). Nothing here stores, validates or defaults: the caller does that with the result.
//!
//! Start at [`apply`] for server-side apply, [`track_update`] for every other write, [`strategic_merge`] for `kubectl apply`.

mod apply;
mod conflict;
mod fieldset;
pub(crate) mod go;
mod json;
mod last_applied;
mod managers;
mod merge;
mod order;
mod ownership;
mod remove;
mod sound;
mod strategic;
mod tracking;
mod walk;

#[cfg(test)]
mod laws;

pub use apply::{Apply, ApplyError, apply};
pub use conflict::{Conflict, Conflicts};
pub use json::{JsonPatchError, json_patch};
pub use strategic::{MergeError, strategic_merge};
pub use tracking::{Writer, forget_time, track_create, track_update};
