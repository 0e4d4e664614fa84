//! A node without containers: pods bound to it run and are ready at once, unless they ask not to be.
//!
//! An ordinary client, so that drydock and a real control plane get the same. Annotations of a pod steer it:
//! `conformance/never-ready` keeps it unready, `conformance/ends: Failed` (or `Succeeded`) ends it with that phase. Pods
//! that are not to be restarted succeed.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Container, Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const NODE: &str = "node-1";
const ADDRESS: &str = "10.244.255.1";

/// Registers the node and runs its pods until told to stop.
pub async fn pretend(client: Client, stop: CancellationToken) -> Result<(), kube::Error> {
    register(&client).await?;
    let pods: Api<Pod> = Api::all(client.clone());
    let bound = watcher::Config::default().fields(&format!("spec.nodeName={NODE}"));
    let mut events = watcher(pods, bound).boxed();
    let mut number = 1_u32;
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        if let Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = event {
            number += 1;
            see(&client, &pod, number).await;
        }
    }
    Ok(())
}

/// What the node does about a pod. It may be gone by now, which is fine.
async fn see(client: &Client, pod: &Pod, number: u32) {
    let meta = &pod.metadata;
    let (Some(namespace), Some(name)) = (meta.namespace.as_deref(), meta.name.as_deref()) else { return };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let started = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    if meta.deletion_timestamp.is_some() {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let _gone = pods.delete(name, &at_once).await;
    } else if !started {
        let address = format!("10.244.{}.{}", number / 250, number % 250 + 2);
        let status = json!({ "status": status(pod, &address) });
        let _gone = pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await;
    }
}

fn status(pod: &Pod, address: &str) -> Value {
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let ends = annotations.get("conformance/ends").map(String::as_str);
    let once = spec.restart_policy.as_deref().is_some_and(|policy| policy != "Always");
    let phase = ends.unwrap_or(if once { "Succeeded" } else { "Running" });
    let ready = phase == "Running" && !annotations.contains_key("conformance/never-ready");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let truth = |holds: bool| if holds { "True" } else { "False" };
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({ "type": kind, "status": truth(holds), "lastTransitionTime": now });
        if !holds {
            condition["reason"] =
                json!(if phase == "Succeeded" { "PodCompleted" } else { "ContainersNotReady" });
        }
        condition
    };
    let container = |container: &Container| {
        let state = match phase {
            "Running" => json!({ "running": { "startedAt": now } }),
            "Succeeded" => {
                json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now } })
            }
            _ => {
                json!({ "terminated": { "exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now } })
            }
        };
        json!({
            "name": container.name, "image": container.image, "imageID": "", "containerID": "pretended://1",
            "ready": ready, "started": phase == "Running", "restartCount": 0, "state": state,
        })
    };
    json!({
        "phase": phase, "podIP": address, "podIPs": [{ "ip": address }], "hostIP": ADDRESS, "hostIPs": [{ "ip": ADDRESS }],
        "startTime": now,
        "conditions": [
            condition("Initialized", true), condition("Ready", ready), condition("ContainersReady", ready),
            { "type": "PodScheduled", "status": "True", "lastTransitionTime": now },
        ],
        "containerStatuses": spec.containers.iter().map(container).collect::<Vec<_>>(),
    })
}

async fn register(client: &Client) -> Result<(), kube::Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut node = Node::default();
    node.metadata.name = Some(NODE.to_owned());
    node.metadata.labels = Some([("kubernetes.io/hostname".to_owned(), NODE.to_owned())].into());
    match nodes.create(&PostParams::default(), &node).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        made => drop(made?),
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let room = json!({ "cpu": "64", "memory": "64Gi", "pods": "2000", "ephemeral-storage": "64Gi" });
    let status = json!({ "status": {
        "capacity": room, "allocatable": room,
        "addresses": [{ "type": "InternalIP", "address": ADDRESS }, { "type": "Hostname", "address": NODE }],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Pretended", "message": "pods are ready at once",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
        "nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "pretended://1", "kernelVersion": "6",
            "kubeProxyVersion": "", "kubeletVersion": "v1.36.0", "machineID": "", "operatingSystem": "linux",
            "osImage": "none", "systemUUID": "",
        },
    } });
    nodes.patch_status(NODE, &PatchParams::default(), &Patch::Strategic(status)).await?;
    untaint(&nodes).await
}

/// A node is born tainted as not ready; the node controller takes that away, if there is one, but not at once.
async fn untaint(nodes: &Api<Node>) -> Result<(), kube::Error> {
    let free = json!({ "spec": { "taints": null } });
    nodes.patch(NODE, &PatchParams::default(), &Patch::Merge(free)).await.map(drop)
}
