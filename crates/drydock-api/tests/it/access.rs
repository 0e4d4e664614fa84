//! Who gets in: certificates, tokens, roles, and nobody else.

use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::{World, plain_request, serve, world};

pub async fn create(world: &World, path: &str, object: Value) {
    let request = Request::post(path).body(object.to_string().into_bytes()).unwrap();
    world.client.request::<Value>(request).await.unwrap();
}

/// A service account `bot` that may list pods of `default`, and a token of it.
pub async fn bot(world: &World) -> String {
    create(world, "/api/v1/namespaces/default/serviceaccounts", json!({ "metadata": { "name": "bot" } }))
        .await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }]);
    create(world, &format!("{rbac}/roles"), json!({ "metadata": { "name": "reader" }, "rules": rules }))
        .await;
    let binding = json!({
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": "bot", "namespace": "default" }],
    });
    create(world, &format!("{rbac}/rolebindings"), binding).await;
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let request = Request::post(path).body(json!({ "spec": {} }).to_string().into_bytes()).unwrap();
    let answer: Value = world.client.request(request).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

async fn get_with_token(world: &World, port: u16, path: &str, token: &str) -> u16 {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    plain_request(world, port, request, "").await.0
}

#[tokio::test]
async fn without_certificate_or_token_nothing_is_told() {
    let world = world().await;
    let (port, _shutdown) = serve(&world).await;
    for path in
        ["/api", "/apis", "/openapi/v3", "/openid/v1/jwks", "/api/v1/namespaces", "/metrics", "/nowhere"]
    {
        let (status, body) = plain_request(&world, port, Request::get(path), "").await;
        assert_eq!(status, 401, "{path}");
        assert!(body.contains("\"reason\":\"Unauthorized\""), "{body}");
    }
    let token = Request::get("/healthz").header("authorization", "Bearer nonsense");
    assert_eq!(plain_request(&world, port, token, "").await.0, 401, "a wrong token is not taken for none");
}

#[tokio::test]
async fn health_and_version_are_told_to_everybody_as_long_as_a_role_says_so() {
    let world = world().await;
    let (port, _shutdown) = serve(&world).await;
    for path in ["/version", "/healthz", "/livez", "/readyz"] {
        assert_eq!(plain_request(&world, port, Request::get(path), "").await.0, 200, "{path}");
        let post = Request::post(path);
        let (status, body) = plain_request(&world, port, post, "").await;
        assert_eq!(status, 403, "{path}");
        assert!(body.contains("forbidden: User \\\"system:anonymous\\\" cannot post path"), "{body}");
    }
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:public-info-viewer";
    let delete = Request::delete(path).body(Vec::new()).unwrap();
    world.client.request::<Value>(delete).await.unwrap();
    assert_eq!(plain_request(&world, port, Request::get("/version"), "").await.0, 403);
}

