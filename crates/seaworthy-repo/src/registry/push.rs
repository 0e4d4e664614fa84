//! Bringing a chart to a registry, with the manifest that Helm would write: same bytes, same digest.

use std::path::Path;

use reqwest::Method;
use seaworthy_helm::{Chart, Limits, Metadata};
use serde::Serialize;
use url::Url;

use super::credentials::Logins;

use super::reference::Reference;
use super::session::{Ask, Error, Session};
use super::{CHART, CONFIG, MANIFEST, PROVENANCE};
use crate::http::Access;
use crate::settings::Settings;
use crate::source::Archive;

/// What a push left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub reference: Reference,
    /// Of the manifest.
    pub digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    annotations: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
}

impl Descriptor {
    fn of(media_type: &'static str, data: &[u8]) -> Descriptor {
        Descriptor { media_type, digest: format!("sha256:{}", crate::cache::digest(data)), size: data.len() }
    }
}

/// Pushes an archive and the signature beside it to `remote`, `oci://` and the path above the chart's name.
pub async fn push_file(
    path: &Path,
    remote: &str,
    access: &Access,
    settings: &Settings,
    limits: &Limits,
) -> Result<Pushed, Error> {
    let archive = Archive::read(path, limits).map_err(|source| Error::Archive(Box::new(source)))?;
    let chart = Chart::from_archive(&archive.origin, &archive.data, limits)?;
    let wrong = || Error::Reference(remote.to_owned());
    let base = remote.strip_prefix(super::SCHEME).ok_or_else(wrong)?.trim_end_matches('/');
    let place = format!("{base}/{}:{}", chart.name(), chart.metadata.version);
    let reference = Reference::parse(&place).ok_or_else(wrong)?;
    let session = Session::open(&reference, access, &Logins::new(settings)).await?;
    let written = std::fs::metadata(path).and_then(|info| info.modified()).ok();
    let written =
        written.and_then(|time| jiff::Timestamp::try_from(time).ok()).unwrap_or_else(jiff::Timestamp::now);
    let created = written.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let provenance = archive.provenance.as_deref();
    push(&session, reference, &chart.metadata, &archive.data, provenance, &created).await
}

/// Pushes a packed chart to `remote`, a registry and a path; `created` is when the archive was written (RFC 3339).
pub async fn push(
    session: &Session,
    reference: Reference,
    metadata: &Metadata,
    archive: &[u8],
    provenance: Option<&[u8]>,
    created: &str,
) -> Result<Pushed, Error> {
    let config = seaworthy_helm::lock::go_json(metadata);
    let config_descriptor = Descriptor::of(CONFIG, config.as_bytes());
    let mut layers = vec![Descriptor::of(CHART, archive)];
    layers.extend(provenance.map(|provenance| Descriptor::of(PROVENANCE, provenance)));
    layers.sort_by(|a, b| a.digest.cmp(&b.digest));
    for data in [Some(archive), Some(config.as_bytes()), provenance].into_iter().flatten() {
        upload(session, &reference, data).await?;
    }
    let annotations = annotations(metadata, created);
    let manifest = Manifest { schema_version: 2, config: &config_descriptor, layers: &layers, annotations };
    let manifest = seaworthy_helm::lock::go_json(&manifest);
    let tag = reference.tag.as_deref().ok_or_else(|| Error::Reference(reference.to_string()))?;
    let url = session.url(&format!("{}/manifests/{tag}", reference.path))?;
    let digest = format!("sha256:{}", crate::cache::digest(manifest.as_bytes()));
    let body = Some((MANIFEST, manifest.into_bytes()));
    session
        .ask(Ask {
            method: Method::PUT,
            url,
            accept: None,
            body,
            what: format!("the manifest of {reference}"),
        })
        .await?;
    Ok(Pushed { reference, digest })
}

/// Uploads a blob in one piece unless the registry has it.
async fn upload(session: &Session, reference: &Reference, data: &[u8]) -> Result<(), Error> {
    let digest = format!("sha256:{}", crate::cache::digest(data));
    let what = format!("blob {digest} of {reference}");
    let ask = |method, url, body| Ask { method, url, accept: None, body, what: what.clone() };
    let there = session.url(&format!("{}/blobs/{digest}", reference.path))?;
    match session.ask(ask(Method::HEAD, there, None)).await {
        Ok(_) => return Ok(()),
        // Some registries answer 403 to a HEAD without push rights; the upload itself will tell.
        Err(Error::NotFound { .. } | Error::Refused { .. } | Error::Status { .. }) => {}
        Err(error) => return Err(error),
    }
    let begin = session.url(&format!("{}/blobs/uploads/", reference.path))?;
    let response = session.ask(ask(Method::POST, begin.clone(), None)).await?;
    let location = response.headers().get("location").and_then(|location| location.to_str().ok());
    let missing = || Error::Manifest(format!("the registry names no place for {what}"));
    let mut place: Url = begin.join(location.ok_or_else(missing)?).map_err(|_| missing())?;
    place.query_pairs_mut().append_pair("digest", &digest);
    session.ask(ask(Method::PUT, place, Some(("application/octet-stream", data.to_vec())))).await?;
    Ok(())
}

/// What the manifest says about the chart; the chart's own annotations cannot replace its title and version.
fn annotations(metadata: &Metadata, created: &str) -> serde_json::Map<String, serde_json::Value> {
    let authors: Vec<String> =
        metadata
            .maintainers
            .iter()
            .map(|one| {
                if one.email.is_empty() { one.name.clone() } else { format!("{} ({})", one.name, one.email) }
            })
            .collect();
    let known = [
        ("description", metadata.description.clone()),
        ("title", metadata.name.clone()),
        ("version", metadata.version.clone()),
        ("url", metadata.home.clone()),
        ("created", created.to_owned()),
        ("source", metadata.sources.first().cloned().unwrap_or_default()),
        ("authors", authors.join(", ")),
    ];
    let mut all = serde_json::Map::new();
    for (name, value) in known.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
        all.insert(format!("org.opencontainers.image.{name}"), value.into());
    }
    for (name, value) in &metadata.annotations {
        if !matches!(name.as_str(), "org.opencontainers.image.version" | "org.opencontainers.image.title") {
            all.insert(name.clone(), value.clone().into());
        }
    }
    all
}
