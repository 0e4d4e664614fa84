//! Kinds of several groups or versions that show the same stored objects.

use axum::body::Body;
use drydock_api::{Api, MASTERS, User};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::world;

/// Answers one request as an administrator.
pub async fn ask(api: &Api, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    let mut request = request.body(body).unwrap();
    request.extensions_mut().insert(User::new("admin", [MASTERS]));
    let response = api.answer(request).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

const CORE: &str = "/api/v1/namespaces/default/events";
const NEWER: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

#[tokio::test]
async fn an_event_is_one_object_in_both_groups() {
    let world = world().await;
    let event = json!({
        "metadata": {"name": "a"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Started",
        "action": "Start", "reportingController": "example.com/x", "reportingInstance": "x-1", "note": "hello",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
    });
    let (status, answer) = ask(&world.api, "POST", NEWER, event).await;
    assert_eq!((status, &answer["apiVersion"]), (201, &json!("events.k8s.io/v1")), "{answer}");
    let (_, core) = ask(&world.api, "GET", &format!("{CORE}/a"), Value::Null).await;
    assert_eq!((&core["apiVersion"], &core["message"]), (&json!("v1"), &json!("hello")));
    assert_eq!(core["involvedObject"]["name"], "p");
    let count = json!({"count": 3});
    let (status, patched) = ask(&world.api, "PATCH", &format!("{CORE}/a"), count).await;
    assert_eq!((status, &patched["count"]), (200, &json!(3)), "{patched}");
    let (_, list) =
        ask(&world.api, "GET", &format!("{NEWER}?fieldSelector=regarding.name=p"), Value::Null).await;
    assert_eq!(list["items"][0]["deprecatedCount"], 3, "{list}");
    let (status, _) = ask(&world.api, "DELETE", &format!("{NEWER}/a"), Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(ask(&world.api, "GET", &format!("{CORE}/a"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_autoscaler_is_one_object_in_both_versions() {
    let world = world().await;
    let [v1, v2] = ["v1", "v2"]
        .map(|version| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers"));
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let older = json!({"metadata": {"name": "web"}, "spec": {"maxReplicas": 5, "scaleTargetRef": target}});
    let (status, answer) = ask(&world.api, "POST", &v1, older).await;
    assert_eq!((status, &answer["spec"]["targetCPUUtilizationPercentage"]), (201, &json!(80)), "{answer}");
    let (_, newer) = ask(&world.api, "GET", &format!("{v2}/web"), Value::Null).await;
    assert_eq!(newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80, "{newer}");
    let behavior = json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}});
    let (status, answer) = ask(&world.api, "PATCH", &format!("{v2}/web"), behavior).await;
    assert_eq!(status, 200, "{answer}");
    let percent = json!({"spec": {"targetCPUUtilizationPercentage": 50}});
    let (status, answer) = ask(&world.api, "PATCH", &format!("{v1}/web"), percent).await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"].is_string(),
        "{answer}"
    );
    let (_, newer) = ask(&world.api, "GET", &format!("{v2}/web"), Value::Null).await;
    assert_eq!(newer["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 60, "{newer}");
    assert_eq!(newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    assert_eq!(newer["metadata"].get("annotations"), None);
}

#[tokio::test]
async fn a_pod_is_bound_by_a_binding_that_names_it() {
    let world = world().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    let (status, answer) = ask(&world.api, "POST", "/api/v1/namespaces/default/pods", pod).await;
    assert_eq!(status, 201, "{answer}");
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    let (status, answer) = ask(&world.api, "POST", "/api/v1/namespaces/default/bindings", binding).await;
    assert_eq!(status, 201, "{answer}");
    let (_, pod) = ask(&world.api, "GET", "/api/v1/namespaces/default/pods/p", Value::Null).await;
    assert_eq!(pod["spec"]["nodeName"], "n");
}

#[tokio::test]
async fn every_group_version_has_an_available_api_service() {
    let world = world().await;
    let (_, list) = ask(&world.api, "GET", "/apis/apiregistration.k8s.io/v1/apiservices", Value::Null).await;
    let services = list["items"].as_array().unwrap();
    assert!(services.len() > 15, "{}", services.len());
    for service in services {
        assert_eq!(service["status"]["conditions"][0]["status"], "True", "{service}");
    }
}
