//! `metrics.k8s.io/v1beta1`: what pods and nodes use, as the node sampled it last. Read only; nothing is stored.
//!
//! Served when the node samples, see [`NodeBackend::measures`](crate::node::NodeBackend::measures); without one there is no
//! such group, as in a cluster without a metrics server. Selectors are those of the pods and nodes themselves.
//!
//! Start at [`answer`].

use axum::body::Body;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::meta;
use crate::node::{Sample, Usage};
use crate::request::{Query, ResourcePath};
use crate::selector::Filter;
use crate::served::ServedKind;
use crate::server::Server;
use crate::status::ApiError;
use crate::{stored, wire};

pub const GROUP: &str = "metrics.k8s.io";
pub const VERSION: &str = "v1beta1";

/// One of the two resources, as discovery lists it.
#[derive(Debug, Clone, Copy)]
pub struct Resource {
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

pub const RESOURCES: &[Resource] = &[
    Resource { plural: "nodes", kind: "NodeMetrics", namespaced: false },
    Resource { plural: "pods", kind: "PodMetrics", namespaced: true },
];

pub(crate) fn is_served(server: &Server) -> bool {
    server.node.measures()
}

pub(crate) fn is_metrics(server: &Server, path: &ResourcePath) -> bool {
    path.group == GROUP && path.version == VERSION && is_served(server)
}

pub(crate) fn answer(
    server: &Server,
    path: &ResourcePath,
    query: &Query,
    method: &Method,
) -> Result<Response<Body>, ApiError> {
    let resource = RESOURCES.iter().find(|resource| resource.plural == path.plural);
    let resource = resource.filter(|_| path.subresource.is_empty()).ok_or_else(ApiError::no_such_path)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    // Between the node's start and its second sample there is the group, and nothing in it.
    let Some(sample) = server.node.sample() else {
        return Err(ApiError::unavailable("metrics are not available yet; try again in a few seconds"));
    };
    let items = items(server, resource, path, query, &sample)?;
    let version = format!("{GROUP}/{VERSION}");
    if let Some(name) = &path.name {
        let mut item = items.into_iter().next().ok_or_else(|| missing(resource, path, name))?;
        item["kind"] = resource.kind.into();
        item["apiVersion"] = version.into();
        return Ok(wire::json(StatusCode::OK, item));
    }
    let list = json!({
        "kind": format!("{}List", resource.kind), "apiVersion": version, "metadata": {}, "items": items,
    });
    Ok(wire::json(StatusCode::OK, list))
}

fn missing(resource: &Resource, path: &ResourcePath, name: &str) -> ApiError {
    let full =
        path.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
    ApiError::not_found(GROUP, &resource.kind.to_ascii_lowercase(), &full)
}

fn items(
    server: &Server,
    resource: &Resource,
    path: &ResourcePath,
    query: &Query,
    sample: &Sample,
) -> Result<Vec<Value>, ApiError> {
    let kind = ServedKind::find("", "v1", resource.plural).ok_or_else(ApiError::no_such_path)?;
    let filter = Filter::of(query, &kind)?;
    let mut items = Vec::new();
    for (namespace, name, fields) in uses(resource, sample) {
        let elsewhere = path.namespace.as_deref().is_some_and(|wanted| wanted != namespace);
        if elsewhere || path.name.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        // What is gone since the sample has no metrics any more.
        let Some(entry) = server.store.get(&kind.key(namespace, name)) else { continue };
        let object = stored::decode(&entry)?.value;
        if !filter.matches(&kind, &object) {
            continue;
        }
        items.push(item(&object, sample, fields));
    }
    Ok(items)
}

/// Namespace, name and what is measured of each.
fn uses<'a>(resource: &Resource, sample: &'a Sample) -> Vec<(&'a str, &'a str, Value)> {
    if !resource.namespaced {
        return vec![("", &sample.node, json!({ "usage": shown(sample.node_usage) }))];
    }
    let pods = sample.pods.iter().map(|pod| {
        let containers = pod.containers.iter();
        let containers = containers.map(|(name, usage)| json!({ "name": name, "usage": shown(*usage) }));
        let fields = json!({ "containers": containers.collect::<Vec<_>>() });
        (pod.namespace.as_str(), pod.name.as_str(), fields)
    });
    pods.collect()
}

fn item(object: &Value, sample: &Sample, fields: Value) -> Value {
    let metadata = &object["metadata"];
    let mut item = fields;
    item["metadata"] = json!({ "name": metadata["name"], "creationTimestamp": meta::timestamp(sample.at) });
    for field in ["namespace", "labels"] {
        if !metadata[field].is_null() {
            item["metadata"][field] = metadata[field].clone();
        }
    }
    item["timestamp"] = meta::timestamp(sample.at).into();
    item["window"] = format!("{:.3}s", sample.window.as_secs_f64()).into();
    item
}

fn shown(usage: Usage) -> Value {
    json!({ "cpu": format!("{}n", usage.cpu_nanocores), "memory": format!("{}Ki", usage.memory_bytes / 1024) })
}
