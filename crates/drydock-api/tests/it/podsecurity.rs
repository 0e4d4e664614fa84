//! PodSecurity admission: what a namespace's labels refuse, and what they warn about.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{World, world};

/// Code, warnings and answer.
pub async fn ask(
    world: &World,
    method: &str,
    path: &str,
    object: &Value,
) -> (StatusCode, Vec<String>, Value) {
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    let mut request = request.body(Body::from(object.to_string())).unwrap();
    request.extensions_mut().insert(drydock_api::User::new("admin", [drydock_api::MASTERS]));
    let response = world.api.answer(request).await;
    let warnings = response.headers().get_all("warning").iter();
    let warnings =
        warnings.map(|value| value.to_str().unwrap().trim_start_matches("299 - ").to_owned()).collect();
    let code = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, warnings, serde_json::from_slice(&bytes).unwrap())
}

async fn label(world: &World, labels: Value) -> (StatusCode, Vec<String>, Value) {
    let named = labels.as_object().unwrap().iter();
    let labels: Value =
        named.map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), value.clone())).collect();
    ask(world, "PATCH", "/api/v1/namespaces/default", &json!({ "metadata": { "labels": labels } })).await
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c", "image": "example/c:1" }] } });
    json_patch::merge(&mut pod["spec"], &spec);
    pod
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn a_pod_that_does_too_much_is_refused_and_others_are_not() {
    let world = world().await;
    label(&world, json!({ "enforce": "baseline", "enforce-version": "v1.30" })).await;
    let (code, _, answer) =
        ask(&world, "POST", PODS, &pod("a", json!({ "hostNetwork": true, "hostIPC": true }))).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let expect = r#"pods "a" is forbidden: violates PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true, hostIPC=true)"#;
    assert_eq!(answer["message"], expect);
    assert_eq!(ask(&world, "POST", PODS, &pod("b", json!({}))).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_workload_is_warned_about_what_its_pods_may_not_do() {
    let world = world().await;
    label(&world, json!({ "enforce": "baseline" })).await;
    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": {
        "containers": [{ "name": "c", "image": "example/c:1", "securityContext": { "privileged": true } }] } });
    let deployment = json!({ "metadata": { "name": "a" }, "spec": {
        "selector": { "matchLabels": { "a": "b" } }, "template": template } });
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let (code, warnings, _) = ask(&world, "POST", path, &deployment).await;
    assert_eq!(code, StatusCode::CREATED);
    let expect = r#""would violate PodSecurity \"baseline:latest\": privileged (container \"c\" must not set securityContext.privileged=true)""#;
    assert_eq!(warnings, [expect]);
}

#[tokio::test]
async fn a_namespace_that_becomes_stricter_names_the_pods_it_would_refuse() {
    let world = world().await;
    for name in ["b", "a", "c"] {
        ask(&world, "POST", PODS, &pod(name, json!({ "hostPID": true }))).await;
    }
    let (code, warnings, _) = label(&world, json!({ "enforce": "baseline" })).await;
    assert_eq!(code, StatusCode::OK);
    let expect = [
        r#""existing pods in namespace \"default\" violate the new PodSecurity enforce level \"baseline:latest\"""#,
        r#""a (and 2 other pods): host namespaces""#,
    ];
    assert_eq!(warnings, expect);
    let (_, warnings, _) = label(&world, json!({ "enforce": "privileged" })).await;
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[tokio::test]
async fn a_level_that_does_not_exist_is_refused() {
    let world = world().await;
    let (code, _, answer) = label(&world, json!({ "enforce": "strict" })).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let expect = r#"Namespace "default" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted"#;
    assert_eq!(answer["message"], expect);
}

#[tokio::test]
async fn a_container_added_for_debugging_keeps_to_the_level_too() {
    let world = world().await;
    ask(&world, "POST", PODS, &pod("a", json!({}))).await;
    label(&world, json!({ "enforce": "baseline" })).await;
    let debug = json!({ "name": "d", "image": "example/d:1", "securityContext": { "privileged": true } });
    let patch = json!({ "spec": { "ephemeralContainers": [debug] } });
    let (code, _, answer) = ask(&world, "PATCH", &format!("{PODS}/a/ephemeralcontainers"), &patch).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{answer}");
}
