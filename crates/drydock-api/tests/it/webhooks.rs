//! Admission webhooks over real TLS: who is asked, what they may change and refuse, and what happens without them.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_api::node::{Duplex, LogOptions, LogStream, NodeBackend, NodeError, PodRef};
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::shared::ask;
use crate::{World, world, world_with};

type Answer = fn(&Value) -> Value;

/// A webhook that answers as `answer` says, and what it was sent.
struct Hook {
    port: u16,
    ca: String,
    seen: Arc<Mutex<Vec<Value>>>,
}

async fn hook(answer: Answer) -> Hook {
    hook_for(answer, "localhost").await
}

/// The same, with a certificate for this name.
async fn hook_for(answer: Answer, name: &str) -> Hook {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(leaf.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), shared.clone());
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let seen = seen.clone();
                    async move {
                        let bytes = request.into_body().collect().await.unwrap().to_bytes();
                        let review: Value = serde_json::from_slice(&bytes).unwrap();
                        let mut response = answer(&review["request"]);
                        response["uid"] = review["request"]["uid"].clone();
                        seen.lock().unwrap().push(review);
                        let answer = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(bytes::Bytes::from(
                            answer.to_string(),
                        ))))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
        }
    });
    Hook { port, ca: STANDARD.encode(ca_pem), seen }
}

fn webhook(hook: &Hook, change: Value) -> Value {
    let mut webhook = json!({
        "name": "check.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": { "url": format!("https://localhost:{}/check", hook.port), "caBundle": hook.ca },
        "rules": [{ "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"] }],
    });
    for (key, value) in change.as_object().unwrap() {
        webhook[key] = value.clone();
    }
    webhook
}

async fn validating(world: &World, webhook: Value) {
    let configuration = json!({ "metadata": { "name": "check" }, "webhooks": [webhook] });
    let api: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(configuration).unwrap()).await.unwrap();
}

async fn mutating(world: &World, webhook: Value) {
    let configuration = json!({ "metadata": { "name": "change" }, "webhooks": [webhook] });
    let api: Api<MutatingWebhookConfiguration> = Api::all(world.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(configuration).unwrap()).await.unwrap();
}

fn maps(world: &World) -> Api<ConfigMap> {
    Api::default_namespaced(world.client.clone())
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "a": "1" } })).unwrap()
}

fn refusal(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.message),
        other => panic!("{other}"),
    }
}

fn no_bad_names(request: &Value) -> Value {
    match request["name"].as_str() {
        Some("bad") => json!({ "allowed": false, "status": { "code": 403, "message": "bad is no name" } }),
        _ => json!({ "allowed": true }),
    }
}

