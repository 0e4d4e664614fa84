//! Fetching a chart from a registry: which tag, its manifest, its layers.

use reqwest::Method;
use serde::Deserialize;

use super::reference::Reference;
use super::session::{Ask, Error, Session};
use super::{CHART, CONFIG, LEGACY_CHART, MANIFEST, PROVENANCE};
use crate::http::{self, Bound};

/// Pages of tags that are read; a page holds a hundred or more.
const MAX_PAGES: usize = 1_000;
const MAX_PROVENANCE: Bound = Bound { bytes: 16 << 20, name: "download-bytes" };

/// A chart as a registry holds it.
#[derive(Debug, Clone)]
pub struct Pulled {
    pub reference: Reference,
    /// Of the manifest.
    pub digest: String,
    pub chart: Vec<u8>,
    pub provenance: Option<Vec<u8>>,
}

impl Pulled {
    /// `NAME-VERSION.tgz`, with the `+` that a tag cannot hold: signatures name the file so.
    pub fn file_name(&self) -> String {
        let version = self.reference.tag.as_ref().map(|tag| tag.replace('_', "+"));
        let tag = version.unwrap_or_else(|| self.digest.replace(':', "-"));
        format!("{}-{tag}.tgz", self.reference.name())
    }
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
}

#[derive(Deserialize)]
struct TagList {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// The exact place of the version that is wanted, as Helm chooses it: a digest or tag as written, a version as a tag,
/// a range by the tags there are, nothing for the newest stable version.
pub async fn resolve(session: &Session, reference: Reference, version: &str) -> Result<Reference, Error> {
    if let Some(tag) = &reference.tag {
        if !version.is_empty() && *tag != version.replace('+', "_") {
            return Err(Error::Mismatch { wanted: version.to_owned(), found: tag.clone() });
        }
        return Ok(reference);
    }
    if reference.digest.is_some() {
        return Ok(reference);
    }
    if seaworthy_template::version_compare(version, version).is_some() {
        return Ok(Reference { tag: Some(version.replace('+', "_")), ..reference });
    }
    let tags = tags(session, &reference).await?;
    let found = crate::index::pick(tags.iter().map(String::as_str), version)?;
    let tag = found.map(|position| tags[position].replace('+', "_"));
    let missing = || Error::NotFound {
        reference: match version {
            "" => format!("{reference}: a version"),
            version => format!("{reference}: a tag that fits `{version}`"),
        },
    };
    Ok(Reference { tag: Some(tag.ok_or_else(missing)?), ..reference })
}

/// All tags that are versions, newest first.
pub(super) async fn tags(session: &Session, reference: &Reference) -> Result<Vec<String>, Error> {
    let mut url = session.url(&format!("{}/tags/list", reference.path))?;
    let mut found: Vec<String> = Vec::new();
    for _ in 0..MAX_PAGES {
        let what = format!("{reference}: its tags");
        let ask = Ask { method: Method::GET, url: url.clone(), accept: None, body: None, what: what.clone() };
        let (body, headers) = session.document(ask).await?;
        let page: TagList = serde_json::from_slice(&body).map_err(|source| Error::Answer { what, source })?;
        found.extend(page.tags.unwrap_or_default().into_iter().map(|tag| tag.replace('_', "+")));
        let next = headers.get("link").and_then(|link| next(link.to_str().ok()?));
        match next.and_then(|next| url.join(&next).ok()).filter(|next| http::same_host(next, &url)) {
            Some(next) => url = next,
            None => break,
        }
    }
    found.retain(|tag| seaworthy_template::version_compare(tag, tag).is_some());
    found.sort_by(|a, b| seaworthy_template::version_compare(b, a).unwrap_or(std::cmp::Ordering::Equal));
    Ok(found)
}

/// `</v2/x/tags/list?last=b>; rel="next"`
fn next(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| target.to_owned())
}

/// Fetches a chart; `provenance` asks for its signature too, which may be missing.
pub async fn pull(
    session: &Session,
    reference: Reference,
    provenance: bool,
    bound: Bound,
) -> Result<Pulled, Error> {
    let key = reference.key().ok_or_else(|| Error::Reference(reference.to_string()))?;
    let url = session.url(&format!("{}/manifests/{key}", reference.path))?;
    let what = reference.to_string();
    let ask = Ask { method: Method::GET, url, accept: Some(MANIFEST), body: None, what: what.clone() };
    let (body, _) = session.document(ask).await?;
    let digest = format!("sha256:{}", crate::cache::digest(&body));
    if let Some(wanted) = reference.digest.as_ref().filter(|wanted| **wanted != digest) {
        return Err(Error::Digest { wanted: wanted.clone(), found: digest });
    }
    let manifest: Manifest =
        serde_json::from_slice(&body).map_err(|source| Error::Answer { what, source })?;
    if manifest.config.media_type != CONFIG {
        return Err(Error::Manifest(format!(
            "{reference} is not a chart: could not load config with mediatype {CONFIG}"
        )));
    }
    let layer =
        |kinds: &[&str]| manifest.layers.iter().find(|layer| kinds.contains(&layer.media_type.as_str()));
    let missing =
        |kind: &str| Error::Manifest(format!("manifest does not contain a layer with mediatype {kind}"));
    let chart = layer(&[CHART, LEGACY_CHART]).ok_or_else(|| missing(CHART))?;
    let chart = session.blob(&reference, &chart.digest, bound).await?;
    let provenance = match layer(&[PROVENANCE]).filter(|_| provenance) {
        Some(layer) => Some(session.blob(&reference, &layer.digest, MAX_PROVENANCE).await?),
        None => None,
    };
    Ok(Pulled { reference, digest, chart, provenance })
}
