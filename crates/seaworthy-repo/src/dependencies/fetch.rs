//! Fetching what was resolved into `charts/`: first beside it, then into place, so that a failure changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use seaworthy_helm::{Chart, Dependency, save};
use seaworthy_template::version_matches;

use super::resolve::{LOCAL, local_path, range};
use super::{Error, Manager, Tell, write};
use crate::index::Index;
use crate::registry::is_oci;
use crate::repositories::Repositories;
use crate::source::{self, Request, Source};
use crate::{http, provenance};

/// The indexes of all repositories that are asked, by URL.
pub(super) async fn indexes(
    manager: &Manager<'_>,
    asked: &[Dependency],
    known: &Repositories,
    tell: Tell<'_>,
) -> Result<BTreeMap<String, Index>, Error> {
    let is_plain = |url: &&str| !url.is_empty() && !url.starts_with(LOCAL) && !is_oci(url);
    let urls: BTreeSet<&str> =
        asked.iter().map(|dependency| dependency.repository.as_str()).filter(is_plain).collect();
    let (named, unnamed): (Vec<&str>, Vec<&str>) = urls.into_iter().partition(|url| known.at(url).is_some());
    let mut indexes = BTreeMap::new();
    if !unnamed.is_empty() && !manager.skip_refresh {
        tell("Getting updates for unmanaged Helm repositories...".into());
    }
    for url in unnamed {
        let key = format!("helm-manager-{}", crate::cache::digest(url.as_bytes()));
        indexes.insert(url.to_owned(), index(manager, url, &key, url, &manager.access, tell).await?);
    }
    if !named.is_empty() && !manager.skip_refresh {
        tell("Hang tight while we grab the latest from your chart repositories...".into());
    }
    let any_named = !named.is_empty();
    for url in named {
        let Some(entry) = known.at(url) else { continue };
        indexes.insert(
            url.to_owned(),
            index(manager, &entry.url, &entry.name, &entry.name, &entry.access(), tell).await?,
        );
    }
    if any_named && !manager.skip_refresh {
        tell("Update Complete. ⎈Happy Helming!⎈".into());
    }
    Ok(indexes)
}

/// One index, fetched and kept for Helm and the next time; the kept one where refreshing is not wanted.
async fn index(
    manager: &Manager<'_>,
    url: &str,
    key: &str,
    shown: &str,
    access: &http::Access,
    tell: Tell<'_>,
) -> Result<Index, Error> {
    if manager.skip_refresh
        && let Some(index) = source::cached_index(key, manager.settings, &manager.limits)
    {
        return Ok(index);
    }
    let base = http::parse(url).map_err(source::Error::from)?;
    let data = source::fetch_index_data(&base, access, &manager.limits).await?;
    let place = http::shown(&base);
    let index = Index::parse(&data, manager.limits.index_bytes)
        .map_err(|source| source::Error::Index { place, source })?;
    let folder = &manager.settings.repository_cache;
    // A cache that cannot be written costs a download next time, no more.
    let kept = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join(format!("{key}-index.yaml")), &data));
    drop(kept);
    tell(format!("...Successfully got an update from the {shown:?} chart repository"));
    Ok(index)
}

/// Fetches all of `locked` into `charts/`, and removes archives there that are no longer wanted.
pub(super) async fn all(
    manager: &Manager<'_>,
    locked: &mut [Dependency],
    known: &Repositories,
    tell: Tell<'_>,
) -> Result<(), Error> {
    tell(format!("Saving {} charts", locked.len()));
    let charts = manager.folder.join("charts");
    let failed = |source| Error::Write { path: charts.display().to_string(), source };
    std::fs::create_dir_all(&charts).map_err(failed)?;
    let beside = tempfile::Builder::new().prefix("tmpcharts-").tempdir_in(&manager.folder).map_err(failed)?;
    let mut fetched = BTreeSet::new();
    for dependency in locked.iter_mut() {
        one(manager, dependency, known, beside.path(), &mut fetched, tell).await?;
    }
    move_in(manager, beside.path(), &charts, locked, tell)
}

