//! Binding a pod to a node, and asking for its eviction.

use axum::body::Body;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::meta;
use crate::resource::admit::Ownership;
use crate::resource::delete::delete_object;
use crate::resource::options::{DeleteOptions, OptionsOf, WriteOptions};
use crate::resource::update::{Change, modify};
use crate::selector::Filter;
use crate::served::ServedKind;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::{self, Object};
use crate::wire::{self, body};

/// Sets the pod's node once; a scheduler's word.
pub(super) async fn bind(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let options = WriteOptions::of(cx, OptionsOf::Create)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let binding = body::decode(&bytes, body::media_type(&cx.headers))?.value;
    bind_to(cx, &options, &binding).await
}

/// As [`bind`], for a binding that names its pod itself.
pub(super) async fn bind_named(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let options = WriteOptions::of(cx, OptionsOf::Create)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let binding = body::decode(&bytes, body::media_type(&cx.headers))?.value;
    let mut pod = cx.clone();
    pod.kind = ServedKind::find("", "v1", "pods").ok_or_else(ApiError::no_such_path)?;
    pod.path.name = Some(meta::name(&binding).to_owned());
    pod.path.subresource = "binding".to_owned();
    bind_to(&pod, &options, &binding).await
}

async fn bind_to(cx: &Cx, options: &WriteOptions, binding: &Value) -> Result<Response<Body>, ApiError> {
    let node = binding["target"]["name"].as_str().unwrap_or("").to_owned();
    if node.is_empty() {
        return Err(ApiError::bad_request("a binding needs `target.name`, the node"));
    }
    let wanted_uid = meta::uid(binding).to_owned();
    let change = |live: &Object| {
        let pod = &live.value;
        let refuse = |why: String| Err(ApiError::conflict(&cx.kind, cx.path.name(), &why));
        if !wanted_uid.is_empty() && wanted_uid != meta::uid(pod) {
            return refuse(format!("the pod has another UID than {wanted_uid}"));
        }
        if meta::is_deleting(pod) {
            return refuse("the pod is being deleted, cannot be assigned to a host".to_owned());
        }
        match pod["spec"]["nodeName"].as_str() {
            Some(other) if !other.is_empty() => {
                return refuse(format!("pod is already assigned to node {other:?}"));
            }
            _ => {}
        }
        let mut object = pod.clone();
        object["spec"]["nodeName"] = node.as_str().into();
        mark_scheduled(&mut object, cx.now);
        Ok(Change { object, ownership: Ownership::Track })
    };
    // Through the binding door a pod's status changes too: its condition says that it is scheduled.
    modify(cx, options, change).await?;
    let done =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(wire::json(StatusCode::CREATED, done))
}

fn mark_scheduled(pod: &mut Value, now: Timestamp) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": meta::timestamp(now),
    });
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    match pod["status"]["conditions"].as_array_mut() {
        Some(list) => {
            list.retain(|condition| condition["type"] != "PodScheduled");
            list.push(condition);
        }
        None => pod["status"]["conditions"] = json!([condition]),
    }
}

/// A deletion that asks the disruption budgets first.
pub(super) async fn evict(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let eviction = body::decode(&bytes, body::media_type(&cx.headers))?.value;
    let options = DeleteOptions::of(cx, &eviction["deleteOptions"])?;
    let pod = cx.load()?.value;
    check_budgets(cx, &pod)?;
    delete_object(cx, &options).await?;
    let done =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(wire::json(StatusCode::CREATED, done))
}

fn check_budgets(cx: &Cx, pod: &Value) -> Result<(), ApiError> {
    let Some(kind) = ServedKind::find("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
    let prefix = kind.prefix_in(cx.path.namespace.as_deref());
    let page = cx.server.store.list(drydock_store::List { prefix: &prefix, ..Default::default() });
    for item in page.map(|page| page.items).unwrap_or_default() {
        let budget = stored::decode(&item.entry)?.value;
        let selects = selects(&budget["spec"]["selector"], &kind, pod);
        let allowed = budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0);
        let ready = pod["status"]["conditions"].as_array().into_iter().flatten();
        let healthy = ready.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        if selects && healthy && allowed <= 0 {
            let why = "Cannot evict pod as it would violate the pod's disruption budget.";
            return Err(ApiError::disruption_budget(why));
        }
    }
    Ok(())
}

/// Equality terms only; a budget with expressions counts as selecting, which errs towards keeping pods.
fn selects(selector: &Value, kind: &ServedKind, pod: &Value) -> bool {
    let labels = selector["matchLabels"].as_object();
    let terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    Filter::labels(&terms.join(",")).is_ok_and(|filter| filter.matches(kind, pod))
}
