//! From what a person types to a chart: `./folder`, `chart.tgz`, `repo/name`, `https://...`, `oci://...`.
//!
//! The order in which a reference is understood is Helm's. Start at [`locate`].

use std::path::{Path, PathBuf};

use seaworthy_helm::{Chart, ChartError, Limits};
use url::Url;

use crate::cache::{self, Kind};
use crate::http::{self, Access, Bound, fetch};
use crate::index::{self, ChartVersion, Index};
use crate::registry::{self, Logins, Reference, Session, is_oci};
use crate::repositories::{self, Repositories};
use crate::settings::Settings;

/// Provenance files are small texts.
const MAX_PROVENANCE: Bound = Bound { bytes: 16 << 20, name: "download-bytes" };

/// Which chart is wanted and how hosts are spoken to.
#[derive(Debug, Clone)]
pub struct Request {
    pub reference: String,
    /// A version or a range; empty for the newest stable one.
    pub version: String,
    /// Versions before a release count too, where no version is asked for.
    pub devel: bool,
    /// URL of a repository that has no name.
    pub repo: Option<String>,
    pub access: Access,
    /// Fetch the signature with the chart.
    pub provenance: bool,
    pub limits: Limits,
}

/// A chart that was found.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder or an archive on this machine.
    Path(PathBuf),
    Archive(Archive),
}

/// A packed chart that was fetched.
#[derive(Debug, Clone)]
pub struct Archive {
    /// `NAME-VERSION.tgz`
    pub file_name: String,
    pub data: Vec<u8>,
    pub provenance: Option<Vec<u8>>,
    /// Where it came from, for messages; holds no secret.
    pub origin: String,
    /// Of the registry's manifest.
    pub manifest_digest: Option<String>,
}

/// Why a chart could not be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("path {0:?} not found")]
    NoPath(String),
    #[error("non-absolute URLs should be in form of repo_name/path_to_chart, got: {0}")]
    Reference(String),
    #[error("repo {0} not found")]
    NoRepository(String),
    #[error("looks like {url:?} is not a valid chart repository or cannot be reached")]
    Repository { url: String, source: Box<Error> },
    #[error("{chart} not found in {place} repository")]
    NotFound { chart: String, place: String, source: index::Error },
    #[error("chart {0:?} has no downloadable URLs")]
    NoUrl(String),
    #[error("cannot read the index of {place}")]
    Index { place: String, source: index::Error },
    #[error("cannot read `{path}`")]
    Read { path: String, source: std::io::Error },
    #[error(
        "`{origin}` has the digest {found}, but its index says {wanted}: it was changed after it was published"
    )]
    Digest { origin: String, wanted: String, found: String },
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Repositories(#[from] repositories::Error),
}

impl Source {
    /// Reads the chart within bounds.
    pub fn load(&self, limits: &Limits) -> Result<Chart, ChartError> {
        match self {
            Source::Path(path) => Chart::load_within(path, limits),
            Source::Archive(archive) => Chart::from_archive(&archive.origin, &archive.data, limits),
        }
    }
}

impl Archive {
    /// A packed chart on this machine, with the signature beside it.
    pub fn read(path: &Path, limits: &Limits) -> Result<Archive, Error> {
        let shown = path.display().to_string();
        let failed = |source| Error::Read { path: shown.clone(), source };
        if path.is_dir() {
            return Err(failed(std::io::Error::other("it is a folder; a chart must be a tgz file here")));
        }
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > limits.download_bytes as u64 {
            let told = format!(
                "it is larger than {} bytes; raise that with `--limit download-bytes=`",
                limits.download_bytes
            );
            return Err(failed(std::io::Error::other(told)));
        }
        let data = std::fs::read(path).map_err(failed)?;
        let provenance = std::fs::read(format!("{shown}.prov")).ok();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Archive { file_name, data, provenance, origin: shown, manifest_digest: None })
    }
}

impl Request {
    /// A chart by its reference alone.
    pub fn new(reference: impl Into<String>) -> Request {
        Request {
            reference: reference.into(),
            version: String::new(),
            devel: false,
            repo: None,
            access: Access::default(),
            provenance: false,
            limits: Limits::default(),
        }
    }

    fn version(&self) -> &str {
        match self.version.trim() {
            "" if self.devel => ">0.0.0-0",
            version => version,
        }
    }

    fn chart_bound(&self) -> Bound {
        Bound { bytes: self.limits.download_bytes, name: "download-bytes" }
    }
}

