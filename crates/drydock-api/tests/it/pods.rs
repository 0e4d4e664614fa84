//! The steps of a pod's life that go through the API: binding, status, grace, eviction, logs.

use std::sync::{Arc, Mutex};

use drydock_api::node::{LogOptions, LogStream, NodeBackend, NodeError, PodRef};
use futures::future::BoxFuture;
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{World, world, world_with};

async fn pod(world: &World) -> Api<Pod> {
    let pods = Api::<Pod>::namespaced(world.client.clone(), "default");
    let wanted = json!({ "metadata": { "name": "p" }, "spec": {
        "terminationGracePeriodSeconds": 5, "containers": [{ "name": "c", "image": "example/c:1" }] } });
    pods.create(&PostParams::default(), &serde_json::from_value(wanted).unwrap()).await.unwrap();
    pods
}

async fn bind(world: &World) -> Result<Value, kube::Error> {
    let body = json!({ "metadata": { "name": "p" }, "target": { "kind": "Node", "name": "n1" } });
    let request =
        Request::post("/api/v1/namespaces/default/pods/p/binding").body(body.to_string().into_bytes());
    world.client.request(request.unwrap()).await
}

#[tokio::test]
async fn a_new_pod_is_pending_and_has_an_account() {
    let world = world().await;
    let pod = pod(&world).await.get("p").await.unwrap();
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
    assert_eq!(pod.spec.unwrap().service_account_name.as_deref(), Some("default"));
}

#[tokio::test]
async fn a_pod_whose_account_exists_mounts_its_token() {
    let world = world().await;
    let spec = pod(&world).await.get("p").await.unwrap().spec.unwrap();
    let mount = &spec.containers[0].volume_mounts.as_ref().unwrap()[0];
    assert_eq!(mount.mount_path, "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(spec.volumes.unwrap()[0].name, mount.name);
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let world = world().await;
    let pods = pod(&world).await;
    bind(&world).await.unwrap();
    let bound = pods.get("p").await.unwrap();
    assert_eq!(bound.spec.unwrap().node_name.as_deref(), Some("n1"));
    let conditions = bound.status.unwrap().conditions.unwrap();
    assert!(
        conditions.iter().any(|condition| condition.type_ == "PodScheduled" && condition.status == "True")
    );
    assert!(bind(&world).await.unwrap_err().to_string().contains("already assigned"));
}

#[tokio::test]
async fn a_running_pod_gets_its_grace_and_the_nodes_last_word_removes_it() {
    let world = world().await;
    let pods = pod(&world).await;
    bind(&world).await.unwrap();
    let going = pods.delete("p", &DeleteParams::default()).await.unwrap().left().expect("it still runs");
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(5));
    let again = pods.delete("p", &DeleteParams::default()).await.unwrap().left().expect("it still runs");
    assert_eq!(
        again.metadata.deletion_timestamp, going.metadata.deletion_timestamp,
        "asking twice changes nothing"
    );
    let last_word = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete("p", &last_word).await.unwrap();
    assert!(pods.get_opt("p").await.unwrap().is_none());
}

#[tokio::test]
async fn a_pod_that_never_ran_goes_at_once() {
    let world = world().await;
    let pods = pod(&world).await;
    assert!(pods.delete("p", &DeleteParams::default()).await.unwrap().is_right());
}

#[tokio::test]
async fn a_deletion_meant_for_another_pod_of_the_same_name_is_refused() {
    let world = world().await;
    let pods = pod(&world).await;
    let other = DeleteParams::default()
        .preconditions(kube::api::Preconditions { uid: Some("another".into()), resource_version: None });
    assert!(pods.delete("p", &other).await.unwrap_err().to_string().contains("Precondition failed"));
}

#[tokio::test]
async fn the_nodes_status_arrives_and_leaves_the_rest_alone() {
    let world = world().await;
    let pods = pod(&world).await;
    let running = Patch::Merge(
        json!({ "status": { "phase": "Running", "podIP": "10.244.0.5" }, "spec": { "nodeName": "x" } }),
    );
    let pod = pods.patch_status("p", &PatchParams::default(), &running).await.unwrap();
    assert_eq!(
        (pod.status.unwrap().pod_ip.as_deref(), pod.spec.unwrap().node_name),
        (Some("10.244.0.5"), None)
    );
}

/// Answers with what it was asked.
#[derive(Default)]
struct Echo(Mutex<Option<LogOptions>>);

impl NodeBackend for Echo {
    fn logs(&self, pod: PodRef, options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        *self.0.lock().unwrap() = Some(options);
        Box::pin(async move {
            let lines = [format!("{}/{}\n", pod.namespace, pod.name), "second\n".to_owned()];
            let stream: LogStream = Box::pin(futures::stream::iter(lines.map(|line| Ok(line.into()))));
            Ok(stream)
        })
    }
}

#[tokio::test]
async fn logs_come_from_the_node_with_the_options_asked_for() {
    let node = Arc::new(Echo::default());
    let world = world_with(node.clone()).await;
    let pods = pod(&world).await;
    let options = LogParams { tail_lines: Some(3), timestamps: true, ..LogParams::default() };
    assert_eq!(pods.logs("p", &options).await.unwrap(), "default/p\nsecond\n");
    let seen = node.0.lock().unwrap().clone().unwrap();
    let expect =
        LogOptions { container: "c".into(), tail_lines: Some(3), timestamps: true, ..LogOptions::default() };
    assert_eq!(seen, expect);
    let wrong = LogParams { container: Some("x".into()), ..LogParams::default() };
    assert!(
        pods.logs("p", &wrong).await.unwrap_err().to_string().contains("container x is not valid for pod p")
    );
}

#[tokio::test]
async fn what_the_node_cannot_do_yet_is_refused_by_name() {
    let world = world().await;
    pod(&world).await;
    let request = Request::get("/api/v1/namespaces/default/pods/p/exec?command=sh").body(Vec::new()).unwrap();
    let error = world.client.request::<Value>(request).await.unwrap_err().to_string();
    assert!(error.contains("does not offer exec yet"), "{error}");
}
