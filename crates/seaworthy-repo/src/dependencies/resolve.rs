//! From ranges to versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, Dependency};
use seaworthy_template::{version_compare, version_is_constraint, version_matches};

use super::{Error, Manager};
use crate::index::Index;
use crate::registry::{self, Logins, Reference, Session, is_oci};
use crate::repositories::Repositories;

/// The scheme of charts beside the chart.
pub(super) const LOCAL: &str = "file://";

/// Replaces `@name` and `alias:name` by the repository's URL, and checks that folders are there.
pub(super) fn named(
    mut asked: Vec<Dependency>,
    known: &Repositories,
    folder: &Path,
) -> Result<Vec<Dependency>, Error> {
    for dependency in &mut asked {
        let repository = dependency.repository.clone();
        if let Some(name) = repository.strip_prefix('@').or_else(|| repository.strip_prefix("alias:")) {
            let entry = known.named(name).ok_or_else(|| Error::NoRepository(repository.clone()))?;
            dependency.repository = entry.url.clone();
        } else if repository.starts_with(LOCAL) {
            local_path(&repository, folder)?;
        } else if !repository.is_empty() && !repository.contains("://") {
            return Err(Error::NoRepository(repository));
        }
    }
    Ok(asked)
}

/// The folder that `file://...` means, relative to the chart.
pub(super) fn local_path(repository: &str, folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(repository.strip_prefix(LOCAL).unwrap_or(repository));
    match path.exists() {
        true => Ok(path),
        false => Err(Error::NoDirectory(path.display().to_string())),
    }
}

/// The exact version of each dependency.
pub(super) async fn resolve(
    manager: &Manager<'_>,
    asked: &[Dependency],
    indexes: &BTreeMap<String, Index>,
) -> Result<Vec<Dependency>, Error> {
    let (mut locked, mut missing) = (Vec::new(), Vec::new());
    for dependency in asked {
        let Dependency { name, version, repository, .. } = dependency;
        if !version_is_constraint(range(version)) {
            return Err(Error::Range { name: name.clone(), version: version.clone() });
        }
        let found = match repository.as_str() {
            "" => {
                local_path(&format!("charts/{name}"), &manager.folder)?;
                Some(version.clone())
            }
            local if local.starts_with(LOCAL) => in_folder(manager, dependency)?,
            oci if is_oci(oci) => in_registry(manager, dependency).await?,
            url => in_index(indexes.get(url), dependency)?,
        };
        match found {
            Some(version) => locked.push(Dependency {
                name: name.clone(),
                version,
                repository: repository.clone(),
                ..Dependency::default()
            }),
            None => missing.push(format!("{name:?} (repository {repository:?}, version {version:?})")),
        }
    }
    if missing.is_empty() { Ok(locked) } else { Err(Error::NoVersion(missing)) }
}

/// No range means any version.
pub(super) fn range(version: &str) -> &str {
    if version.is_empty() { "*" } else { version }
}

fn in_folder(manager: &Manager<'_>, dependency: &Dependency) -> Result<Option<String>, Error> {
    let path = local_path(&dependency.repository, &manager.folder)?;
    let failed = |source| Error::Load { path: path.display().to_string(), source };
    let found = Chart::load_within(&path, &manager.limits).map_err(failed)?.metadata.version;
    let fits = version_matches(range(&dependency.version), &found) == Some(true);
    Ok(fits.then_some(found))
}

async fn in_registry(manager: &Manager<'_>, dependency: &Dependency) -> Result<Option<String>, Error> {
    let version = &dependency.version;
    if version_compare(version, version).is_some() {
        return Ok(Some(version.clone()));
    }
    let place = format!("{}/{}", dependency.repository.trim_end_matches('/'), dependency.name);
    let failed = |source| Error::Registry {
        name: dependency.name.clone(),
        repository: dependency.repository.clone(),
        source,
    };
    let parsed = Reference::parse(&place).ok_or_else(|| failed(registry::Error::Reference(place.clone())))?;
    let session = Session::open(&parsed, &manager.access, &Logins::new(manager.settings)).await;
    match registry::resolve(&session.map_err(failed)?, parsed, version).await {
        Ok(found) => Ok(found.tag.map(|tag| tag.replace('_', "+"))),
        Err(registry::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn in_index(index: Option<&Index>, dependency: &Dependency) -> Result<Option<String>, Error> {
    let Dependency { name, version, repository, .. } = dependency;
    let not_there = || Error::NotThere { name: name.clone(), repository: repository.clone() };
    let versions = index.ok_or_else(not_there)?.versions(name).map_err(|_| not_there())?;
    let fits = |found: &str| version_matches(range(version), found) == Some(true);
    Ok(versions
        .into_iter()
        .find(|found| !found.urls.is_empty() && fits(&found.version))
        .map(|found| found.version))
}
