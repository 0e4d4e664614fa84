//! What is served, line by line: kinds, their subresources, and what is only answered.

use crate::metrics;
use crate::review::REVIEWS;
use crate::served::ServedKind;
use crate::server::Server;
use crate::subresource::EXTRAS;

/// Built-in groups in the order a real API server lists them; others follow as they come.
const ORDER: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// One line of a resource list.
pub(super) struct Entry {
    pub group: String,
    pub version: String,
    pub name: String,
    pub subresource: String,
    pub singular: String,
    pub namespaced: bool,
    pub kind: String,
    /// The group and version of what travels, where they are not those of the entry.
    pub speaks: Option<(String, String)>,
    pub verbs: Vec<String>,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    /// `GROUP/VERSION/KIND` of the stored form; empty for what is not stored.
    pub stored: String,
}

/// Everything, in the order of discovery: groups by rank, resources by name.
pub(super) fn all(server: &Server) -> Vec<Entry> {
    let mut entries: Vec<Entry> = server.kinds().iter().flat_map(of_kind).collect();
    entries.extend(REVIEWS.iter().map(|review| {
        let name = (review.plural, review.kind.to_ascii_lowercase());
        answered((review.group, "v1"), name, review.kind, review.namespaced, &["create"])
    }));
    if metrics::is_served(server) {
        entries.extend(metrics::RESOURCES.iter().map(|resource| {
            let home = (metrics::GROUP, metrics::VERSION);
            let name = (resource.plural, String::new());
            answered(home, name, resource.kind, resource.namespaced, &["get", "list"])
        }));
    }
    let versions = groups(&entries);
    let rank = |entry: &Entry| {
        let known = ORDER.iter().position(|group| *group == entry.group).unwrap_or(ORDER.len());
        let group = versions.iter().position(|(group, _)| *group == entry.group);
        let version = group.and_then(|group| versions[group].1.iter().position(|v| *v == entry.version));
        (known, group, version)
    };
    entries.sort_by_cached_key(|entry| (rank(entry), entry.name.clone(), entry.subresource.clone()));
    entries
}

/// Groups and versions in the order in which they come.
pub(super) fn groups(entries: &[Entry]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|(group, _)| *group == entry.group) {
            Some((_, versions)) if versions.contains(&entry.version) => {}
            Some((_, versions)) => versions.push(entry.version.clone()),
            None => groups.push((entry.group.clone(), vec![entry.version.clone()])),
        }
    }
    groups
}

fn of_kind(kind: &ServedKind) -> Vec<Entry> {
    let below = |subresource: &str, verbs: &[&str]| Entry {
        group: kind.group().to_owned(),
        version: kind.version().to_owned(),
        name: kind.plural().to_owned(),
        subresource: subresource.to_owned(),
        singular: String::new(),
        namespaced: kind.is_namespaced(),
        kind: kind.kind().to_owned(),
        speaks: None,
        verbs: owned(verbs),
        short_names: Vec::new(),
        categories: Vec::new(),
        stored: String::new(),
    };
    let through_object = ["get", "patch", "update"];
    let is_stored = kind.verbs().contains(&"list") && !kind.is("", "componentstatuses");
    let mut entries = vec![Entry {
        singular: kind.singular(),
        short_names: owned(&kind.short_names()),
        categories: owned(&kind.categories()),
        stored: if is_stored { kind.stored_name() } else { String::new() },
        ..below("", kind.verbs())
    }];
    for extra in EXTRAS.iter().filter(|extra| kind.is(extra.group, extra.plural)) {
        let (group, version, name) = extra.speaks;
        let is_other = group != kind.group() || version != kind.version();
        let speaks = is_other.then(|| (group.to_owned(), version.to_owned()));
        entries.push(Entry { kind: name.to_owned(), speaks, ..below(extra.subresource, extra.verbs) });
    }
    if kind.scale().is_some() {
        let speaks = Some(("autoscaling".to_owned(), "v1".to_owned()));
        entries.push(Entry { kind: "Scale".to_owned(), speaks, ..below("scale", &through_object) });
    }
    if kind.has_status() {
        entries.push(below("status", &through_object));
    }
    entries
}

/// What is answered and never stored.
fn answered(
    (group, version): (&str, &str),
    (name, singular): (&str, String),
    kind: &str,
    namespaced: bool,
    verbs: &[&str],
) -> Entry {
    Entry {
        group: group.to_owned(),
        version: version.to_owned(),
        name: name.to_owned(),
        subresource: String::new(),
        singular,
        namespaced,
        kind: kind.to_owned(),
        speaks: None,
        verbs: owned(verbs),
        short_names: Vec::new(),
        categories: Vec::new(),
        stored: String::new(),
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}