fn label(_: &Value) -> Value {
    let patch = json!([{ "op": "add", "path": "/metadata/labels", "value": { "by": "webhook" } }]);
    json!({ "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string()) })
}

#[tokio::test]
async fn a_validating_webhook_refuses_in_its_own_words() {
    let (world, hook) = (world().await, hook(no_bad_names).await);
    validating(&world, webhook(&hook, json!({}))).await;
    maps(&world).create(&PostParams::default(), &map("good")).await.unwrap();
    let error = maps(&world).create(&PostParams::default(), &map("bad")).await.unwrap_err();
    assert_eq!(
        refusal(error),
        r#"403 admission webhook "check.example.com" denied the request: bad is no name"#
    );
    assert!(maps(&world).get_opt("bad").await.unwrap().is_none());
}

#[tokio::test]
async fn a_mutating_webhook_changes_what_is_stored() {
    let (world, hook) = (world().await, hook(label).await);
    mutating(&world, webhook(&hook, json!({}))).await;
    let made = maps(&world).create(&PostParams::default(), &map("a")).await.unwrap();
    assert_eq!(made.metadata.labels.unwrap()["by"], "webhook");
    assert_eq!(made.data.unwrap()["a"], "1");
}

#[tokio::test]
async fn a_webhook_is_told_who_does_what() {
    let (world, hook) = (world().await, hook(no_bad_names).await);
    validating(&world, webhook(&hook, json!({}))).await;
    maps(&world).create(&PostParams::default(), &map("a")).await.unwrap();
    let change = json!({ "data": { "a": "2" } });
    maps(&world).patch("a", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    maps(&world).delete("a", &DeleteParams::default()).await.unwrap();
    let seen = hook.seen.lock().unwrap();
    let told: Vec<(&Value, &Value, &Value)> = seen
        .iter()
        .map(|review| &review["request"])
        .map(|request| {
            (&request["operation"], &request["object"]["data"]["a"], &request["oldObject"]["data"]["a"])
        })
        .collect();
    let null = Value::Null;
    assert_eq!(
        told,
        [
            (&json!("CREATE"), &json!("1"), &null),
            (&json!("UPDATE"), &json!("2"), &json!("1")),
            (&json!("DELETE"), &null, &json!("2"))
        ]
    );
    assert_eq!(seen[0]["request"]["userInfo"]["username"], "system:drydock");
    assert_eq!(
        seen[0]["request"]["resource"],
        json!({ "group": "", "version": "v1", "resource": "configmaps" })
    );
}

#[tokio::test]
async fn selectors_and_rules_decide_who_is_asked() {
    let (world, hook) = (world().await, hook(no_bad_names).await);
    let selective = json!({ "objectSelector": { "matchLabels": { "check": "yes" } } });
    validating(&world, webhook(&hook, selective)).await;
    maps(&world).create(&PostParams::default(), &map("bad")).await.unwrap();
    assert!(hook.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_webhook_that_cannot_be_reached_follows_its_failure_policy() {
    let (world, mut hook) = (world().await, hook(no_bad_names).await);
    hook.port = 1;
    mutating(&world, webhook(&hook, json!({ "failurePolicy": "Ignore" }))).await;
    maps(&world).create(&PostParams::default(), &map("a")).await.unwrap();
    validating(&world, webhook(&hook, json!({}))).await;
    let error = refusal(maps(&world).create(&PostParams::default(), &map("b")).await.unwrap_err());
    let expect = r#"500 Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: Post "https://localhost:1/check?timeout=10s": "#;
    assert!(error.starts_with(expect), "{error}");
    // Configurations themselves stay changeable, or nobody could get out of this.
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    configurations.delete("check", &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_webhook_of_a_service_needs_a_ready_pod() {
    let (world, hook) = (world().await, hook(no_bad_names).await);
    let service = json!({ "clientConfig": { "service": { "namespace": "default", "name": "none" }, "caBundle": hook.ca } });
    validating(&world, webhook(&hook, service)).await;
    let error = refusal(maps(&world).create(&PostParams::default(), &map("a")).await.unwrap_err());
    assert!(
        error.ends_with(r#"Post "https://none.default.svc:443/?timeout=10s": service "none" not found"#),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_offered_is_refused_by_its_field() {
    let (world, hook) = (world().await, hook(no_bad_names).await);
    let configuration = json!({
        "metadata": { "name": "check" },
        "webhooks": [webhook(&hook, json!({ "matchConditions": [{ "name": "a", "expression": "self.x" }], "sideEffects": "Some" }))],
    });
    let api: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    let error = api
        .create(&PostParams::default(), &serde_json::from_value(configuration).unwrap())
        .await
        .unwrap_err();
    let error = refusal(error);
    assert!(
        error.contains("webhooks[0].matchConditions[0].expression: Invalid value: \"self.x\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'self'"),
        "{error}"
    );
    assert!(
        error.contains(
            r#"webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun""#
        ),
        "{error}"
    );
}

#[tokio::test]
async fn conditions_decide_whether_a_webhook_is_asked() {
    let (world, hook) = (world().await, hook(no_bad_names).await);
    let conditions = json!({ "matchConditions": [{ "name": "data", "expression": "object.data.a == '2'" }] });
    validating(&world, webhook(&hook, conditions)).await;
    maps(&world).create(&PostParams::default(), &map("bad")).await.unwrap();
    assert!(hook.seen.lock().unwrap().is_empty());
    let without: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "empty" } })).unwrap();
    let error = refusal(maps(&world).create(&PostParams::default(), &without).await.unwrap_err());
    let expect = r#"403 configmaps "empty" is forbidden: expression 'object.data.a == '2'' resulted in error: no such key: data"#;
    assert_eq!(error, expect);
}

#[tokio::test]
async fn a_webhook_that_wants_to_sees_what_later_ones_changed() {
    let world = world().await;
    let (early, late) = (hook(|_| json!({ "allowed": true })).await, hook(label).await);
    let named = |hook: &Hook, name: &str, reinvocation: &str| {
        webhook(hook, json!({ "name": name, "reinvocationPolicy": reinvocation }))
    };
    let configuration = json!({ "metadata": { "name": "both" }, "webhooks": [
        named(&early, "early.example.com", "IfNeeded"), named(&late, "late.example.com", "Never")] });
    let api: Api<MutatingWebhookConfiguration> = Api::all(world.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(configuration).unwrap()).await.unwrap();
    maps(&world).create(&PostParams::default(), &map("a")).await.unwrap();
    let seen = early.seen.lock().unwrap();
    let labels: Vec<&Value> =
        seen.iter().map(|review| &review["request"]["object"]["metadata"]["labels"]["by"]).collect();
    assert_eq!(labels, [&Value::Null, &json!("webhook")]);
    assert_eq!(late.seen.lock().unwrap().len(), 1);
}

/// A node at whose ports stands the webhook.
struct Behind(u16);

impl NodeBackend for Behind {
    fn logs(&self, _: PodRef, _: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        Box::pin(async { Err(NodeError::NotImplemented("logs")) })
    }

    fn port_forward(&self, pod: PodRef, port: u16) -> BoxFuture<'_, Result<Box<dyn Duplex>, NodeError>> {
        assert_eq!((pod.name.as_str(), port), ("hook", 8443));
        Box::pin(async {
            Ok(Box::new(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.0)).await.unwrap())
                as Box<dyn Duplex>)
        })
    }
}

#[tokio::test]
async fn a_webhook_of_a_service_is_reached_through_its_pod_and_asked_about_connections_too() {
    let hook = hook_for(no_bad_names, "hook.default.svc").await;
    let world = world_with(Arc::new(Behind(hook.port))).await;
    let core = |plural: &str| format!("/api/v1/namespaces/default/{plural}");
    let make = async |plural: &str, object: Value| {
        let (code, answer) = ask(&world.api, "POST", &core(plural), object).await;
        assert_eq!(code, 201, "{answer}");
    };
    let pod = |name: &str| json!({ "metadata": { "name": name }, "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "example/c:1" }] } });
    make("pods", pod("hook")).await;
    make("pods", pod("bad")).await;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(world.client.clone());
    let status = json!({ "status": { "podIP": "10.244.0.7" } });
    pods.patch_status("hook", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    make(
        "services",
        json!({ "metadata": { "name": "hook" }, "spec": { "ports": [{ "port": 443, "targetPort": 8443 }] } }),
    )
    .await;
    let address =
        json!({ "ip": "10.244.0.7", "targetRef": { "kind": "Pod", "name": "hook", "namespace": "default" } });
    make("endpoints", json!({ "metadata": { "name": "hook" }, "subsets": [{ "addresses": [address], "ports": [{ "port": 8443 }] }] })).await;
    let place = json!({ "clientConfig": { "service": { "namespace": "default", "name": "hook", "path": "/check" }, "caBundle": hook.ca },
        "rules": [{ "operations": ["CREATE", "CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps", "pods/exec"] }] });
    validating(&world, webhook(&hook, place)).await;
    let error = refusal(maps(&world).create(&PostParams::default(), &map("bad")).await.unwrap_err());
    assert_eq!(error, r#"403 admission webhook "check.example.com" denied the request: bad is no name"#);
    let (code, answer) =
        ask(&world.api, "GET", &core("pods/bad/exec?command=sh&command=-c&stdin=true"), Value::Null).await;
    assert_eq!(
        (code, &answer["message"]),
        (403, &json!(r#"admission webhook "check.example.com" denied the request: bad is no name"#))
    );
    let seen = hook.seen.lock().unwrap();
    let request = &seen.last().unwrap()["request"];
    assert_eq!((&request["operation"], &request["subResource"]), (&json!("CONNECT"), &json!("exec")));
    let options =
        json!({ "kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "command": ["sh", "-c"] });
    assert_eq!(request["object"], options);
    assert_eq!(request["kind"]["kind"], "PodExecOptions");
}
