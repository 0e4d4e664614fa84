//! YAML as Helm reads and writes it: sigs.k8s.io/yaml over go-yaml v2, that is YAML 1.1 scalars by way of JSON.
//!
//! Reading yields `serde_json::Value` and is bounded in size, depth and alias expansion. Writing prints what
//! Go's encoder prints, byte for byte. The one place that knows YAML; charts, values and manifests use it too.

mod read;
mod resolve;
mod write;

pub use read::{Error, Limits, read, read_with, split_documents};
pub use resolve::{Scalar, resolve};
pub use write::{write, write_json, write_pretty};
