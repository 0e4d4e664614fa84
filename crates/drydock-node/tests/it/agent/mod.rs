//! Pods of the API become processes, and the API hears how they are.

mod cluster;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::server;
use cluster::{SOON, cluster, container, is_ready};

#[tokio::test]
async fn a_pod_runs_prints_and_succeeds() {
    let Some(cluster) = cluster().await else { return };
    cluster
        .run(
            "job",
            "echo ahoy; echo done >/dev/termination-log",
            json!({}),
            json!({"restartPolicy": "Never"}),
        )
        .await;
    let pod = cluster.until_phase("job", "Succeeded").await;
    let ended = &container(&pod)["state"]["terminated"];
    assert_eq!(
        (&ended["exitCode"], &ended["reason"], &ended["message"]),
        (&json!(0), &json!("Completed"), &json!("done\n"))
    );
    assert_eq!(cluster.log("job").await, "ahoy\n");
    cluster.end().await;
}

#[tokio::test]
async fn the_machine_is_a_ready_node() {
    let Some(cluster) = cluster().await else { return };
    let api: Api<Node> = Api::all(cluster.client.clone());
    let ready = async {
        loop {
            let node = api.get_opt("here").await.unwrap();
            let conditions = node.and_then(|n| n.status).and_then(|s| s.conditions).unwrap_or_default();
            if conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, ready).await.expect("the node should be ready");
    cluster.end().await;
}

#[tokio::test]
async fn configuration_reaches_the_container_and_changes_in_it() {
    let Some(cluster) = cluster().await else { return };
    let config =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"mode": "one"}});
    cluster.create::<ConfigMap>(config).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec"}, "stringData": {"pw": "hunter2"}});
    cluster.create::<Secret>(secret).await;
    let script =
        "echo $MODE $URL $POD; cat /config/mode; until [[ $(< /config/mode) == two ]]; do sleep 0.1; done";
    let env = json!([
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "mode"}}},
        {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "pw"}}},
        {"name": "URL", "value": "db://:$(PW)@x"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let mounts = json!([{"name": "config", "mountPath": "/config"}]);
    let spec =
        json!({"restartPolicy": "Never", "volumes": [{"name": "config", "configMap": {"name": "cm"}}]});
    cluster.run("conf", script, json!({"env": env, "volumeMounts": mounts}), spec).await;
    cluster.until_phase("conf", "Running").await;
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let change = Patch::Merge(json!({"data": {"mode": "two"}}));
    api.patch("cm", &PatchParams::default(), &change).await.unwrap();
    cluster.until_phase("conf", "Succeeded").await;
    assert_eq!(cluster.log("conf").await.lines().next(), Some("one db://:hunter2@x conf"));
    cluster.end().await;
}

#[tokio::test]
async fn a_missing_secret_holds_the_container_until_it_exists() {
    let Some(cluster) = cluster().await else { return };
    let env = json!([{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "late", "key": "pw"}}}]);
    cluster.run("wait", "echo $PW", json!({"env": env}), json!({"restartPolicy": "Never"})).await;
    let held = |pod: &_| container(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError";
    let pod = cluster.until("wait", "held", held).await;
    assert_eq!(container(&pod)["state"]["waiting"]["message"], "secret \"late\" not found");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"pw": "x1"}});
    cluster.create::<Secret>(secret).await;
    cluster.until_phase("wait", "Succeeded").await;
    assert_eq!(cluster.log("wait").await, "x1\n");
    cluster.end().await;
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let Some(cluster) = cluster().await else { return };
    cluster.run("img", "true", json!({"image": "nobody:1"}), json!({})).await;
    let backs_off = |pod: &_| container(pod)["state"]["waiting"]["reason"] == "ImagePullBackOff";
    let pod = cluster.until("img", "without image", backs_off).await;
    assert!(
        container(&pod)["state"]["waiting"]["message"].as_str().unwrap().contains("there is no `nobody:1`")
    );
    cluster.delete("img").await;
    cluster.end().await;
}

