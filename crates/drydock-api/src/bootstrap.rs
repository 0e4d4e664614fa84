//! The objects a cluster has from its first moment, created when they are missing.
//!
//! They go through the ordinary write path as `system:masters`, so they look like everybody else's.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::auth::User;
use crate::auth::rbac::reconcile;
use crate::served::ServedKind;
use crate::server::Server;
use crate::status::ApiError;
use crate::wire::body;

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Priorities above all that users can give.
const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

pub(crate) async fn run(server: &Arc<Server>) -> Result<(), ApiError> {
    for namespace in NAMESPACES {
        ensure(server, "/api/v1/namespaces", json!({ "metadata": { "name": namespace } })).await?;
    }
    if ServedKind::find("", "v1", "services").is_some() {
        ensure(server, "/api/v1/namespaces/default/services", kubernetes_service(server)).await?;
        keep(server, "/api/v1/namespaces/default/endpoints", kubernetes_endpoints(server)).await?;
        let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
        keep(server, slices, kubernetes_slice(server)).await?;
    }
    ensure(server, "/apis/networking.k8s.io/v1/servicecidrs", service_cidr(server)).await?;
    // Together, so that they share the store's commits.
    let services = groups().into_iter().map(|(group, version)| api_service(group, version));
    let path = "/apis/apiregistration.k8s.io/v1/apiservices";
    futures::future::try_join_all(services.map(|service| ensure_with_status(server, path, service))).await?;
    for (name, value, description) in SYSTEM_CLASSES {
        let class = json!({ "metadata": { "name": name }, "value": value, "description": description });
        ensure(server, "/apis/scheduling.k8s.io/v1/priorityclasses", class).await?;
    }
    reconcile::run(server).await?;
    Ok(())
}

fn kubernetes_service(server: &Server) -> Value {
    json!({
        "metadata": { "name": "kubernetes", "labels": { "component": "apiserver", "provider": "kubernetes" } },
        "spec": {
            "type": "ClusterIP", "clusterIP": server.config.service_network.api_address().to_string(),
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": server.config.port }],
        },
    })
}

/// Where the API itself is behind its Service, for those who look for it there (monitoring).
fn kubernetes_endpoints(server: &Server) -> Value {
    json!({
        "metadata": {
            "name": "kubernetes",
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{
            "addresses": [{ "ip": server.config.pod_address.to_string() }],
            "ports": [{ "name": "https", "port": server.config.port, "protocol": "TCP" }],
        }],
    })
}

fn kubernetes_slice(server: &Server) -> Value {
    json!({
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [server.config.pod_address.to_string()],
            "conditions": { "ready": true },
        }],
        "ports": [{ "name": "https", "port": server.config.port, "protocol": "TCP" }],
    })
}

fn service_cidr(server: &Server) -> Value {
    let network = server.config.service_network;
    json!({ "metadata": { "name": "kubernetes" }, "spec": { "cidrs": [format!("{}/{}", network.base, network.prefix)] } })
}

/// Every group version of the catalog, each once.
fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<_> = drydock_kinds::catalog().iter().map(|spec| (spec.group, spec.version)).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// In which order clients that care ask for groups.
const PRIORITIES: &[(&str, u32)] = &[
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
    ("resource.k8s.io", 15_900),
];

/// Says that a group version is served by this API itself.
fn api_service(group: &str, version: &str) -> Value {
    let (_, priority) = *PRIORITIES.iter().find(|(known, _)| *known == group).unwrap_or(&("", 15_000));
    // Of two versions the newer one is preferred.
    let of_version = if (group, version) == ("autoscaling", "v2") { 30 } else { 15 };
    let condition = json!({
        "type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available",
        "lastTransitionTime": crate::meta::timestamp(jiff::Timestamp::now()),
    });
    json!({
        "metadata": {
            "name": format!("{version}.{group}"),
            "labels": { "kube-aggregator.kubernetes.io/automanaged": "onstart" },
        },
        "spec": { "group": group, "version": version, "groupPriorityMinimum": priority, "versionPriority": of_version },
        "status": { "conditions": [condition] },
    })
}

/// Creates the object unless one of its name exists already.
async fn ensure(server: &Arc<Server>, path: &str, object: Value) -> Result<(), ApiError> {
    match ask(server, Method::POST, path, &object).await {
        Err(error) if error.code == StatusCode::CONFLICT => Ok(()),
        outcome => outcome,
    }
}

/// Creates the object, or makes the one of its name be like it: what it says may be another after each start.
async fn keep(server: &Arc<Server>, path: &str, object: Value) -> Result<(), ApiError> {
    match ask(server, Method::POST, path, &object).await {
        Err(error) if error.code == StatusCode::CONFLICT => {
            replace(server, &format!("{path}/{}", crate::meta::name(&object)), &object).await
        }
        outcome => outcome,
    }
}

/// As [`ensure`], and gives a new object its status.
async fn ensure_with_status(server: &Arc<Server>, path: &str, object: Value) -> Result<(), ApiError> {
    match ask(server, Method::POST, path, &object).await {
        Err(error) if error.code == StatusCode::CONFLICT => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            let path = format!("{path}/{}/status", crate::meta::name(&object));
            ask(server, Method::PUT, &path, &object).await
        }
    }
}

/// Creates an object that may have been created by another start in between.
pub(crate) async fn create(server: &Arc<Server>, path: &str, object: &Value) -> Result<(), ApiError> {
    ensure(server, path, object.clone()).await
}

pub(crate) async fn replace(server: &Arc<Server>, path: &str, object: &Value) -> Result<(), ApiError> {
    ask(server, Method::PUT, path, object).await
}

pub(crate) async fn delete(server: &Arc<Server>, path: &str) -> Result<(), ApiError> {
    ask(server, Method::DELETE, path, &json!({})).await
}

async fn ask(server: &Arc<Server>, method: Method, path: &str, object: &Value) -> Result<(), ApiError> {
    let request = Request::builder().method(method).uri(format!("{path}?fieldManager=drydock"));
    let request = request.body(Body::from(object.to_string()));
    let mut request = request.map_err(|error| ApiError::internal(error.to_string()))?;
    request.extensions_mut().insert(User::engine());
    let response = server.clone().answer(request).await;
    let code = response.status();
    if code.is_success() {
        return Ok(());
    }
    let text = body::read(response.into_body(), server.config.max_body_bytes).await?;
    let why: Value = serde_json::from_slice(&text).unwrap_or_default();
    let why = format!("cannot write {path}: {}", why["message"].as_str().unwrap_or("no reason given"));
    let mut error = ApiError::internal(why);
    error.code = code;
    Err(error)
}
