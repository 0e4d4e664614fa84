//! OCI images without a daemon: an image layout on disk, builders that fill it, registry pull.
//!
//! Used by `seaworthy` to build and list images and by drydock's node to run them. Every image is
//! an ordinary OCI image layout entry, so other tools can read the store.
//! **Invariant:** a blob appears under its digest only when it is complete and its digest was
//! checked; an image is in the index only when all its blobs are present.
//!
//! Start at [`ImageStore`]; builders are in [`cargo_build`], layers in [`layer`].

pub mod cargo_build;
mod error;
mod health;
mod inputs;
pub mod layer;
mod pull;
mod reference;
mod store;
mod unpack;

pub use error::Error;
pub use health::HealthCheck;
pub use pull::pull;
pub use reference::{BadName, normalize};
pub use store::{Image, ImageStore, Layer, NewImage};

pub use oci_spec::image::{Config, ConfigBuilder};

/// Label of an image that takes the place of a real one where no registry can be reached; says what it holds.
pub const STAND_IN_LABEL: &str = "dev.seaworthy.stand-in";
