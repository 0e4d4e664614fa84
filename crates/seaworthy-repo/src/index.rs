//! `index.yaml`: which versions of which charts a repository has.
//!
//! The document is kept as it is and only the chart that is asked for is looked at: indexes of public
//! repositories hold tens of thousands of entries, some of them malformed.

use seaworthy_helm::yaml;
use seaworthy_template::{version_compare, version_is_constraint, version_matches};
use serde_json::Value as Json;

/// Values in one index; the largest public ones hold some hundred thousand.
const MAX_NODES: usize = 20_000_000;

/// A repository's index.
#[derive(Debug, Clone, Default)]
pub struct Index(serde_json::Map<String, Json>);

/// One version of a chart in an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartVersion {
    pub name: String,
    pub version: String,
    pub app_version: String,
    pub description: String,
    pub keywords: Vec<String>,
    /// Where it can be fetched, relative to the repository or absolute.
    pub urls: Vec<String>,
    /// SHA-256 of the archive, in hexadecimal.
    pub digest: Option<String>,
}

/// Why an index is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("empty index.yaml file")]
    Empty,
    #[error("the index is not UTF-8 text")]
    NotText,
    #[error("the index cannot be read")]
    Yaml(#[from] yaml::Error),
    #[error("the index has no `entries`")]
    NoEntries,
    #[error("no API version specified")]
    NoApiVersion,
    #[error("no chart name found")]
    NoChart,
    #[error("no chart version found")]
    NoVersions,
    #[error("improper constraint: {0}")]
    Constraint(String),
    #[error("no chart version found for {chart}-{version}")]
    NoVersion { chart: String, version: String },
}

impl Index {
    /// Reads JSON or YAML of at most `bytes`.
    pub fn parse(data: &[u8], bytes: usize) -> Result<Index, Error> {
        if data.is_empty() {
            return Err(Error::Empty);
        }
        let document = match serde_json::from_slice(data) {
            Ok(document) => document,
            Err(_) => {
                let text = std::str::from_utf8(data).map_err(|_| Error::NotText)?;
                yaml::read_with(text, yaml::Limits { bytes, nodes: MAX_NODES, ..yaml::Limits::default() })?
            }
        };
        if document["apiVersion"].as_str().unwrap_or_default().is_empty() {
            return Err(Error::NoApiVersion);
        }
        match document {
            Json::Object(mut document) => match document.remove("entries") {
                Some(Json::Object(entries)) => Ok(Index(entries)),
                None | Some(Json::Null) => Ok(Index::default()),
                Some(_) => Err(Error::NoEntries),
            },
            _ => Err(Error::NoEntries),
        }
    }

    /// The versions of a chart, newest first; what is no version is left out.
    pub fn versions(&self, chart: &str) -> Result<Vec<ChartVersion>, Error> {
        let entries = self.0.get(chart).and_then(Json::as_array).ok_or(Error::NoChart)?;
        let mut versions: Vec<ChartVersion> = entries.iter().filter_map(version).collect();
        versions.sort_by(|a, b| version_compare(&b.version, &a.version).unwrap_or(std::cmp::Ordering::Equal));
        Ok(versions)
    }

    /// The version that is wanted: the one written so, else the newest in the range; empty means the newest stable.
    pub fn get(&self, chart: &str, wanted: &str) -> Result<ChartVersion, Error> {
        let versions = self.versions(chart)?;
        if versions.is_empty() {
            return Err(Error::NoVersions);
        }
        let position = pick(versions.iter().map(|version| version.version.as_str()), wanted)?;
        let missing = || Error::NoVersion { chart: chart.to_owned(), version: wanted.to_owned() };
        position.map(|position| versions[position].clone()).ok_or_else(missing)
    }

    /// The names of charts.
    pub fn charts(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Each version of each chart as it is written, with the chart's name.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Json)> {
        self.0.into_iter().flat_map(|(name, versions)| {
            let versions = if let Json::Array(versions) = versions { versions } else { Vec::new() };
            versions.into_iter().filter(Json::is_object).map(move |version| (name.clone(), version))
        })
    }