/// Finds a chart, and fetches it when it is not on this machine.
pub async fn locate(request: &Request, settings: &Settings) -> Result<Source, Error> {
    let reference = request.reference.trim();
    if request.repo.is_none() {
        let path = PathBuf::from(reference);
        if path.exists() {
            return Ok(Source::Path(std::path::absolute(&path).unwrap_or(path)));
        }
        if path.is_absolute() || reference.starts_with('.') {
            return Err(Error::NoPath(reference.to_owned()));
        }
    }
    if is_oci(reference) {
        return from_registry(request, reference, request.version(), settings).await.map(Source::Archive);
    }
    let archive = match &request.repo {
        Some(repo) => from_unnamed(request, repo, settings).await?,
        None => match Url::parse(reference).ok().filter(|url| url.has_host()) {
            Some(url) => from_url(request, url, settings).await?,
            None => from_named(request, reference, settings).await?,
        },
    };
    Ok(Source::Archive(archive))
}

/// `oci://registry/path/name`
async fn from_registry(
    request: &Request,
    reference: &str,
    version: &str,
    settings: &Settings,
) -> Result<Archive, Error> {
    let place =
        Reference::parse(reference).ok_or_else(|| registry::Error::Reference(reference.to_owned()))?;
    let session = Session::open(&place, &request.access, &Logins::new(settings)).await?;
    let place = registry::resolve(&session, place, version).await?;
    let pulled = registry::pull(&session, place, request.provenance, request.chart_bound()).await?;
    Ok(Archive {
        file_name: pulled.file_name(),
        origin: format!("oci://{}", pulled.reference),
        manifest_digest: Some(pulled.digest),
        data: pulled.chart,
        provenance: pulled.provenance,
    })
}

/// `name` with `--repo URL`
async fn from_unnamed(request: &Request, repo: &str, settings: &Settings) -> Result<Archive, Error> {
    let base = http::parse(repo)?;
    let failed = |source: Error| Error::Repository { url: http::shown(&base), source: Box::new(source) };
    let index = fetch_index(&base, &request.access, &request.limits).await.map_err(failed)?;
    let chart = request.reference.trim();
    let version = choose(&index, chart, request.version(), &http::shown(&base))?;
    download(request, settings, &base, &version, chart, &request.access).await
}

/// `https://host/chart.tgz`; the login of a known repository that lists it is used.
async fn from_url(request: &Request, url: Url, settings: &Settings) -> Result<Archive, Error> {
    let known = Repositories::load(&settings.repository_config)?;
    let owner = known.repositories.iter().find(|entry| {
        let Ok(base) = http::parse(&entry.url) else { return false };
        let resolve = |entry: &str| resolve(&base, entry).ok().map(|url| url.to_string());
        cached_index(&entry.name, settings, &request.limits)
            .is_some_and(|index| index.owns(url.as_str(), resolve))
    });
    let (base, access) = match owner {
        Some(entry) if !request.access.has_credentials() => (http::parse(&entry.url)?, entry.access()),
        _ => (url.clone(), request.access.clone()),
    };
    get(request, settings, &url, &base, &access, None).await
}

/// `repository/name`
async fn from_named(request: &Request, reference: &str, settings: &Settings) -> Result<Archive, Error> {
    let (name, chart) = reference.split_once('/').ok_or_else(|| Error::Reference(reference.to_owned()))?;
    let known = Repositories::load(&settings.repository_config)?;
    let entry = known.named(name).ok_or_else(|| Error::NoRepository(name.to_owned()))?;
    let base = http::parse(&entry.url)?;
    let access = merged(entry.access(), &request.access);
    let cached = cached_index(name, settings, &request.limits);
    let found = cached.as_ref().and_then(|index| index.get(chart, request.version()).ok());
    let version = match found {
        Some(version) => version,
        // No index yet, or an old one: what is asked for may have been published since.
        None => {
            let index = fetch_index(&base, &access, &request.limits).await?;
            choose(&index, chart, request.version(), name)?
        }
    };
    download(request, settings, &base, &version, chart, &access).await
}

/// What flags say goes before what the file says.
fn merged(file: Access, flags: &Access) -> Access {
    Access {
        username: if flags.has_credentials() { flags.username.clone() } else { file.username },
        password: if flags.has_credentials() { flags.password.clone() } else { file.password },
        pass_credentials: flags.pass_credentials || file.pass_credentials,
        ca_file: flags.ca_file.clone().or(file.ca_file),
        cert_file: flags.cert_file.clone().or(file.cert_file),
        key_file: flags.key_file.clone().or(file.key_file),
        insecure_skip_tls_verify: flags.insecure_skip_tls_verify || file.insecure_skip_tls_verify,
        plain_http: flags.plain_http,
    }
}

fn choose(index: &Index, chart: &str, version: &str, place: &str) -> Result<ChartVersion, Error> {
    index.get(chart, version).map_err(|source| Error::NotFound {
        chart: match version {
            "" => format!("chart {chart:?}"),
            version => format!("chart {chart:?} version {version:?}"),
        },
        place: place.to_owned(),
        source,
    })
}

