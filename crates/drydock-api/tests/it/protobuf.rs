//! Protobuf bodies, as kubectl 1.32 and later, Helm 4 and controller-runtime send them.

use axum::body::Body;
use drydock_api::{MASTERS, User};
use drydock_protobuf::{MEDIA_TYPE, encode};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{World, world};

/// What came back: the status code, the content type and the bytes.
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// One request as the cluster's administrator.
pub async fn send(
    world: &World,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).extension(User::new("admin", [MASTERS]));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = world.api.answer(request.body(Body::from(body.to_vec())).unwrap()).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { code: parts.status.as_u16(), headers: parts.headers, bytes }
}

/// Sends an object as protobuf.
async fn post(world: &World, path: &str, object: &Value) -> Answer {
    let body = encode(object).unwrap();
    send(world, Method::POST, path, &[("content-type", MEDIA_TYPE)], &body).await
}

#[tokio::test]
async fn every_write_takes_protobuf() {
    let world = world().await;
    let map =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "k": "v" } });
    let created = post(&world, "/api/v1/namespaces/default/configmaps", &map).await;
    assert_eq!((created.code, &created.json()["data"]), (201, &map["data"]), "{}", created.text());
    let mut changed = created.json();
    changed["data"]["k"] = "w".into();
    let path = "/api/v1/namespaces/default/configmaps/a";
    let updated =
        send(&world, Method::PUT, path, &[("content-type", MEDIA_TYPE)], &encode(&changed).unwrap()).await;
    assert_eq!((updated.code, &updated.json()["data"]["k"]), (200, &json!("w")));
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": "other" } });
    let refused =
        send(&world, Method::DELETE, path, &[("content-type", MEDIA_TYPE)], &encode(&options).unwrap()).await;
    assert_eq!((refused.code, &refused.json()["reason"]), (409, &json!("Conflict")));
}

#[tokio::test]
async fn a_pointer_to_zero_arrives_and_the_rest_is_defaulted() {
    let world = world().await;
    let labels = json!({ "app": "a" });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a", "namespace": "default" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "i" }] },
            },
        },
    });
    let created = post(&world, "/apis/apps/v1/namespaces/default/deployments", &deployment).await.json();
    assert_eq!(created["spec"]["replicas"], 0);
    assert_eq!(created["spec"]["revisionHistoryLimit"], 10);
    assert_eq!(created["spec"]["strategy"]["type"], "RollingUpdate");
    let container = &created["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"], json!({}));
    assert_eq!(container["imagePullPolicy"], "Always");
}

#[tokio::test]
async fn subresources_and_reviews_take_protobuf() {
    let world = world().await;
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "audiences": null, "expirationSeconds": 600 },
    });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "robot" } });
    assert_eq!(post(&world, "/api/v1/namespaces/default/serviceaccounts", &account).await.code, 201);
    let token = post(&world, "/api/v1/namespaces/default/serviceaccounts/robot/token", &request).await;
    assert!(token.json()["status"]["token"].is_string(), "{}", token.text());
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": { "verb": "get", "resource": "pods", "namespace": "default" } },
    });
    let review = post(&world, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
    assert_eq!(review.json()["status"]["allowed"], true);
}

#[tokio::test]
async fn formats_that_we_do_not_read_are_answered_415() {
    let world = world().await;
    for format in ["application/cbor", "application/xml", "application/x-www-form-urlencoded"] {
        let path = "/api/v1/namespaces/default/configmaps";
        let answer = send(&world, Method::POST, path, &[("content-type", format)], b"x").await;
        assert_eq!(
            (answer.code, &answer.json()["reason"]),
            (415, &json!("UnsupportedMediaType")),
            "{format}"
        );
        assert_eq!(
            answer.json()["message"],
            "the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
    }
}

#[tokio::test]
async fn damaged_protobuf_is_answered_400() {
    let world = world().await;
    for body in [&b""[..], b"k8s\0", b"k8s\0\x0a\xff", b"{}", b"k8s\0\x12\x02\x08\x01"] {
        let path = "/api/v1/namespaces/default/configmaps";
        let answer = send(&world, Method::POST, path, &[("content-type", MEDIA_TYPE)], body).await;
        assert_eq!((answer.code, &answer.json()["reason"]), (400, &json!("BadRequest")), "{body:?}");
    }
}
