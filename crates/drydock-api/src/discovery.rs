//! Everything that is no object: which kinds there are, the version, and health.
//!
//! Derived from the catalog. The aggregated form is given in the version a client names, the legacy form otherwise.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::metrics;
use crate::review;
use crate::served::ServedKind;
use crate::server::Server;
use crate::status::ApiError;
use crate::subresource::EXTRAS;
use crate::wire::{self, DiscoveryForm};

const AGGREGATED_V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

pub(crate) fn answer(
    server: &Server,
    path: &str,
    request: &Request<Body>,
) -> Result<Response<Body>, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    let form = DiscoveryForm::of(request.headers());
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let ok = |value: Value| Ok(wire::json(StatusCode::OK, &value));
    match words.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(health(words[0], request.uri().query())),
        ["version"] => ok(version()),
        ["api"] => Ok(roots(server, form, true)),
        ["apis"] => Ok(roots(server, form, false)),
        ["api", version] => ok(resources(server, "", version)?),
        ["apis", group] => ok(group_document(server, group)?),
        ["apis", group, version] => ok(resources(server, group, version)?),
        [] => ok(json!({ "paths": root_paths(server) })),
        _ => Err(ApiError::no_such_path()),
    }
}

fn health(check: &str, query: Option<&str>) -> Response<Body> {
    let text = match query.is_some_and(|query| query.contains("verbose")) {
        true => format!("[+]ping ok\n[+]store ok\n{check} check passed\n"),
        false => "ok".to_owned(),
    };
    wire::bytes_as(StatusCode::OK, text, "text/plain; charset=utf-8")
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
    })
}

