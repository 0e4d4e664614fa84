//! The paths of a kubelet that make sense for our node: health, its pods, what they use, and their logs.
//!
//! What a kubelet offers beyond that is refused by name.

use std::fmt::Write as _;

use axum::body::Body;
use drydock_store::List;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::target::Name;
use super::{is_read, with_slash};
use crate::meta;
use crate::node::{Sample, Usage};
use crate::request::ResourcePath;
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::subresource::{log, running};
use crate::{stored, wire};

const KUBELET_PORT: &str = "10250";

pub(super) async fn answer(
    cx: Cx,
    name: &Name,
    permit: Permit,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let key = cx.kind.key("", &name.name);
    cx.server.store.get(&key).ok_or_else(|| ApiError::not_found("", "nodes", &name.name))?;
    if !matches!(name.port.as_str(), "" | KUBELET_PORT) {
        return Err(ApiError::not_implemented("connections to other ports of its node than the kubelet's"));
    }
    if !is_read(request.method()) {
        return Err(ApiError::method_not_allowed());
    }
    if cx.path.proxied.is_empty() {
        return Ok(with_slash(&request));
    }
    cx.server.node.check().map_err(|error| running::refusal(&cx, error))?;
    let path = cx.path.proxied.clone();
    match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["healthz"] | ["healthz", "ping" | "log" | "syncloop"] => Ok(text("ok")),
        ["pods"] => list(&cx, &name.name, |_| true),
        ["runningpods"] => list(&cx, &name.name, |pod| pod["status"]["phase"] == "Running"),
        ["metrics"] => Ok(prometheus(running_lines(&cx, &name.name)?)),
        ["metrics", "resource" | "cadvisor"] => Ok(prometheus(usage_lines(&*sample(&cx)?))),
        ["stats", "summary"] => {
            Ok(wire::json_as(StatusCode::OK, &summary(&*sample(&cx)?), "application/json"))
        }
        ["containerLogs", namespace, pod, container] => {
            log::answer(as_log(cx, namespace, pod, container)?, permit).await
        }
        _ => Err(ApiError::not_implemented(&format!("the path {path:?} of a kubelet"))),
    }
}

fn text(body: &'static str) -> Response<Body> {
    let mut response = wire::bytes_as(StatusCode::OK, body, "text/plain; charset=utf-8");
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn prometheus(lines: String) -> Response<Body> {
    wire::bytes_as(StatusCode::OK, lines, "text/plain; version=0.0.4; charset=utf-8")
}

fn pods(cx: &Cx, node: &str) -> Result<Vec<Value>, ApiError> {
    let page = cx.server.store.list(List { prefix: "core/pods/", ..List::default() });
    let page = page.map_err(|error| ApiError::internal(error.to_string()))?;
    let mut found = Vec::new();
    for item in page.items {
        let pod = stored::decode(&item.entry)?.value;
        if pod["spec"]["nodeName"] == node {
            found.push(pod);
        }
    }
    Ok(found)
}

fn list(cx: &Cx, node: &str, wanted: fn(&Value) -> bool) -> Result<Response<Body>, ApiError> {
    let items: Vec<Value> = pods(cx, node)?.into_iter().filter(wanted).collect();
    let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items });
    Ok(wire::json_as(StatusCode::OK, &list, "application/json"))
}

/// The same as `pods/NAME/log`, by the path kubelets have for it.
fn as_log(cx: Cx, namespace: &str, pod: &str, container: &str) -> Result<Cx, ApiError> {
    let kind = cx.server.kind("", "v1", "pods").ok_or_else(ApiError::no_such_path)?;
    let path = ResourcePath {
        version: "v1".to_owned(),
        namespace: Some(namespace.to_owned()),
        plural: "pods".to_owned(),
        name: Some(pod.to_owned()),
        subresource: "log".to_owned(),
        ..ResourcePath::default()
    };
    Ok(Cx { kind, path, query: cx.query.clone().with("container", container), ..cx })
}