/// The index that `repo update`, ours or Helm's, left.
pub fn cached_index(name: &str, settings: &Settings, limits: &Limits) -> Option<Index> {
    let path = settings.repository_cache.join(format!("{name}-index.yaml"));
    let size = std::fs::metadata(&path).ok()?.len();
    let data = (size <= limits.index_bytes as u64).then(|| std::fs::read(path).ok())??;
    Index::parse(&data, limits.index_bytes).ok()
}

/// Fetches and reads a repository's index.
pub(crate) async fn fetch_index(base: &Url, access: &Access, limits: &Limits) -> Result<Index, Error> {
    let data = fetch_index_data(base, access, limits).await?;
    Index::parse(&data, limits.index_bytes)
        .map_err(|source| Error::Index { place: http::shown(base), source })
}

pub(crate) async fn fetch_index_data(base: &Url, access: &Access, limits: &Limits) -> Result<Vec<u8>, Error> {
    let url = resolve(base, "index.yaml")?;
    Ok(fetch(&url, base, access, Bound { bytes: limits.index_bytes, name: "index-bytes" }).await?)
}

/// A URL of an index, relative to the repository; the repository's query is kept, as some carry a token there.
pub(crate) fn resolve(base: &Url, reference: &str) -> Result<Url, Error> {
    if let Ok(absolute) = Url::parse(reference) {
        return Ok(absolute);
    }
    let mut folder = base.clone();
    folder.set_path(&format!("{}/", base.path().trim_end_matches('/')));
    let mut url =
        folder.join(reference).map_err(|source| http::Error::Url { url: reference.to_owned(), source })?;
    url.set_query(base.query());
    Ok(url)
}

async fn download(
    request: &Request,
    settings: &Settings,
    base: &Url,
    version: &ChartVersion,
    chart: &str,
    access: &Access,
) -> Result<Archive, Error> {
    let first = version.urls.first().ok_or_else(|| Error::NoUrl(chart.to_owned()))?;
    if is_oci(first) {
        return from_registry(request, first, "", settings).await;
    }
    get(request, settings, &resolve(base, first)?, base, access, version.digest.as_deref()).await
}

/// Fetches an archive, from the cache when its digest is known; the digest is checked either way.
async fn get(
    request: &Request,
    settings: &Settings,
    url: &Url,
    base: &Url,
    access: &Access,
    wanted: Option<&str>,
) -> Result<Archive, Error> {
    let root = &settings.content_cache;
    let data = match wanted.and_then(|digest| cache::get(root, digest, Kind::Chart)) {
        Some(data) => data,
        None => {
            let data = fetch(url, base, access, request.chart_bound()).await?;
            let found = cache::digest(&data);
            if let Some(wanted) =
                wanted.and_then(cache::plain).filter(|wanted| !found.eq_ignore_ascii_case(wanted))
            {
                let (origin, wanted) = (http::shown(url), wanted.to_owned());
                return Err(Error::Digest { origin, wanted, found });
            }
            cache::put(root, &found, Kind::Chart, &data);
            data
        }
    };
    let provenance = match request.provenance {
        true => provenance(settings, url, base, access, &cache::digest(&data)).await?,
        false => None,
    };
    let file_name = url.path_segments().and_then(Iterator::last).filter(|name| !name.is_empty());
    let file_name = file_name.unwrap_or("chart.tgz").to_owned();
    Ok(Archive { file_name, data, provenance, origin: http::shown(url), manifest_digest: None })
}

/// `URL.prov`; a repository without one has none.
async fn provenance(
    settings: &Settings,
    url: &Url,
    base: &Url,
    access: &Access,
    digest: &str,
) -> Result<Option<Vec<u8>>, Error> {
    if let Some(data) = cache::get(&settings.content_cache, digest, Kind::Provenance) {
        return Ok(Some(data));
    }
    let mut signature = url.clone();
    signature.set_path(&format!("{}.prov", url.path()));
    match fetch(&signature, base, access, MAX_PROVENANCE).await {
        Ok(data) => {
            cache::put(&settings.content_cache, digest, Kind::Provenance, &data);
            Ok(Some(data))
        }
        Err(http::Error::Status { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, reference: &str, expected: &str) {
        assert_eq!(resolve(&http::parse(base).unwrap(), reference).unwrap().as_str(), expected);
    }

    #[test]
    fn urls_of_an_index_are_relative_to_its_folder() {
        check("https://h.test/charts", "a-1.tgz", "https://h.test/charts/a-1.tgz");
        check("https://h.test/charts/", "x/a-1.tgz", "https://h.test/charts/x/a-1.tgz");
        check("https://h.test/charts?token=t", "a-1.tgz", "https://h.test/charts/a-1.tgz?token=t");
        check("https://h.test/charts", "https://cdn.test/a.tgz", "https://cdn.test/a.tgz");
    }
}