#[tokio::test]
async fn a_crashing_container_is_restarted_once_and_then_backs_off() {
    let Some(cluster) = cluster().await else { return };
    cluster
        .run(
            "crash",
            "echo boom; exit 3",
            json!({"terminationMessagePolicy": "FallbackToLogsOnError"}),
            json!({}),
        )
        .await;
    let backs_off = |pod: &_| container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = cluster.until("crash", "backing off", backs_off).await;
    let status = container(&pod);
    assert_eq!(status["restartCount"], 1);
    let last = &status["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"], &last["message"]),
        (&json!(3), &json!("Error"), &json!("boom\n"))
    );
    cluster.delete("crash").await;
    cluster.end().await;
}

#[tokio::test]
async fn init_containers_run_first_and_leave_their_files() {
    let Some(cluster) = cluster().await else { return };
    let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
    let init = json!([{"name": "i", "image": "programs:1", "command": ["bash", "-c", "echo made > /shared/file"], "volumeMounts": mount}]);
    let spec = json!({"restartPolicy": "Never", "initContainers": init, "volumes": [{"name": "shared", "emptyDir": {}}]});
    cluster.run("init", "cat /shared/file", json!({"volumeMounts": mount}), spec).await;
    cluster.until_phase("init", "Succeeded").await;
    assert_eq!(cluster.log("init").await, "made\n");
    cluster.end().await;
}

#[tokio::test]
async fn readiness_follows_the_probe() {
    let Some(cluster) = cluster().await else { return };
    let probe = json!({"exec": {"command": ["bash", "-c", "[[ $(ls -l /tmp/ready) == -rw* ]]"]}, "periodSeconds": 1, "failureThreshold": 1});
    let script = "touch /tmp/ready; sleep 3; chmod 000 /tmp/ready; sleep 1000";
    let pod = cluster.run("ready", script, json!({"readinessProbe": probe}), json!({})).await;
    assert!(!is_ready(&pod));
    cluster.until_ready("ready").await;
    // The script takes the file away again.
    cluster.until("ready", "unready", |pod| !is_ready(pod)).await;
    cluster.delete("ready").await;
    cluster.end().await;
}

