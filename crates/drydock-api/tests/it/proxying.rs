//! `pods/NAME/proxy`, `services/NAME/proxy` and `nodes/NAME/proxy`, with a node that has a web server at every port.

use std::sync::Arc;

use axum::body::Body;
use drydock_api::node::{Duplex, LogOptions, LogStream, NodeBackend, NodeError, PodRef};
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{World, connect, serve, world_with};

/// Whose ports all answer with what they were asked; port 1 refuses connections.
struct Echo;

impl NodeBackend for Echo {
    fn logs(&self, pod: PodRef, options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        let line = format!("{}/{}\n", pod.name, options.container);
        Box::pin(async move { Ok(Box::pin(futures::stream::iter([Ok(line.into())])) as LogStream) })
    }

    fn port_forward(&self, pod: PodRef, port: u16) -> BoxFuture<'_, Result<Box<dyn Duplex>, NodeError>> {
        Box::pin(async move {
            if port == 1 {
                return Err(NodeError::Unavailable("connection refused".to_owned()));
            }
            let (ours, theirs) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                let service =
                    hyper::service::service_fn(move |request| echo(pod.name.clone(), port, request));
                let server = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(theirs), service);
                let _ = server.with_upgrades().await;
            });
            Ok(Box::new(ours) as Box<dyn Duplex>)
        })
    }

    fn check(&self) -> Result<(), NodeError> {
        Ok(())
    }
}

async fn echo(
    pod: String,
    port: u16,
    mut request: Request<hyper::body::Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    let mut response = Response::new(Body::empty());
    match request.uri().path() {
        "/socket" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut word = [0; 4];
                io.read_exact(&mut word).await.unwrap();
                io.write_all(&word.map(|byte| byte.to_ascii_uppercase())).await.unwrap();
            });
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "words".parse().unwrap());
            return Ok(response);
        }
        "/page" => {
            response.headers_mut().insert("content-type", "text/html".parse().unwrap());
            *response.body_mut() = Body::from(r#"<a href="/next">"#);
            return Ok(response);
        }
        "/moved" => {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert("location", "/next".parse().unwrap());
            return Ok(response);
        }
        _ => {}
    }
    let headers: Vec<String> = request
        .headers()
        .iter()
        .filter(|(name, _)| *name != "content-length" && *name != "transfer-encoding")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("")))
        .collect();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let body = request.into_body().collect().await?.to_bytes();
    let said = json!({ "pod": pod, "port": port, "method": method.as_str(), "uri": uri.to_string(),
        "headers": headers, "body": String::from_utf8_lossy(&body) });
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response.headers_mut().insert("access-control-allow-origin", "*".parse().unwrap());
    *response.body_mut() = Body::from(said.to_string());
    Ok(response)
}

async fn put(world: &World, path: &str, object: Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let response = world.api.answer(masters(request.body(Body::from(object.to_string())).unwrap())).await;
    assert!(response.status().is_success(), "{path}: {}", text(response).await);
}

fn masters(mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(drydock_api::User::new("admin", [drydock_api::MASTERS]));
    request
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A pod that runs and a Service before it, whose port 80 is the pod's 8080.
async fn web() -> World {
    let world = world_with(Arc::new(Echo)).await;
    let pods = "/api/v1/namespaces/default/pods";
    let container =
        json!({ "name": "c", "image": "example/c:1", "ports": [{ "containerPort": 8080, "name": "http" }] });
    let pod = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "web" },
        "spec": { "nodeName": "n1", "containers": [container] } });
    put(&world, pods, pod).await;
    let status = json!({ "status": { "phase": "Running", "podIP": "10.244.0.5" } });
    let patch =
        Request::patch(format!("{pods}/web/status")).header("content-type", "application/merge-patch+json");
    let patched = world.api.answer(masters(patch.body(Body::from(status.to_string())).unwrap())).await;
    assert_eq!(patched.status(), StatusCode::OK);
    put(&world, "/api/v1/nodes", json!({ "kind": "Node", "apiVersion": "v1", "metadata": { "name": "n1" } }))
        .await;
    let service = json!({ "kind": "Service", "apiVersion": "v1", "metadata": { "name": "front" },
        "spec": { "ports": [{ "name": "main", "port": 80, "targetPort": 8080 }] } });
    put(&world, "/api/v1/namespaces/default/services", service).await;
    let target = json!({ "kind": "Pod", "name": "web", "namespace": "default" });
    let stranger = json!({ "kind": "Pod", "name": "absent", "namespace": "default" });
    let addresses =
        json!([{ "ip": "10.244.0.9", "targetRef": stranger }, { "ip": "10.244.0.5", "targetRef": target }]);
    let endpoints = json!({ "kind": "Endpoints", "apiVersion": "v1", "metadata": { "name": "front" },
        "subsets": [{ "addresses": addresses, "ports": [{ "name": "main", "port": 8080 }] }] });
    put(&world, "/api/v1/namespaces/default/endpoints", endpoints).await;
    world
}

async fn ask(world: &World, method: Method, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).header("accept", "x/y");
    let request = request.header("host", "localhost").header("authorization", "Bearer secret");
    let response = world.api.answer(masters(request.body(Body::from(body.to_owned())).unwrap())).await;
    (response.status().as_u16(), text(response).await)
}