#[tokio::test]
async fn a_token_gives_its_account_what_roles_grant_and_no_more() {
    let world = world().await;
    let token = bot(&world).await;
    let (port, _shutdown) = serve(&world).await;
    assert_eq!(get_with_token(&world, port, "/api/v1/namespaces/default/pods", &token).await, 200);
    assert_eq!(get_with_token(&world, port, "/api/v1/namespaces/default/secrets", &token).await, 403);
    assert_eq!(get_with_token(&world, port, "/api/v1/namespaces/kube-system/pods", &token).await, 403);
    assert_eq!(get_with_token(&world, port, "/apis", &token).await, 200);
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_worthless() {
    let world = world().await;
    let token = bot(&world).await;
    let (port, _shutdown) = serve(&world).await;
    let (head, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{flipped}{}", &signature[1..]);
    assert_eq!(get_with_token(&world, port, "/apis", &forged).await, 401);
    assert_eq!(get_with_token(&world, port, "/apis", "x.y.z").await, 401);
}

#[tokio::test]
async fn a_token_dies_with_its_account() {
    let world = world().await;
    let token = bot(&world).await;
    let (port, _shutdown) = serve(&world).await;
    let accounts = Api::<ServiceAccount>::namespaced(world.client.clone(), "default");
    accounts.delete("bot", &DeleteParams::default()).await.unwrap();
    assert_eq!(get_with_token(&world, port, "/apis", &token).await, 401);
    accounts
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({ "metadata": { "name": "bot" } })).unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(get_with_token(&world, port, "/apis", &token).await, 401, "another account of the same name");
}

#[tokio::test]
async fn a_token_of_a_pod_dies_with_the_pod() {
    let world = world().await;
    bot(&world).await;
    let pods = Api::<Pod>::namespaced(world.client.clone(), "default");
    let pod = json!({ "metadata": { "name": "p" }, "spec": {
        "serviceAccountName": "bot", "containers": [{ "name": "c", "image": "x" }] } });
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let bound = json!({ "kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod.metadata.uid });
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let request = json!({ "spec": { "boundObjectRef": bound } }).to_string().into_bytes();
    let answer: Value = world.client.request(Request::post(path).body(request).unwrap()).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let (port, _shutdown) = serve(&world).await;
    assert_eq!(get_with_token(&world, port, "/apis", token).await, 200);
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    assert_eq!(get_with_token(&world, port, "/apis", token).await, 401);
}

#[tokio::test]
async fn acting_as_another_user_needs_the_right_to() {
    let world = world().await;
    bot(&world).await;
    let ask = |client: kube::Client, path: &str, user: &str| {
        let request = Request::get(path).header("impersonate-user", user).body(Vec::new()).unwrap();
        async move { client.request::<Value>(request).await }
    };
    let bot = "system:serviceaccount:default:bot";
    assert!(ask(world.client.clone(), "/api/v1/namespaces/default/pods", bot).await.is_ok());
    assert!(ask(world.client.clone(), "/api/v1/namespaces/default/secrets", bot).await.is_err());
    let jane = world.api.client_as("jane", ["dev"]);
    assert!(ask(jane, "/apis", "root").await.unwrap_err().to_string().contains("cannot impersonate"));
}

#[tokio::test]
async fn the_kubeconfig_opens_the_door_over_tls_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world().await;
    let (port, shutdown) = serve(&world).await;
    let path = world.folder.path().join("kubeconfig");
    world.pki.write_kubeconfig(&path, &format!("https://127.0.0.1:{port}")).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let config = kube::config::Kubeconfig::read_from(&path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let maps = Api::<ConfigMap>::namespaced(client, "default");
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 0);
    shutdown.cancel();
}

#[tokio::test]
async fn keys_and_certificates_are_reused_after_a_restart() {
    let world = world().await;
    let again = drydock_api::Pki::open(&world.folder.path().join("pki")).unwrap();
    assert_eq!(again.kubeconfig("https://x"), world.pki.kubeconfig("https://x"));
    assert!(again.server_tls().is_ok());
}

#[tokio::test]
async fn reviews_answer_what_a_user_may_do() {
    let world = world().await;
    bot(&world).await;
    let may = |client: kube::Client, verb: &str| {
        let attributes = json!({ "verb": verb, "resource": "pods", "namespace": "default" });
        let body = json!({ "spec": { "resourceAttributes": attributes } }).to_string().into_bytes();
        let request =
            Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").body(body).unwrap();
        async move { client.request::<Value>(request).await.unwrap()["status"]["allowed"].clone() }
    };
    assert_eq!(may(world.client.clone(), "delete").await, true);
    let bot = world.api.client_as("system:serviceaccount:default:bot", ["system:serviceaccounts"]);
    assert_eq!(may(bot.clone(), "list").await, true);
    assert_eq!(may(bot, "delete").await, false);
}

/// A token for `bot` of `default`; `spec` as a TokenRequest has it.
async fn token_for(world: &World, spec: Value) -> Result<Value, kube::Error> {
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let request = Request::post(path).body(json!({ "spec": spec }).to_string().into_bytes()).unwrap();
    world.client.request::<Value>(request).await
}

async fn review(world: &World, token: &str, audiences: &[&str]) -> Value {
    let body = json!({ "spec": { "token": token, "audiences": audiences } }).to_string().into_bytes();
    let request = Request::post("/apis/authentication.k8s.io/v1/tokenreviews").body(body).unwrap();
    world.client.request::<Value>(request).await.unwrap()["status"].take()
}

#[tokio::test]
async fn a_token_is_good_for_its_audience_alone() {
    let world = world().await;
    bot(&world).await;
    let answer = token_for(&world, json!({ "audiences": ["vault"] })).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let (port, _shutdown) = serve(&world).await;
    assert_eq!(get_with_token(&world, port, "/apis", token).await, 401, "it is not for us");
    let told = review(&world, token, &["vault", "other"]).await;
    assert_eq!((&told["authenticated"], &told["audiences"]), (&json!(true), &json!(["vault"])));
    assert_eq!(told["user"]["username"], "system:serviceaccount:default:bot");
    let told = review(&world, token, &[]).await;
    assert_ne!(told["authenticated"], true);
    assert!(told["error"].as_str().unwrap().contains("is invalid for the target audiences"), "{told}");
    assert_eq!(review(&world, "nonsense", &[]).await, json!({ "user": {}, "error": "invalid bearer token" }));
}

#[tokio::test]
async fn a_token_names_the_pod_it_is_bound_to_and_dies_with_secrets_and_nodes_too() {
    let world = world().await;
    bot(&world).await;
    create(&world, "/api/v1/nodes", json!({ "metadata": { "name": "n" } })).await;
    create(&world, "/api/v1/namespaces/default/secrets", json!({ "metadata": { "name": "s" } })).await;
    let pod = json!({ "metadata": { "name": "p" }, "spec": {
        "serviceAccountName": "bot", "nodeName": "n", "containers": [{ "name": "c", "image": "x" }] } });
    create(&world, "/api/v1/namespaces/default/pods", pod).await;
    for (kind, name, path) in [
        ("Secret", "s", "/api/v1/namespaces/default/secrets/s"),
        ("Pod", "p", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0"),
        ("Node", "n", "/api/v1/nodes/n"),
    ] {
        let reference = json!({ "kind": kind, "apiVersion": "v1", "name": name });
        let answer = token_for(&world, json!({ "boundObjectRef": reference })).await.unwrap();
        let token = answer["status"]["token"].as_str().unwrap();
        let told = review(&world, token, &[]).await;
        assert_eq!(told["authenticated"], true, "{kind}: {told}");
        if kind == "Pod" {
            let extra = &told["user"]["extra"];
            assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]));
            assert_eq!(extra["authentication.kubernetes.io/node-name"], json!(["n"]));
            let id = extra["authentication.kubernetes.io/credential-id"][0].as_str().unwrap();
            assert!(id.starts_with("JTI="), "{id}");
        }
        let delete = Request::delete(path).body(Vec::new()).unwrap();
        world.client.request::<Value>(delete).await.unwrap();
        let told = review(&world, token, &[]).await;
        assert!(told["error"].as_str().unwrap().contains("has been invalidated"), "{kind}: {told}");
    }
}