    /// Whether an entry is fetched from exactly this URL once `resolve` has made it absolute.
    pub(crate) fn owns(&self, url: &str, resolve: impl Fn(&str) -> Option<String>) -> bool {
        let urls =
            self.0.values().filter_map(Json::as_array).flatten().filter_map(|entry| entry["urls"].as_array());
        urls.flatten().filter_map(Json::as_str).any(|entry| resolve(entry).as_deref() == Some(url))
    }
}

/// Which of `versions`, newest first, is wanted.
pub(crate) fn pick<'v>(
    versions: impl Iterator<Item = &'v str> + Clone,
    wanted: &str,
) -> Result<Option<usize>, Error> {
    if wanted.is_empty() {
        return Ok(versions.clone().position(|version| version_matches("*", version) == Some(true)));
    }
    if !version_is_constraint(wanted) {
        return Err(Error::Constraint(wanted.to_owned()));
    }
    let exact = versions.clone().position(|version| version == wanted);
    Ok(exact.or_else(|| versions.clone().position(|version| version_matches(wanted, version) == Some(true))))
}

fn version(entry: &Json) -> Option<ChartVersion> {
    let text = |key: &str| match &entry[key] {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let version = text("version");
    version_compare(&version, &version)?;
    let texts = |key: &str| entry[key].as_array().into_iter().flatten().filter_map(Json::as_str);
    Some(ChartVersion {
        name: text("name"),
        version,
        app_version: text("appVersion"),
        description: text("description"),
        keywords: texts("keywords").map(str::to_owned).collect(),
        urls: texts("urls").map(str::to_owned).collect(),
        digest: entry["digest"].as_str().filter(|digest| !digest.is_empty()).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "apiVersion: v1\nentries:\n  web:\n  - {version: 1.2.0, urls: [a.tgz]}\n  \
        - {version: 2.0.0-rc.1, urls: [b.tgz]}\n  - {version: 1.10.0+b7, urls: [c.tgz]}\n  - null\n  \
        - {version: nonsense}\n  - {version: 1.3, urls: [d.tgz]}\n";

    #[track_caller]
    fn check(wanted: &str, expected: &str) {
        let index = Index::parse(INDEX.as_bytes(), 1 << 20).unwrap();
        let found =
            index.get("web", wanted).map(|version| version.version).map_err(|error| error.to_string());
        assert_eq!(found.unwrap_or_else(|error| error), expected, "{wanted:?}");
    }

    #[test]
    fn without_a_wish_the_newest_stable_version_is_chosen() {
        check("", "1.10.0+b7");
    }

    #[test]
    fn ranges_choose_the_newest_that_fits() {
        check("~1.2", "1.2.0");
        check("^1", "1.10.0+b7");
        check(">0.0.0-0", "2.0.0-rc.1");
        check("1.3.0", "1.3");
    }

    #[test]
    fn what_is_not_there_is_named() {
        check("^3", "no chart version found for web-^3");
        check("not a range", "improper constraint: not a range");
        let index = Index::parse(INDEX.as_bytes(), 1 << 20).unwrap();
        assert_eq!(index.get("api", ""), Err(Error::NoChart));
    }

    #[test]
    fn indexes_that_are_none_are_refused() {
        let refused = |text: &str| Index::parse(text.as_bytes(), 100).unwrap_err();
        assert_eq!(refused(""), Error::Empty);
        assert_eq!(refused("entries: {}"), Error::NoApiVersion);
        assert_eq!(refused("apiVersion: v1\nentries: 5\n"), Error::NoEntries);
        assert!(matches!(refused(&format!("# {}", "x".repeat(200))), Error::Yaml(_)));
        assert!(Index::parse(&[0xff, 0xfe], 100).is_err());
    }
}
