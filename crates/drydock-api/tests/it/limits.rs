//! What the API does not let clients do to it.

use std::sync::Arc;

use axum::body::Body;
use drydock_api::{Api, ApiConfig, NoNode, Pki, User};
use drydock_store::Store;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::{World, world};

/// Answers one request as an administrator from outside.
async fn ask(api: &Api, request: http::request::Builder, body: impl Into<Body>) -> (u16, Value) {
    let mut request = request.body(body.into()).unwrap();
    request.extensions_mut().insert(User::new("admin", [drydock_api::MASTERS]));
    let response = api.answer(request).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn post(world: &World) -> (Api, http::request::Builder) {
    (world.api.clone(), Request::post("/api/v1/namespaces/default/configmaps"))
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let world = world().await;
    let (api, request) = post(&world);
    let (status, answer) = ask(&api, request, vec![b' '; (3 << 20) + 1]).await;
    assert_eq!((status, &answer["reason"]), (413, &"RequestEntityTooLarge".into()));
}

#[tokio::test]
async fn deep_nesting_is_refused_and_does_not_crash() {
    let world = world().await;
    for (content_type, body) in [
        ("application/json", format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000))),
        ("application/yaml", "[".repeat(50_000)),
    ] {
        let (api, request) = post(&world);
        let (status, _) = ask(&api, request.header("content-type", content_type), body).await;
        assert_eq!(status, 400, "{content_type}");
    }
}

#[tokio::test]
async fn yaml_is_as_good_as_json() {
    let world = world().await;
    let (api, request) = post(&world);
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: \"1\"\n";
    let (status, answer) = ask(&api, request.header("content-type", "application/yaml"), body).await;
    assert_eq!((status, &answer["data"]["a"]), (201, &"1".into()), "{answer}");
}

#[tokio::test]
async fn bodies_we_cannot_read_are_named() {
    let world = world().await;
    let (api, request) = post(&world);
    let (status, answer) = ask(&api, request.header("content-type", "application/cbor"), "x").await;
    assert_eq!((status, &answer["reason"]), (415, &"UnsupportedMediaType".into()));
    assert!(answer["message"].as_str().unwrap().contains("protobuf"));
    let (api, request) = post(&world);
    let (status, answer) = ask(&api, request, "{\"kind\": \"Pod\"}").await;
    assert_eq!(status, 400);
    let expect =
        "cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion";
    assert!(answer["message"].as_str().unwrap().contains(expect), "{answer}");
}

#[tokio::test]
async fn more_requests_or_watches_than_allowed_are_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
    let config = ApiConfig { max_watches: 1, ..ApiConfig::default() };
    let api = Api::new(config, store, pki, Arc::new(NoNode)).await.unwrap();
    let watch = |user: &str| {
        let mut request = Request::get("/api/v1/configmaps?watch=true").body(Body::empty()).unwrap();
        request.extensions_mut().insert(User::new(user, [drydock_api::MASTERS]));
        api.answer(request)
    };
    let first = watch("a").await;
    assert_eq!(first.status().as_u16(), 200);
    let refused = watch("b").await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (429, &b"1"[..]));
    drop(first);
    assert_eq!(watch("c").await.status().as_u16(), 200);
}