#[tokio::test]
async fn a_token_request_that_makes_no_sense_is_told_so() {
    let world = world().await;
    bot(&world).await;
    for (spec, expect) in [
        (json!({ "expirationSeconds": 60 }), "may not specify a duration less than 10 minutes"),
        (json!({ "expirationSeconds": 1_i64 << 33 }), "may not specify a duration larger than 2^32 seconds"),
        (
            json!({ "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": "gone" } }),
            "pods \"gone\" not found",
        ),
        (
            json!({ "boundObjectRef": { "kind": "ConfigMap", "apiVersion": "v1", "name": "c" } }),
            "cannot bind token to object of type",
        ),
    ] {
        let error = token_for(&world, spec).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[tokio::test]
async fn a_secret_for_an_account_is_filled_and_its_token_dies_with_it() {
    use base64::Engine as _;
    let world = world().await;
    bot(&world).await;
    let secret = json!({ "metadata": { "name": "legacy", "annotations": { "kubernetes.io/service-account.name": "bot" } },
        "type": "kubernetes.io/service-account-token" });
    create(&world, "/api/v1/namespaces/default/secrets", secret).await;
    let path = "/api/v1/namespaces/default/secrets/legacy";
    let stored: Value = world.client.request(Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
    let field = |name: &str| {
        let text = stored["data"][name].as_str().unwrap();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
    };
    assert_eq!((field("namespace").as_str(), field("ca.crt").as_str()), ("default", world.pki.ca_pem()));
    let token = field("token");
    let (port, _shutdown) = serve(&world).await;
    assert_eq!(get_with_token(&world, port, "/api/v1/namespaces/default/pods", &token).await, 200);
    let delete = Request::delete(path).body(Vec::new()).unwrap();
    world.client.request::<Value>(delete).await.unwrap();
    assert_eq!(get_with_token(&world, port, "/apis", &token).await, 401);
}

#[tokio::test]
async fn the_keys_of_tokens_can_change_without_logging_anybody_out() {
    let world = world().await;
    let token = bot(&world).await;
    drydock_api::Pki::rotate_token_key(&world.folder.path().join("pki")).unwrap();
    let pki = drydock_api::Pki::open(&world.folder.path().join("pki")).unwrap();
    let keys: Value =
        world.client.request(Request::get("/openid/v1/jwks").body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert!(pki.accepts_token_signature(&token));
    let document: Value = world
        .client
        .request(Request::get("/.well-known/openid-configuration").body(Vec::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(document["issuer"], "https://kubernetes.default.svc.cluster.local");
}
