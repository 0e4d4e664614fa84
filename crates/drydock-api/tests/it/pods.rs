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
    let last =
        pods.delete("p", &DeleteParams::default()).await.unwrap().left().expect("the pod as it was last");
    assert_eq!(last.metadata.deletion_grace_period_seconds, Some(0));
    assert!(pods.get_opt("p").await.unwrap().is_none());
}

#[tokio::test]
async fn a_deletion_meant_for_another_pod_of_the_same_name_is_refused() {
    let world = world().await;
    let pods = pod(&world).await;
    let other = DeleteParams::default()
        .preconditions(kube::api::Preconditions { uid: Some("another".into()), resource_version: None });
    assert!(
        pods.delete("p", &other).await.unwrap_err().to_string().contains("does not match the UID in record")
    );
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
    bind(&world).await.unwrap();
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

#[track_caller]
fn check_refused(answer: Result<Value, kube::Error>, expect: &str) {
    let error = answer.unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
}

async fn exec(world: &World, query: &str, headers: &[(&str, &str)]) -> Result<Value, kube::Error> {
    let mut request = Request::get(format!("/api/v1/namespaces/default/pods/p/exec?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.client.request(request.body(Vec::new()).unwrap()).await
}

#[tokio::test]
async fn a_command_is_refused_for_what_is_wrong_first() {
    let world = world().await;
    check_refused(exec(&world, "command=sh", &[]).await, "pods \"p\" not found");
    pod(&world).await;
    check_refused(exec(&world, "container=x", &[]).await, "container x is not valid for pod p");
    check_refused(exec(&world, "command=sh", &[]).await, "pod p does not have a host assigned");
    bind(&world).await.unwrap();
    check_refused(exec(&world, "command=sh", &[]).await, "Upgrade request required");
    let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v9")];
    check_refused(
        exec(&world, "command=sh", &spdy).await,
        "client supports [v9], server accepts [v4.channel",
    );
    let spdy = [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
    ];
    check_refused(exec(&world, "command=sh", &spdy).await, "this API has no node");
}

#[tokio::test]
async fn who_may_only_read_pods_runs_no_commands_in_them() {
    let world = world().await;
    pod(&world).await;
    let reader = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "reader" },
        "rules": [{ "apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"] }] });
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann" }] });
    for (plural, object) in [("clusterroles", reader), ("clusterrolebindings", binding)] {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{plural}");
        let request = Request::post(path).body(object.to_string().into_bytes()).unwrap();
        world.client.request::<Value>(request).await.unwrap();
    }
    let ann = world.api.client_as("ann", ["people"]);
    let request = Request::get("/api/v1/namespaces/default/pods/p/exec?command=sh").body(Vec::new()).unwrap();
    let refused = ann.request::<Value>(request).await;
    check_refused(refused, "User \"ann\" cannot create resource \"pods/exec\"");
}

#[tokio::test]
async fn the_options_of_a_log_are_checked_as_a_real_server_does() {
    let world = world().await;
    pod(&world).await;
    let log = async |query: &str| {
        let request = Request::get(format!("/api/v1/namespaces/default/pods/p/log?{query}"));
        world.client.request_text(request.body(Vec::new()).unwrap()).await.map(Value::from)
    };
    check_refused(
        log("tailLines=-1").await,
        "tailLines: Invalid value: -1: must be greater than or equal to 0",
    );
    check_refused(log("limitBytes=0").await, "limitBytes: Invalid value: 0: must be greater than 0");
    let both = "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z";
    check_refused(log(both).await, "at most one of `sinceTime` or `sinceSeconds` may be specified");
    check_refused(log("stream=Both").await, "stream: Unsupported value: \"Both\"");
    assert_eq!(log("").await.unwrap(), "", "a pod without a node has written nothing");
}

#[tokio::test]
async fn a_pod_is_resized_through_its_own_door_only() {
    let world = world().await;
    let pods = Api::<Pod>::namespaced(world.client.clone(), "default");
    let requests = |cpu: &str| json!([{ "name": "c", "image": "example/c:1", "resources": { "requests": { "cpu": cpu } } }]);
    let wanted = json!({ "metadata": { "name": "p" }, "spec": { "containers": requests("100m") } });
    pods.create(&PostParams::default(), &serde_json::from_value(wanted).unwrap()).await.unwrap();
    let patch = |spec: Value| Patch::Strategic(json!({ "spec": spec }));
    let more = patch(json!({ "containers": requests("200m"), "activeDeadlineSeconds": 5 }));
    let params = PatchParams::default();
    let refused = pods.patch("p", &params, &more).await.map(|_| Value::Null);
    check_refused(refused, "pod updates may not change fields other than");
    let resized = pods.patch_subresource("resize", "p", &params, &more).await.unwrap();
    let spec = resized.spec.unwrap();
    let asked = spec.containers[0].resources.as_ref().unwrap().requests.as_ref().unwrap();
    assert_eq!((asked["cpu"].0.as_str(), spec.active_deadline_seconds), ("200m", None));
    assert_eq!(resized.metadata.generation, Some(2));
    let limits = json!([{ "name": "c", "resources": { "limits": { "cpu": "200m", "memory": "1Gi" }, "requests": { "memory": "1Gi" } } }]);
    let refused =
        pods.patch_subresource("resize", "p", &params, &patch(json!({ "containers": limits }))).await;
    check_refused(refused.map(|_| Value::Null), "Pod QOS Class may not change as a result of resizing");
    let range = json!({ "metadata": { "name": "r" }, "spec": { "limits": [{ "type": "Container", "max": { "cpu": "300m" } }] } });
    let request =
        Request::post("/api/v1/namespaces/default/limitranges").body(range.to_string().into_bytes());
    world.client.request::<Value>(request.unwrap()).await.unwrap();
    let refused = pods
        .patch_subresource("resize", "p", &params, &patch(json!({ "containers": requests("400m") })))
        .await;
    check_refused(refused.map(|_| Value::Null), "maximum cpu usage per Container is 300m");
}