async fn one(
    manager: &Manager<'_>,
    dependency: &mut Dependency,
    known: &Repositories,
    beside: &Path,
    fetched: &mut BTreeSet<(String, String, String)>,
    tell: Tell<'_>,
) -> Result<(), Error> {
    let Dependency { name, version, repository, .. } = dependency.clone();
    if repository.is_empty() {
        tell(format!(
            "Dependency {name} did not declare a repository. Assuming it exists in the charts directory"
        ));
        return check_own(manager, &name, &version);
    }
    if repository.starts_with(LOCAL) {
        let path = local_path(&repository, &manager.folder)?;
        let failed = |source| Error::Load { path: path.display().to_string(), source };
        let chart = Chart::load_within(&path, &manager.limits).map_err(failed)?;
        dependency.version = chart.metadata.version.clone();
        let time = manager.time_unix_s.unwrap_or(save::DEFAULT_TIME_UNIX_S);
        let packed = save::pack(&chart, time).map_err(failed)?;
        return write(&beside.join(save::file_name(&chart.metadata)), &packed);
    }
    if !fetched.insert((name.clone(), version.clone(), repository.clone())) {
        tell(format!("Already downloaded {name} from repo {repository}"));
        return Ok(());
    }
    tell(format!("Downloading {name} from repo {repository}"));
    let archive = download(manager, dependency, known).await?;
    let chart = Chart::from_archive(&archive.origin, &archive.data, &manager.limits)
        .map_err(|source| Error::Load { path: archive.origin.clone(), source })?;
    if chart.name() != name {
        let found = format!("{} {}", chart.name(), chart.metadata.version);
        return Err(Error::Other { name, version, repository, found });
    }
    if let Some(keyring) = &manager.keyring {
        let wrong = |source| Error::Provenance { name: name.clone(), source };
        let missing = || wrong(provenance::Error::Missing(format!("{}.prov", archive.file_name)));
        let signature = archive.provenance.as_deref().ok_or_else(missing)?;
        provenance::verify(&archive.data, &archive.file_name, signature, keyring).await.map_err(wrong)?;
    }
    // The name of a URL's last part is no business of ours: what counts is what the archive says it is.
    write(&beside.join(save::file_name(&chart.metadata)), &archive.data)
}

/// A chart in `charts/` that comes from nowhere must fit what is asked for.
fn check_own(manager: &Manager<'_>, name: &str, version: &str) -> Result<(), Error> {
    let path = manager.folder.join("charts").join(name);
    let failed = |source| Error::Load { path: path.display().to_string(), source };
    let found = Chart::load_within(&path, &manager.limits).map_err(failed)?.metadata.version;
    match version_matches(range(version), &found) {
        Some(true) => Ok(()),
        _ => Err(Error::Local { name: name.to_owned(), found, wanted: version.to_owned() }),
    }
}

async fn download(
    manager: &Manager<'_>,
    dependency: &Dependency,
    known: &Repositories,
) -> Result<source::Archive, Error> {
    let Dependency { name, version, repository, .. } = dependency;
    let mut request = Request::new(name.as_str());
    request.version = version.clone();
    request.limits = manager.limits;
    request.provenance = manager.keyring.is_some();
    request.access = manager.access.clone();
    if is_oci(repository) {
        request.reference = format!("{}/{name}", repository.trim_end_matches('/'));
    } else {
        request.repo = Some(repository.clone());
        if let Some(entry) = known.at(repository) {
            request.access = entry.access();
        }
    }
    match source::locate(&request, manager.settings).await {
        Ok(Source::Archive(archive)) => Ok(archive),
        Ok(Source::Path(path)) => Err(Error::NoFolder(path.display().to_string())),
        Err(source) => {
            let (name, repository) = (name.clone(), repository.clone());
            Err(Error::Fetch { name, repository, source: Box::new(source) })
        }
    }
}

fn move_in(
    manager: &Manager<'_>,
    beside: &Path,
    charts: &Path,
    locked: &[Dependency],
    tell: Tell<'_>,
) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::Write { path: path.display().to_string(), source };
    let files = |folder: &Path| -> Result<Vec<std::ffi::OsString>, Error> {
        let entries = std::fs::read_dir(folder).map_err(|source| failed(folder, source))?;
        let mut names: Vec<_> =
            entries.flatten().filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()).collect();
        names.sort();
        Ok(names)
    };
    let (new, old) = (files(beside)?, files(charts)?);
    for name in &new {
        let target = charts.join(name);
        std::fs::rename(beside.join(name), &target).map_err(|source| failed(&target, source))?;
    }
    tell("Deleting outdated charts".into());
    let stays = |chart: &Chart| {
        locked.iter().any(|dependency| dependency.repository.is_empty() && dependency.name == chart.name())
    };
    for name in old.iter().filter(|name| !new.contains(name)) {
        let path = charts.join(name);
        match Chart::load_within(&path, &manager.limits) {
            Ok(chart) if stays(&chart) => {}
            Ok(_) => std::fs::remove_file(&path).map_err(|source| failed(&path, source))?,
            Err(error) => {
                tell(format!("Could not verify {} for deletion: {error} (Skipping)", path.display()))
            }
        }
    }
    Ok(())
}
