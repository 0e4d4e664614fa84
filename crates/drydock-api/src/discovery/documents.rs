//! The lists of [`Entry`] as clients read them: the legacy documents and the aggregated one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Value, json};

use super::entries::{self, Entry};

pub(super) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
    })
}

pub(super) fn groups(entries: &[Entry]) -> Value {
    let groups = entries::groups(entries);
    let named = groups.iter().filter(|(group, _)| !group.is_empty());
    let values: Vec<Value> = named.map(|(group, versions)| group_value(group, versions)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": values })
}

/// `None` when there is no such group.
pub(super) fn group(entries: &[Entry], group: &str) -> Option<Value> {
    let groups = entries::groups(entries);
    let (group, versions) = groups.iter().find(|(name, _)| name == group)?;
    let mut value = group_value(group, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let version =
        |version: &String| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    json!({
        "name": group, "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

/// `None` when there is no such group version.
pub(super) fn resources(entries: &[Entry], group: &str, version: &str) -> Option<Value> {
    let here = entries.iter().filter(|entry| entry.group == group && entry.version == version);
    let list: Vec<Value> = here.map(legacy).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!list.is_empty()).then(|| {
        let mut document =
            json!({ "kind": "APIResourceList", "groupVersion": group_version, "resources": list });
        if !group.is_empty() {
            // The oldest document of all names no version of its own.
            document["apiVersion"] = "v1".into();
        }
        document
    })
}

fn legacy(entry: &Entry) -> Value {
    let name = match entry.subresource.as_str() {
        "" => entry.name.clone(),
        subresource => format!("{}/{subresource}", entry.name),
    };
    let mut value = json!({
        "name": name, "singularName": entry.singular, "namespaced": entry.namespaced, "kind": entry.kind,
        "verbs": entry.verbs,
    });
    if let Some((group, version)) = &entry.speaks {
        value["group"] = group.as_str().into();
        value["version"] = version.as_str().into();
    }
    if !entry.stored.is_empty() {
        value["storageVersionHash"] = short_hash(&entry.stored).into();
    }
    add_names(&mut value, entry);
    value
}

/// Changes when objects are stored in another version.
fn short_hash(stored: &str) -> String {
    let sum = digest::digest(&digest::SHA256, stored.as_bytes());
    STANDARD.encode(&sum.as_ref()[..8])
}

fn add_names(value: &mut Value, entry: &Entry) {
    for (field, list) in [("shortNames", &entry.short_names), ("categories", &entry.categories)] {
        if !list.is_empty() {
            value[field] = json!(list);
        }
    }
}

pub(super) fn aggregated(entries: &[Entry], form: &str, core: bool) -> Value {
    let groups = entries::groups(entries).into_iter().filter(|(group, _)| group.is_empty() == core);
    let items = groups.map(|(group, versions)| {
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
    let resources = entries.iter().filter(here).filter(|entry| entry.subresource.is_empty());
    resources
        .map(|entry| {
            let below = entries.iter().filter(here);
            let below = below.filter(|sub| sub.name == entry.name && !sub.subresource.is_empty());
            let below: Vec<Value> = below.map(aggregated_subresource).collect();
            let mut value = json!({
                "resource": entry.name, "responseKind": spoken(entry), "singularResource": entry.singular,
                "scope": if entry.namespaced { "Namespaced" } else { "Cluster" }, "verbs": entry.verbs,
            });
            add_names(&mut value, entry);
            if !below.is_empty() {
                value["subresources"] = below.into();
            }
            value
        })
        .collect()
}

fn aggregated_subresource(entry: &Entry) -> Value {
    json!({ "subresource": entry.subresource, "responseKind": spoken(entry), "verbs": entry.verbs })
}

/// Group and version stay empty where they are those of the list.
fn spoken(entry: &Entry) -> Value {
    let (group, version) = match &entry.speaks {
        Some((group, version)) => (group.as_str(), version.as_str()),
        None => ("", ""),
    };
    json!({ "group": group, "version": version, "kind": entry.kind })
}