#[tokio::test]
async fn tables_have_the_columns_of_their_kind() {
    let world = world().await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (status, answer) =
        ask(&world.api, Request::get("/api/v1/namespaces").header("accept", table), Body::empty()).await;
    assert_eq!((status, &answer["kind"]), (200, &"Table".into()));
    let names: Vec<_> =
        answer["columnDefinitions"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["Name", "Status", "Age"]);
    assert_eq!(answer["rows"][0]["cells"][0], "default");
    assert_eq!(answer["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let world = world().await;
    for (method, path, expect) in [
        ("GET", "/apis/example.com/v1/things", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("POST", "/api/v1/pods", 404),
        ("DELETE", "/version", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/namespaces/default/pods/p/unknown", 404),
    ] {
        let (status, _) = ask(&world.api, Request::builder().method(method).uri(path), Body::empty()).await;
        assert_eq!(status, expect, "{method} {path}");
    }
}

#[tokio::test]
async fn every_kind_in_discovery_can_be_listed_and_has_a_document() {
    let world = world().await;
    let (_, groups) = ask(&world.api, Request::get("/apis"), Body::empty()).await;
    let mut roots = vec!["/api/v1".to_owned()];
    for group in groups["groups"].as_array().unwrap() {
        let versions = group["versions"].as_array().unwrap().iter();
        roots.extend(versions.map(|version| format!("/apis/{}", version["groupVersion"].as_str().unwrap())));
    }
    let mut listed = 0;
    for root in roots {
        let (_, resources) = ask(&world.api, Request::get(&root), Body::empty()).await;
        for resource in resources["resources"].as_array().unwrap() {
            if resource["verbs"].as_array().unwrap().contains(&"list".into()) {
                let path = format!("{root}/{}", resource["name"].as_str().unwrap());
                let (status, list) = ask(&world.api, Request::get(&path), Body::empty()).await;
                let kind = format!("{}List", resource["kind"].as_str().unwrap());
                assert_eq!((status, list["kind"].as_str()), (200, Some(kind.as_str())), "{path}");
                listed += 1;
            }
        }
    }
    assert!(listed > 20, "{listed}");
    let (_, index) = ask(&world.api, Request::get("/openapi/v3"), Body::empty()).await;
    for entry in index["paths"].as_object().unwrap().values() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let (status, document) = ask(&world.api, Request::get(url), Body::empty()).await;
        assert_eq!((status, &document["openapi"]), (200, &"3.0.0".into()), "{url}");
    }
}

#[tokio::test]
async fn a_path_or_query_beyond_measure_is_refused() {
    let world = world().await;
    let uri = format!("/api/v1/pods?labelSelector={}", "a".repeat(40 << 10));
    let (status, answer) = ask(&world.api, Request::get(uri), Body::empty()).await;
    assert_eq!((status, &answer["kind"]), (414, &"Status".into()));
}

/// An API with bounds of its own.
async fn bounded(config: ApiConfig) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
    let api = Api::new(config, store, pki.clone(), Arc::new(NoNode)).await.unwrap();
    World { client: api.client(), api, pki, folder }
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    // Long enough for what the API writes at its start.
    let timeout = std::time::Duration::from_secs(5);
    let world = bounded(ApiConfig { request_timeout: timeout, ..ApiConfig::default() }).await;
    let never = || Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let ask = |path: &'static str| ask(&world.api, Request::post(path), never());
    let (object, review) = tokio::join!(
        ask("/api/v1/namespaces/default/configmaps"),
        ask("/apis/authentication.k8s.io/v1/tokenreviews")
    );
    for (status, answer) in [object, review] {
        assert_eq!((status, &answer["reason"]), (504, &"Timeout".into()));
    }
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    use tokio::io::AsyncReadExt as _;
    let timeout = std::time::Duration::from_millis(50);
    let world = bounded(ApiConfig { first_request_timeout: timeout, ..ApiConfig::default() }).await;
    let (port, _shutdown) = crate::serve(&world).await;
    let mut tls = crate::connect(&world, port).await;
    let mut rest = Vec::new();
    // Ends, whatever the goodbye looks like.
    let _ = tls.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn another_address_than_loopback_is_served_only_when_asked() {
    let world = world().await;
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let refused = world.api.serve(listener, world.pki.server_tls().unwrap(), stop.clone()).await;
    assert!(refused.unwrap_err().to_string().contains("loopback addresses only"));
    let open = bounded(ApiConfig { beyond_loopback: true, ..ApiConfig::default() }).await;
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    stop.cancel();
    open.api.serve(listener, open.pki.server_tls().unwrap(), stop).await.unwrap();
}

#[tokio::test]
async fn the_audit_log_tells_who_asked_for_what_and_never_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let config =
        ApiConfig { audit: Some(drydock_api::AuditConfig::new(path.clone())), ..ApiConfig::default() };
    let world = bounded(config).await;
    let secret = r#"{"metadata":{"name":"s"},"stringData":{"password":"hunter2"}}"#;
    ask(&world.api, Request::post("/api/v1/namespaces/default/secrets"), secret).await;
    let as_jane = Request::get("/api/v1/namespaces/default/secrets/s")
        .header("impersonate-user", "jane")
        .header("user-agent", "kubectl/v1.33");
    assert_eq!(ask(&world.api, as_jane, Body::empty()).await.0, 403);
    let (port, _shutdown) = crate::serve(&world).await;
    assert_eq!(crate::plain_request(&world, port, Request::get("/api"), "").await.0, 401);
    let read = || std::fs::read_to_string(&path).unwrap();
    while read().lines().count() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let text = read();
    assert!(!text.contains("hunter2"), "{text}");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3, "our own clients are left out: {text}");
    assert_eq!((&events[0]["verb"], &events[0]["responseStatus"]["code"]), (&"create".into(), &201.into()));
    assert_eq!(events[0]["user"]["username"], "admin");
    assert_eq!(events[1]["impersonatedUser"]["username"], "jane");
    assert_eq!(events[1]["userAgent"], "kubectl/v1.33");
    assert_eq!(events[1]["objectRef"]["name"], "s");
    assert_eq!(events[1]["responseStatus"]["reason"], "Forbidden");
    assert_eq!(
        (&events[2]["responseStatus"]["code"], &events[2]["sourceIPs"][0]),
        (&401.into(), &"127.0.0.1".into())
    );
}