#[tokio::test]
async fn a_pod_that_runs_gets_other_limits_without_a_restart_unless_it_asks_for_one() {
    let Some(cluster) = cluster().await else { return };
    let policy = json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
    let first = json!({"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}, "resizePolicy": policy});
    cluster.run("grow", "trap 'exit 0' TERM; sleep 1000 & wait", first, json!({})).await;
    let has = |pod: &_| (container(pod)["resources"].clone(), container(pod)["restartCount"].clone());
    let runs = |pod: &_| container(pod)["state"]["running"].is_object();
    cluster.until("grow", "running", runs).await;
    let resize = async |limits: Value, restarts: i64| {
        let patch = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": limits, "requests": limits}}]}});
        let done = cluster
            .pods()
            .patch_subresource("resize", "grow", &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        done.unwrap();
        let wanted = json!({"limits": limits, "requests": limits});
        cluster
            .until("grow", "resized", |pod| runs(pod) && has(pod) == (wanted.clone(), json!(restarts)))
            .await;
    };
    resize(json!({"cpu": "250m", "memory": "64Mi"}), 0).await;
    resize(json!({"cpu": "250m", "memory": "96Mi"}), 1).await;
    cluster.delete("grow").await;
    cluster.end().await;
}

#[tokio::test]
async fn a_container_that_fails_liveness_is_restarted() {
    let Some(cluster) = cluster().await else { return };
    let probe = json!({"tcpSocket": {"port": 81}, "periodSeconds": 1, "failureThreshold": 1});
    cluster
        .run("live", "trap 'exit 0' TERM; sleep 1000 & wait", json!({"livenessProbe": probe}), json!({}))
        .await;
    let restarted = |pod: &_| container(pod)["restartCount"].as_i64() >= Some(1);
    cluster.until("live", "restarted", restarted).await;
    cluster.delete("live").await;
    cluster.end().await;
}

#[tokio::test]
async fn a_deleted_pod_gets_its_signal_and_its_hook() {
    let Some(cluster) = cluster().await else { return };
    let mounts = json!([{"name": "out", "mountPath": "/out"}]);
    let out = tempfile::tempdir().unwrap();
    let hook = json!({"preStop": {"exec": {"command": ["bash", "-c", "echo hook >> /out/story"]}}});
    let spec = json!({"volumes": [{"name": "out", "hostPath": {"path": out.path()}}]});
    let script = "trap 'echo term >> /out/story; exit 0' TERM; sleep 1000 & wait";
    cluster.run("end", script, json!({"lifecycle": hook, "volumeMounts": mounts}), spec).await;
    cluster.until_ready("end").await;
    cluster.delete("end").await;
    assert_eq!(std::fs::read_to_string(out.path().join("story")).unwrap(), "hook\nterm\n");
    cluster.end().await;
}

#[tokio::test]
async fn a_restarted_daemon_adopts_its_pods_and_removes_deleted_ones() {
    let Some(mut cluster) = cluster().await else { return };
    cluster.run("stays", "echo up; sleep 1000", json!({}), json!({})).await;
    cluster.run("goes", "sleep 1000", json!({}), json!({})).await;
    let before = container(&cluster.until_ready("stays").await)["containerID"].clone();
    cluster.until_ready("goes").await;
    cluster.stop_daemon().await;
    let now = kube::api::DeleteParams::default().grace_period(0);
    cluster.pods().delete("goes", &now).await.unwrap();
    cluster.start_daemon().await;
    let gone = async {
        while cluster.world.client.list().await.unwrap().sandboxes.len() > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the orphan should be removed");
    let status = container(&cluster.until_ready("stays").await);
    assert_eq!((&status["containerID"], &status["restartCount"]), (&before, &json!(0)));
    assert_eq!(cluster.log("stays").await, "up\n");
    cluster.delete("stays").await;
    assert_eq!(cluster.world.client.list().await.unwrap().sandboxes.len(), 0);
    cluster.end().await;
}

#[tokio::test]
async fn a_service_is_found_by_name_and_the_ingress_leads_to_its_pod() {
    let Some(cluster) = cluster().await else { return };
    let answer = "HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\nconnection: close\\r\\n\\r\\nahoy!";
    cluster.run("web", &server(8080, answer), json!({}), json!({})).await;
    let ip = cluster.until_ready("web").await.status.unwrap().pod_ip.unwrap();
    publish(&cluster, "web", &ip).await;
    let rule = json!({"host": "shop.localhost", "http": {"paths": [{"path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"ingressClassName": "drydock", "rules": [rule]}});
    cluster.create::<Ingress>(ingress).await;
    // By name and cluster IP, from another pod.
    let ask = "until exec 3<>/dev/tcp/web/80; do sleep 0.05; done; read -r line <&3; echo \"$line\"";
    cluster.run("ask", ask, json!({}), json!({"restartPolicy": "Never"})).await;
    cluster.until_phase("ask", "Succeeded").await;
    assert!(cluster.log("ask").await.contains("HTTP/1.1 200 OK"));
    // From the host, through the ingress.
    let reached = async { while !get(&cluster, "shop.localhost").await.ends_with("ahoy!") {} };
    tokio::time::timeout(SOON, reached).await.expect("the ingress should lead to the pod");
    assert!(get(&cluster, "nobody.localhost").await.contains("there are rules for `shop.localhost`"));
    cluster.end().await;
}

async fn publish(cluster: &cluster::Cluster, name: &str, ip: &str) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
    cluster.create::<Service>(service).await;
    let labels = BTreeMap::from([("kubernetes.io/service-name", name)]);
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("{name}-1"), "labels": labels}, "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}]});
    cluster.create::<EndpointSlice>(slice).await;
}

async fn get(cluster: &cluster::Cluster, host: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(cluster.ingress).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_pod_carries_a_token_unless_it_declines() {
    let Some(cluster) = cluster().await else { return };
    let account: Value = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    cluster.create::<k8s_openapi::api::core::v1::ServiceAccount>(account).await;
    let script = "cd /var/run/secrets/kubernetes.io/serviceaccount 2>/dev/null && [[ -s token ]] && cat namespace || echo none";
    let spec = |extra: bool| json!({"restartPolicy": "Never", "serviceAccountName": "robot", "automountServiceAccountToken": extra});
    cluster.run("with", script, json!({}), spec(true)).await;
    cluster.run("without", script, json!({}), spec(false)).await;
    cluster.until_phase("with", "Succeeded").await;
    cluster.until_phase("without", "Succeeded").await;
    assert_eq!(cluster.log("with").await.trim_end(), "default");
    assert_eq!(cluster.log("without").await, "none\n");
    cluster.end().await;
}