fn sample(cx: &Cx) -> Result<std::sync::Arc<Sample>, ApiError> {
    let none = || ApiError::unavailable("metrics are not available yet; try again in a few seconds");
    cx.server.node.sample().ok_or_else(none)
}

fn running_lines(cx: &Cx, node: &str) -> Result<String, ApiError> {
    let pods = pods(cx, node)?;
    let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
    let containers = running.clone().map(|pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        statuses.filter(|status| status["state"]["running"].is_object()).count()
    });
    Ok(format!(
        "# HELP kubelet_node_name The node's name. The count is always 1.\n\
         # TYPE kubelet_node_name gauge\n\
         kubelet_node_name{{node=\"{node}\"}} 1\n\
         # HELP kubelet_running_containers Number of containers currently running\n\
         # TYPE kubelet_running_containers gauge\n\
         kubelet_running_containers{{container_state=\"running\"}} {}\n\
         # HELP kubelet_running_pods Number of pods that have a running pod sandbox\n\
         # TYPE kubelet_running_pods gauge\n\
         kubelet_running_pods {}\n",
        containers.sum::<usize>(),
        running.count(),
    ))
}

/// Memory only: processor time is sampled as a rate, and these are sums elsewhere.
fn usage_lines(sample: &Sample) -> String {
    let at = sample.at.as_millisecond();
    let mut lines = String::new();
    let head = |lines: &mut String, name: &str, what: &str| {
        let _ =
            write!(lines, "# HELP {name} Current working set of the {what} in bytes\n# TYPE {name} gauge\n");
    };
    head(&mut lines, "container_memory_working_set_bytes", "container");
    for pod in &sample.pods {
        for (container, usage) in &pod.containers {
            let (namespace, pod, used) = (&pod.namespace, &pod.name, usage.memory_bytes);
            let _ = writeln!(
                lines,
                "container_memory_working_set_bytes{{container=\"{container}\",namespace=\"{namespace}\",pod=\"{pod}\"}} {used} {at}"
            );
        }
    }
    head(&mut lines, "node_memory_working_set_bytes", "node");
    let _ = writeln!(lines, "node_memory_working_set_bytes {} {at}", sample.node_usage.memory_bytes);
    head(&mut lines, "pod_memory_working_set_bytes", "pod");
    for pod in &sample.pods {
        let used: u64 = pod.containers.iter().map(|(_, usage)| usage.memory_bytes).sum();
        let (namespace, pod) = (&pod.namespace, &pod.name);
        let _ = writeln!(
            lines,
            "pod_memory_working_set_bytes{{namespace=\"{namespace}\",pod=\"{pod}\"}} {used} {at}"
        );
    }
    lines
}

fn summary(sample: &Sample) -> Value {
    let at = meta::timestamp(sample.at);
    let shown = |usage: Usage| {
        json!({
            "cpu": { "time": at, "usageNanoCores": usage.cpu_nanocores },
            "memory": { "time": at, "workingSetBytes": usage.memory_bytes },
        })
    };
    let with = |mut fields: Value, usage: Usage| {
        let shown = shown(usage);
        (fields["cpu"], fields["memory"]) = (shown["cpu"].clone(), shown["memory"].clone());
        fields
    };
    let pods: Vec<Value> = sample
        .pods
        .iter()
        .map(|pod| {
            let containers: Vec<Value> =
                pod.containers.iter().map(|(name, usage)| with(json!({ "name": name }), *usage)).collect();
            let sum =
                pod.containers.iter().fold(Usage { cpu_nanocores: 0, memory_bytes: 0 }, |sum, (_, one)| {
                    Usage {
                        cpu_nanocores: sum.cpu_nanocores + one.cpu_nanocores,
                        memory_bytes: sum.memory_bytes + one.memory_bytes,
                    }
                });
            let reference = json!({ "name": pod.name, "namespace": pod.namespace });
            with(json!({ "podRef": reference, "containers": containers }), sum)
        })
        .collect();
    json!({ "node": with(json!({ "nodeName": sample.node }), sample.node_usage), "pods": pods })
}
