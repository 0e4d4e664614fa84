//! Charts found by a word in the indexes that are kept on this machine. Pure; order and relevance are Helm's.

use std::cmp::Ordering;

use seaworthy_template::{version_compare, version_is_constraint, version_matches};

use crate::index::{ChartVersion, Index};

/// Between the parts of what is searched: name, full name, description, keywords.
const SEPARATOR: char = '\u{b}';

/// Where a line matches, in bytes; `None` where it does not.
pub type Position<'q> = &'q dyn Fn(&str) -> Option<usize>;

/// What is searched for.
pub struct Query<'q> {
    /// Without one everything matches.
    pub position: Option<Position<'q>>,
    /// A range; empty for stable versions.
    pub version: &'q str,
    /// Every version, and not only the newest.
    pub all_versions: bool,
}

/// A chart that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// `repository/chart`
    pub name: String,
    /// In which part it was found: the earlier the better.
    score: usize,
    pub version: ChartVersion,
}

/// The charts that match, the most relevant first; `None` when the version is no range.
pub fn search(repositories: &[(String, Index)], query: &Query<'_>) -> Option<Vec<Hit>> {
    let range = if query.version.is_empty() { ">0.0.0" } else { query.version };
    if !version_is_constraint(range) {
        return None;
    }
    let mut hits: Vec<Hit> = repositories.iter().flat_map(|(name, index)| hits(name, index, query)).collect();
    hits.sort_by(order);
    hits.retain(|hit| version_matches(range, &hit.version.version) == Some(true));
    if !query.all_versions {
        // Equal names stand together, unless versions of one chart are described differently.
        let mut seen = std::collections::BTreeSet::new();
        hits.retain(|hit| seen.insert(hit.name.clone()));
    }
    Some(hits)
}

fn hits(repository: &str, index: &Index, query: &Query<'_>) -> Vec<Hit> {
    let versions = index.charts().flat_map(|chart| {
        let name = format!("{repository}/{chart}");
        index.versions(chart).unwrap_or_default().into_iter().map(move |version| (name.clone(), version))
    });
    let hit = |(name, version): (String, ChartVersion)| {
        let line = line(repository, &version);
        let score = match query.position {
            None => 0,
            Some(position) => line[..position(&line)?].matches(SEPARATOR).count(),
        };
        Some(Hit { name, score, version })
    };
    versions.filter_map(hit).collect()
}

fn line(repository: &str, version: &ChartVersion) -> String {
    let name = &version.name;
    let parts =
        [name.as_str(), &format!("{repository}/{name}"), &version.description, &version.keywords.join(" ")];
    parts.join(&SEPARATOR.to_string())
}

fn order(a: &Hit, b: &Hit) -> Ordering {
    let newest_first = || version_compare(&b.version.version, &a.version.version).unwrap_or(Ordering::Equal);
    a.score.cmp(&b.score).then_with(|| a.name.cmp(&b.name)).then_with(newest_first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "apiVersion: v1\nentries:\n  web:\n  - {name: web, version: 1.0.0, description: Serves pages}\n  \
        - {name: web, version: 1.1.0, description: Serves pages}\n  - {name: web, version: 2.0.0-rc.1}\n  \
        proxy:\n  - {name: proxy, version: 0.3.0, description: Stands before web, keywords: [edge]}\n";

    #[track_caller]
    fn check(word: &str, version: &str, all_versions: bool, expect: &str) {
        let index = Index::parse(INDEX.as_bytes(), 1 << 20).unwrap();
        let position = |line: &str| line.find(word);
        let query = Query { position: (!word.is_empty()).then_some(&position), version, all_versions };
        let found = search(&[("here".into(), index)], &query).unwrap();
        let found: Vec<String> =
            found.into_iter().map(|hit| format!("{} {}", hit.name, hit.version.version)).collect();
        assert_eq!(found.join(", "), expect, "{word:?} {version:?}");
    }

    #[test]
    fn the_newest_stable_version_of_each_chart_is_found() {
        check("", "", false, "here/proxy 0.3.0, here/web 1.1.0");
    }

    #[test]
    fn what_has_the_word_in_its_name_comes_first() {
        check("web", "", false, "here/web 1.1.0, here/proxy 0.3.0");
        check("edge", "", false, "here/proxy 0.3.0");
    }

    #[test]
    fn versions_are_listed_newest_first_and_only_those_in_the_range() {
        check("web", "", true, "here/web 1.1.0, here/web 1.0.0, here/proxy 0.3.0");
        check("web", ">0.0.0-0", false, "here/web 2.0.0-rc.1, here/proxy 0.3.0");
        check("web", "~1.0", false, "here/web 1.0.0");
    }
}