async fn echoed(world: &World, method: Method, path: &str, body: &str) -> Value {
    let (code, text) = ask(world, method, path, body).await;
    assert_eq!(code, 418, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

const POD: &str = "/api/v1/namespaces/default/pods";
const SERVICE: &str = "/api/v1/namespaces/default/services";

#[tokio::test]
async fn a_request_reaches_a_pod_with_its_method_path_query_and_body() {
    let world = web().await;
    let path = format!("{POD}/web:9090/proxy/a/b%2Fc/?x=1&y=%20");
    let said = echoed(&world, Method::PUT, &path, "hello").await;
    assert_eq!(said["port"], 9090);
    assert_eq!((&said["method"], &said["uri"]), (&json!("PUT"), &json!("/a/b%2Fc/?x=1&y=%20")));
    assert_eq!(said["body"], "hello");
    let forwarded = format!("x-forwarded-uri: {POD}/web:9090/proxy/a/b%2Fc/");
    assert_eq!(said["headers"], json!(["accept: x/y", "host: localhost", forwarded]), "no credentials");
}

#[tokio::test]
async fn a_pod_without_a_port_in_its_name_is_asked_at_its_first() {
    let world = web().await;
    assert_eq!(echoed(&world, Method::GET, &format!("{POD}/web/proxy/"), "").await["port"], 8080);
    assert_eq!(echoed(&world, Method::POST, &format!("{POD}/web:http/proxy"), "").await["uri"], "/");
}

#[tokio::test]
async fn a_service_is_reached_through_a_pod_by_number_or_name() {
    let world = web().await;
    for name in ["front:80", "front:main", "http:front:80"] {
        let said = echoed(&world, Method::GET, &format!("{SERVICE}/{name}/proxy/x"), "").await;
        assert_eq!((&said["pod"], &said["port"]), (&json!("web"), &json!(8080)), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_as_a_real_server_does() {
    let world = web().await;
    let check = async |path: String, code: u16, expect: &str| {
        let (seen, text) = ask(&world, Method::GET, &path, "").await;
        assert_eq!(seen, code, "{path}: {text}");
        assert!(text.contains(expect), "{path}: {text}");
    };
    check(format!("{POD}/absent/proxy/"), 404, r#"pods \"absent\" not found"#).await;
    check(format!("{POD}/ftp:web:1/proxy/"), 400, r#"invalid pod request \"ftp:web:1\""#).await;
    check(format!("{POD}/web:1/proxy/"), 503, "error trying to reach service: connection refused").await;
    check(format!("{SERVICE}/front:81/proxy/"), 503, r#"no service port 81 found for service \"front\""#)
        .await;
    check(format!("{SERVICE}/front/proxy/"), 503, r#"no endpoints available for service \"front\""#).await;
    check(format!("{SERVICE}/none:80/proxy/"), 404, r#"services \"none\" not found"#).await;
    check("/api/v1/nodes/n1/proxy/exec/a/b/c".to_owned(), 501, "the path \\\"/exec/a/b/c\\\" of a kubelet")
        .await;
    check("/api/v1/nodes/n2/proxy/healthz".to_owned(), 404, r#"nodes \"n2\" not found"#).await;
}

#[tokio::test]
async fn pages_and_redirects_lead_back_through_the_proxy() {
    let world = web().await;
    let (_, page) = ask(&world, Method::GET, &format!("{POD}/web/proxy/page"), "").await;
    assert_eq!(page, format!(r#"<a href="{POD}/web/proxy/next">"#));
    for (path, expect) in [("/moved", "/next"), ("", "/")] {
        let request = Request::get(format!("{POD}/web/proxy{path}")).body(Body::empty()).unwrap();
        let response = world.api.answer(masters(request)).await;
        assert!(response.status().is_redirection());
        assert_eq!(response.headers()["location"], format!("{POD}/web/proxy{expect}"));
    }
}

#[tokio::test]
async fn the_node_answers_some_paths_of_a_kubelet() {
    let world = web().await;
    let get = async |path: &str| ask(&world, Method::GET, &format!("/api/v1/nodes/n1{path}"), "").await;
    assert_eq!(get("/proxy/healthz").await, (200, "ok".to_owned()));
    let pods: Value = serde_json::from_str(&get(":10250/proxy/pods").await.1).unwrap();
    assert_eq!((&pods["kind"], &pods["items"][0]["metadata"]["name"]), (&json!("PodList"), &json!("web")));
    assert!(get("/proxy/metrics").await.1.contains("\nkubelet_running_pods 1\n"));
    assert_eq!(get("/proxy/containerLogs/default/web/c").await, (200, "web/c\n".to_owned()));
}

#[tokio::test]
async fn the_right_to_a_proxy_is_its_own() {
    let world = web().await;
    let ann = drydock_api::User::new("ann", ["people"]);
    let mut request = Request::post(format!("{POD}/web:80/proxy/x")).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ann);
    let answer = text(world.api.answer(request).await).await;
    assert!(
        answer
            .contains(r#"pods \"web:80\" is forbidden: User \"ann\" cannot create resource \"pods/proxy\""#),
        "{answer}"
    );
}

#[tokio::test]
async fn an_upgraded_connection_is_passed_through() {
    let world = web().await;
    let (port, stop) = serve(&world).await;
    let mut tls = connect(&world, port).await;
    let token = crate::access::bot(&world).await;
    let everything = json!({ "kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": { "name": "bot" }, "subjects": [{ "kind": "ServiceAccount", "name": "bot", "namespace": "default" }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" } });
    put(&world, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", everything).await;
    let request = format!(
        "GET {POD}/web/proxy/socket HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: words\r\n\
         authorization: Bearer {token}\r\n\r\nping"
    );
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"PING") {
        assert_ne!(tls.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stop.cancel();
}
