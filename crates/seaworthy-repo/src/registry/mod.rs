//! Charts in OCI registries, as Helm pushes and pulls them.
//!
//! `reference.rs` reads `oci://host/path:tag@digest`, `session.rs` speaks HTTP and gets tokens, `credentials.rs` knows
//! the logins of Helm and Docker. Start at [`pull`] and [`push`].

mod credentials;
mod pull;
mod push;
mod reference;
mod session;

pub use credentials::{Error as CredentialsError, Login, Logins};
pub(crate) use pull::resolve;
pub use pull::{Pulled, pull};
pub use push::{Pushed, push, push_file};
pub use reference::Reference;
pub use session::{Error, Session};

/// What a chart's parts are called in a manifest.
pub(crate) const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
pub(crate) const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
pub(crate) const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
/// What very old charts are called.
pub(crate) const LEGACY_CHART: &str = "application/tar+gzip";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The scheme of references.
pub const SCHEME: &str = "oci://";

pub fn is_oci(reference: &str) -> bool {
    reference.starts_with(SCHEME)
}
