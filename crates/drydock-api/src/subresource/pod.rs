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
use crate::served::ServedKind;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::{self, Object};
use crate::wire::{self, body};

/// When to ask again for an eviction while a budget's controller is behind.
const RETRY_S: u64 = 10;

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
        let refuse = |why: String| Err(ApiError::conflict_of("", "pods/binding", cx.path.name(), &why));
        if !wanted_uid.is_empty() && wanted_uid != meta::uid(pod) {
            return refuse(format!("the pod has another UID than {wanted_uid}"));
        }
        if meta::is_deleting(pod) {
            return refuse(format!("pod {} is being deleted, cannot be assigned to a host", cx.path.name()));
        }
        match pod["spec"]["nodeName"].as_str() {
            Some(other) if !other.is_empty() => {
                return refuse(format!("pod {} is already assigned to node {other:?}", cx.path.name()));
            }
            _ => {}
        }
        let mut object = pod.clone();
        object["spec"]["nodeName"] = node.as_str().into();
        mark_scheduled(&mut object, cx.now);
        // Nobody owns where a pod runs: no manager could give it up.
        Ok(Change { object, ownership: Ownership::Given })
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
    if !matches!(meta::name(&eviction), name if name == cx.path.name() || name.is_empty()) {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = DeleteOptions::of(cx, &eviction["deleteOptions"])?;
    let write = WriteOptions::of(cx, OptionsOf::Create)?;
    options.dry_run |= write.dry_run;
    let pod = cx.load()?.value;
    // Whoever is granted an eviction is counted before the next one asks.
    let _one_at_a_time = cx.server.evictions.lock().await;
    if let Some(budget) = budget_that_counts(cx, &pod)? {
        grant(cx, &budget, &pod, &WriteOptions { dry_run: options.dry_run, ..write }).await?;
    }
    delete_object(cx, &options).await?;
    let done =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(wire::json(StatusCode::CREATED, done))
}

/// The one budget that an eviction of this pod uses up.
fn budget_that_counts(cx: &Cx, pod: &Value) -> Result<Option<Value>, ApiError> {
    let over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
    if over || meta::is_deleting(pod) {
        return Ok(None);
    }
    let prefix = format!("policy/poddisruptionbudgets/{}/", meta::namespace(pod));
    let page = cx.server.store.list(drydock_store::List { prefix: &prefix, ..Default::default() });
    let mut budgets = Vec::new();
    for item in page.map(|page| page.items).unwrap_or_default() {
        let budget = stored::decode(&item.entry)?.value;
        let selector = &budget["spec"]["selector"];
        if selector.is_object() && drydock_kinds::selector_matches(selector, &pod["metadata"]["labels"]) {
            budgets.push(budget);
        }
    }
    match budgets.len() {
        0 | 1 => Ok(budgets.pop()),
        _ => Err(ApiError::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
    }
}

/// Takes one disruption from the budget, unless the pod is one that does not count.
async fn grant(cx: &Cx, budget: &Value, pod: &Value, options: &WriteOptions) -> Result<(), ApiError> {
    let status = &budget["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let healthy = conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    if !healthy && (always || count("currentHealthy") >= count("desiredHealthy")) {
        return Ok(());
    }
    let refused = "Cannot evict pod as it would violate the pod's disruption budget.";
    let name = meta::name(budget);
    if count("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(ApiError::disruption_budget(refused, &cause, Some(RETRY_S)));
    }
    let allowed = count("disruptionsAllowed");
    if allowed <= 0 {
        let (needs, has) = (count("desiredHealthy"), count("currentHealthy"));
        let cause =
            format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently");
        return Err(ApiError::disruption_budget(refused, &cause, None));
    }
    if options.dry_run {
        return Ok(());
    }
    let mut door = cx.clone();
    door.kind =
        ServedKind::find("policy", "v1", "poddisruptionbudgets").ok_or_else(ApiError::no_such_path)?;
    (door.path.name, door.path.subresource) = (Some(name.to_owned()), "status".to_owned());
    let (pod, now) = (meta::name(pod).to_owned(), meta::timestamp(cx.now));
    let take = |live: &Object| {
        let mut object = live.value.clone();
        object["status"]["disruptionsAllowed"] = (allowed - 1).into();
        object["status"]["disruptedPods"][pod.as_str()] = now.as_str().into();
        Ok(Change { object, ownership: Ownership::Track })
    };
    modify(&door, options, take).await?;
    Ok(())
}
