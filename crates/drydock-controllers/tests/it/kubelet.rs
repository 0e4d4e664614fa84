//! A node without containers: pods bound to it run and are ready at once, unless they ask not to be.
//!
//! A pod annotated `test/never-ready` stays unready, one annotated `test/ends` ends with that phase.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub const NODE: &str = "node-1";

pub async fn run(client: Client, shutdown: CancellationToken) {
    register(&client).await;
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = watcher(pods, watcher::Config::default()).boxed();
    let mut addresses = 10;
    while let Some(Some(event)) = shutdown.run_until_cancelled(events.next()).await {
        let (watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = event.unwrap() else { continue };
        if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(NODE) {
            continue;
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap());
        let name = pod.metadata.name.as_deref().unwrap();
        if pod.metadata.deletion_timestamp.is_some() {
            let _gone_already =
                api.delete(name, &DeleteParams { grace_period_seconds: Some(0), ..Default::default() }).await;
        } else if pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).is_none() {
            addresses += 1;
            start(&api, &pod, &format!("10.244.0.{addresses}")).await;
        }
    }
}

async fn register(client: &Client) {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({ "metadata": { "name": NODE } });
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    let status = json!({ "status": {
        "allocatable": { "cpu": "4", "memory": "4Gi", "pods": "100" },
        "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn start(api: &Api<Pod>, pod: &Pod, address: &str) {
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let ready = if annotations.contains_key("test/never-ready") { "False" } else { "True" };
    let phase = annotations.get("test/ends").map_or("Running", String::as_str);
    let status = json!({ "status": {
        "phase": phase, "podIP": address,
        "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": jiff::Timestamp::now().to_string() }],
    } });
    let name = pod.metadata.name.as_deref().unwrap();
    // The pod may have been deleted meanwhile.
    let _gone = api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await;
}
