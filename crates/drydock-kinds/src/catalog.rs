//! The catalog: every kind the engine serves, one line each.
//!
//! Routes, discovery, OpenAPI and tables are derived from it; a kind that is not listed here does not exist.

use crate::spec::KindSpec;

const CATALOG: &[KindSpec] = &[crate::namespace::KIND, crate::deployment::KIND];

/// All kinds, in the order discovery lists them.
pub fn catalog() -> &'static [KindSpec] {
    CATALOG
}

/// Looks a kind up by what a URL names: group (empty for core), version and plural.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static KindSpec> {
    CATALOG.iter().find(|spec| spec.plural == plural && spec.version == version && spec.group == group)
}

/// Looks a kind up by group (empty for core), version and kind.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static KindSpec> {
    CATALOG.iter().find(|spec| spec.kind == kind && spec.version == version && spec.group == group)
}

/// Looks a kind up by what an object says about itself: `apps/v1` and `Deployment`.
pub fn by_api_version(api_version: &str, kind: &str) -> Option<&'static KindSpec> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    by_kind(group, version, kind)
}