/// One line of a resource list.
struct Entry {
    group: String,
    version: String,
    name: String,
    subresource: String,
    singular: String,
    namespaced: bool,
    /// Group, version and kind of what travels.
    speaks: (String, String, String),
    verbs: Vec<String>,
    short_names: Vec<String>,
    categories: Vec<String>,
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn entries(server: &Server) -> Vec<Entry> {
    let mut entries: Vec<Entry> = server.kinds().iter().flat_map(entries_of).collect();
    entries.extend(review::REVIEWS.iter().map(|review| Entry {
        group: review.group.to_owned(),
        version: "v1".to_owned(),
        name: review.plural.to_owned(),
        subresource: String::new(),
        singular: review.kind.to_ascii_lowercase(),
        namespaced: review.namespaced,
        speaks: (review.group.to_owned(), "v1".to_owned(), review.kind.to_owned()),
        verbs: owned(&["create"]),
        short_names: Vec::new(),
        categories: Vec::new(),
    }));
    if metrics::is_served(server) {
        entries.extend(metrics::RESOURCES.iter().map(metrics_entry));
    }
    entries
}

fn metrics_entry(resource: &metrics::Resource) -> Entry {
    Entry {
        group: metrics::GROUP.to_owned(),
        version: metrics::VERSION.to_owned(),
        name: resource.plural.to_owned(),
        subresource: String::new(),
        singular: String::new(),
        namespaced: resource.namespaced,
        speaks: (metrics::GROUP.to_owned(), metrics::VERSION.to_owned(), resource.kind.to_owned()),
        verbs: owned(&["get", "list"]),
        short_names: Vec::new(),
        categories: Vec::new(),
    }
}

fn entries_of(kind: &ServedKind) -> Vec<Entry> {
    let own = (kind.group().to_owned(), kind.version().to_owned(), kind.kind().to_owned());
    let entry = |subresource: &str, speaks: (String, String, String), verbs: &[&str]| Entry {
        group: kind.group().to_owned(),
        version: kind.version().to_owned(),
        name: kind.plural().to_owned(),
        subresource: subresource.to_owned(),
        singular: if subresource.is_empty() { kind.singular() } else { String::new() },
        namespaced: kind.is_namespaced(),
        speaks,
        verbs: owned(verbs),
        short_names: if subresource.is_empty() { owned(&kind.short_names()) } else { Vec::new() },
        categories: if subresource.is_empty() { owned(&kind.categories()) } else { Vec::new() },
    };
    let mut entries = vec![entry("", own.clone(), kind.verbs())];
    let through_object = ["get", "patch", "update"];
    for extra in EXTRAS.iter().filter(|extra| kind.is(extra.group, extra.plural)) {
        let (group, version, name) = extra.speaks;
        let speaks = (group.to_owned(), version.to_owned(), name.to_owned());
        entries.push(entry(extra.subresource, speaks, extra.verbs));
    }
    if kind.scale().is_some() {
        let speaks = ("autoscaling".to_owned(), "v1".to_owned(), "Scale".to_owned());
        entries.push(entry("scale", speaks, &through_object));
    }
    if kind.has_status() {
        entries.push(entry("status", own, &through_object));
    }
    entries
}

/// Group and versions in catalog order, which is the order of preference.
fn groups(entries: &[Entry]) -> Vec<(String, Vec<String>)> {
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

fn roots(server: &Server, form: DiscoveryForm, core: bool) -> Response<Body> {
    let entries = entries(server);
    match form {
        DiscoveryForm::Aggregated(version) => {
            let content_type = if version == "v2" { AGGREGATED_V2 } else { AGGREGATED_V2BETA1 };
            wire::json_as(StatusCode::OK, &aggregated(&entries, version, core), content_type)
        }
        DiscoveryForm::Legacy if core => wire::json(
            StatusCode::OK,
            &json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "" }],
            }),
        ),
        DiscoveryForm::Legacy => {
            let groups: Vec<Value> = groups(&entries)
                .iter()
                .filter(|(group, _)| !group.is_empty())
                .map(|(group, versions)| group_value(group, versions))
                .collect();
            wire::json(
                StatusCode::OK,
                &json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }),
            )
        }
    }
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let version =
        |version: &String| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    json!({
        "name": group, "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

fn group_document(server: &Server, group: &str) -> Result<Value, ApiError> {
    let groups = groups(&entries(server));
    let (group, versions) =
        groups.iter().find(|(name, _)| name == group).ok_or_else(ApiError::no_such_path)?;
    let mut value = group_value(group, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Ok(value)
}

fn resources(server: &Server, group: &str, version: &str) -> Result<Value, ApiError> {
    let list: Vec<Value> = entries(server)
        .iter()
        .filter(|entry| entry.group == group && entry.version == version)
        .map(legacy_entry)
        .collect();
    if list.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(
        json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list }),
    )
}

fn legacy_entry(entry: &Entry) -> Value {
    let name = match entry.subresource.as_str() {
        "" => entry.name.clone(),
        subresource => format!("{}/{subresource}", entry.name),
    };
    let (group, version, kind) = &entry.speaks;
    let mut value = json!({
        "name": name, "singularName": entry.singular, "namespaced": entry.namespaced, "kind": kind,
        "verbs": entry.verbs,
    });
    if *group != entry.group || *version != entry.version {
        value["group"] = group.as_str().into();
        value["version"] = version.as_str().into();
    }
    for (field, list) in [("shortNames", &entry.short_names), ("categories", &entry.categories)] {
        if !list.is_empty() {
            value[field] = json!(list);
        }
    }
    value
}

fn aggregated(entries: &[Entry], form: &str, core: bool) -> Value {
    let items =
        groups(entries).into_iter().filter(|(group, _)| group.is_empty() == core).map(|(group, versions)| {
            let versions = versions.iter().map(|version| {
                json!({
                    "version": version, "freshness": "Current",
                    "resources": aggregated_resources(entries, &group, version),
                })
            });
            let metadata = if core { json!({}) } else { json!({ "name": group }) };
            json!({ "metadata": metadata, "versions": versions.collect::<Vec<_>>() })
        });
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{form}"), "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })
}

fn aggregated_resources(entries: &[Entry], group: &str, version: &str) -> Vec<Value> {
    let here = |entry: &&Entry| entry.group == group && entry.version == version;
    let main = entries.iter().filter(here).filter(|entry| entry.subresource.is_empty());
    main.map(|entry| {
        let below = entries.iter().filter(here).filter(|sub| sub.name == entry.name && !sub.subresource.is_empty());
        let below: Vec<Value> = below
            .map(|sub| json!({ "subresource": sub.subresource, "responseKind": speaks(sub), "verbs": sub.verbs }))
            .collect();
        let mut value = json!({
            "resource": entry.name, "responseKind": speaks(entry), "singularResource": entry.singular,
            "scope": if entry.namespaced { "Namespaced" } else { "Cluster" }, "verbs": entry.verbs,
        });
        for (field, list) in [("shortNames", &entry.short_names), ("categories", &entry.categories)] {
            if !list.is_empty() {
                value[field] = json!(list);
            }
        }
        if !below.is_empty() {
            value["subresources"] = below.into();
        }
        value
    })
    .collect()
}

fn speaks(entry: &Entry) -> Value {
    let (group, version, kind) = &entry.speaks;
    json!({ "group": group, "version": version, "kind": kind })
}

fn root_paths(server: &Server) -> Vec<String> {
    let groups = groups(&entries(server));
    let served = groups.iter().flat_map(|(group, versions)| {
        versions.iter().map(move |version| match group.as_str() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        })
    });
    let fixed = ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
    fixed.into_iter().map(str::to_owned).chain(served).collect()
}
