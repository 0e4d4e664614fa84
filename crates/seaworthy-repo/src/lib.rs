//! Where charts come from and go to: folders, archives, chart repositories, OCI registries.
//!
//! For the command line. Reads and writes what Helm keeps (`repositories.yaml`, cached indexes, the registry's
//! `config.json`), so that both see the same repositories and logins.
//! **Invariant:** every body is bounded, every digest that is known is checked, no credential leaves its host.
//!
//! Start at [`locate`]; what it finds is a [`Source`], which loads into a `seaworthy_helm::Chart`.

mod cache;
pub mod dependencies;
pub mod directory;
mod expand;
mod http;
mod index;
pub mod manage;
pub mod provenance;
pub mod registry;
mod repositories;
pub mod search;
mod settings;
mod source;
mod whole;

pub use expand::{Error as ExpandError, expand};
pub use http::{Access, Bound, Error as HttpError, fetch, parse as parse_url};
pub use index::{ChartVersion, Error as IndexError, Index};
pub use repositories::{Entry, Error as RepositoriesError, Repositories};
pub use settings::Settings;
pub use source::{Archive, Error, Request, Source, cached_index, locate};
