//! Who gets in: certificates, tokens, roles, and nobody else.

use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::{World, plain_request, serve, world};

async fn create(world: &World, path: &str, object: Value) {
    let request = Request::post(path).body(object.to_string().into_bytes()).unwrap();
    world.client.request::<Value>(request).await.unwrap();
}

/// A service account `bot` that may list pods of `default`, and a token of it.
async fn bot(world: &World) -> String {
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

/// One request as `user`; status code and the answer.
async fn ask_as(
    world: &World,
    user: &str,
    groups: &[&str],
    request: http::request::Builder,
    body: Value,
) -> (u16, Value) {
    use http_body_util::BodyExt as _;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = request.body(axum::body::Body::from(body)).unwrap();
    request.extensions_mut().insert(drydock_api::User::new(user, groups.iter().copied()));
    let response = world.api.answer(request).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn give(world: &World, user: &str, rules: Value) {
    let name = format!("{user}-rights");
    let role = json!({ "metadata": { "name": name }, "rules": rules });
    create(world, &format!("{RBAC}/clusterroles"), role).await;
    let binding = json!({
        "metadata": { "name": name }, "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "User", "name": user }],
    });
    create(world, &format!("{RBAC}/clusterrolebindings"), binding).await;
}

#[tokio::test]
async fn a_refusal_says_who_what_and_where() {
    let world = world().await;
    for (method, path, expect) in [
        (
            "GET",
            "/api/v1/namespaces/y/pods",
            r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "y""#,
        ),
        (
            "GET",
            "/api/v1/namespaces/y/pods/p/log",
            r#"pods "p" is forbidden: User "x" cannot get resource "pods/log" in API group "" in the namespace "y""#,
        ),
        (
            "GET",
            "/api/v1/nodes",
            r#"nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope"#,
        ),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/y/deployments/d",
            r#"deployments.apps "d" is forbidden: User "x" cannot delete resource "deployments" in API group "apps" in the namespace "y""#,
        ),
        (
            "GET",
            "/api/v1/namespaces/y",
            r#"namespaces "y" is forbidden: User "x" cannot get resource "namespaces" in API group "" in the namespace "y""#,
        ),
        ("GET", "/metrics", r#"forbidden: User "x" cannot get path "/metrics""#),
    ] {
        let request = Request::builder().method(method).uri(path);
        let (status, answer) = ask_as(&world, "x", &[], request, Value::Null).await;
        assert_eq!((status, answer["message"].as_str().unwrap()), (403, expect));
    }
    let (status, _) = ask_as(&world, "x", &[], Request::get("/apis"), Value::Null).await;
    assert_eq!(status, 200, "discovery is for everybody who is authenticated");
}

#[tokio::test]
async fn a_right_counts_from_the_next_request_on_and_ends_like_that() {
    let world = world().await;
    let list = || Request::get("/api/v1/pods");
    assert_eq!(ask_as(&world, "jane", &[], list(), Value::Null).await.0, 403);
    give(&world, "jane", json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }])).await;
    assert_eq!(ask_as(&world, "jane", &[], list(), Value::Null).await.0, 200);
    let role = Request::delete(format!("{RBAC}/clusterroles/jane-rights"));
    world.client.request::<Value>(role.body(Vec::new()).unwrap()).await.unwrap();
    let (status, answer) = ask_as(&world, "jane", &[], list(), Value::Null).await;
    assert_eq!(status, 403);
    let reason = r#": RBAC: clusterrole.rbac.authorization.k8s.io "jane-rights" not found"#;
    assert!(answer["message"].as_str().unwrap().ends_with(reason), "{answer}");
}

#[tokio::test]
async fn nobody_grants_more_than_they_hold() {
    let world = world().await;
    let writes = json!({ "verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"] });
    // Not `*`: that would contain `escalate` and `bind`.
    let mut writes = writes;
    writes["verbs"] = json!(["create", "update", "patch", "get"]);
    let pods = json!({ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"] });
    give(&world, "jane", json!([writes, pods])).await;
    let jane = |path: &str, body: Value| {
        let request = Request::post(format!("{RBAC}{path}"));
        let world = &world;
        async move { ask_as(world, "jane", &["dev"], request, body).await }
    };
    let role = |name: &str, verbs: &[&str], resource: &str| json!({ "metadata": { "name": name }, "rules": [{ "verbs": verbs, "apiGroups": [""], "resources": [resource] }] });
    let roles = "/namespaces/default/roles";
    assert_eq!(jane(roles, role("less", &["get"], "pods")).await.0, 201);
    let (status, answer) = jane(roles, role("more", &["get", "delete"], "pods")).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"].as_str().unwrap(),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"jane\" (groups=[\"dev\" \"system:authenticated\"]) \
         is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
    );
    let patch =
        Request::patch(format!("{RBAC}{roles}/less")).header("content-type", "application/merge-patch+json");
    let more = json!({ "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"] }] });
    assert_eq!(ask_as(&world, "jane", &["dev"], patch, more).await.0, 403, "not by changing one either");

    let binding = |kind: &str, role: &str| {
        json!({
            "metadata": { "name": role }, "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
            "subjects": [{ "kind": "User", "name": "jane" }],
        })
    };
    let bindings = "/namespaces/default/rolebindings";
    assert_eq!(jane(bindings, binding("Role", "less")).await.0, 201);
    let (status, answer) = jane(bindings, binding("ClusterRole", "cluster-admin")).await;
    assert_eq!(status, 403);
    assert!(
        answer["message"].as_str().unwrap().contains("{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"),
        "{answer}"
    );
    assert_eq!(jane("/clusterrolebindings", binding("ClusterRole", "cluster-admin")).await.0, 403);
    let aggregating = json!({ "metadata": { "name": "all" }, "rules": [],
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "a": "b" } }] } });
    let (status, answer) = jane("/clusterroles", aggregating).await;
    assert_eq!(status, 403);
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .ends_with("must have cluster-admin privileges to use the aggregationRule")
    );
    assert_eq!(jane(bindings, binding("Role", "gone")).await.0, 404);
}

#[tokio::test]
async fn bind_and_escalate_lift_the_restriction_for_what_they_name() {
    let world = world().await;
    let bind = json!({ "verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["cluster-admin"] });
    let escalate = json!({ "verbs": ["escalate", "create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"] });
    let write = json!({ "verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings"] });
    give(&world, "jane", json!([bind, escalate, write])).await;
    let home = format!("{RBAC}/namespaces/default");
    let role = json!({ "metadata": { "name": "all" }, "rules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }] });
    assert_eq!(ask_as(&world, "jane", &[], Request::post(format!("{home}/roles")), role).await.0, 201);
    for (role, expect) in [("cluster-admin", 201), ("system:node", 403)] {
        let binding = json!({ "metadata": { "name": role }, "subjects": [],
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role } });
        let request = Request::post(format!("{home}/rolebindings"));
        assert_eq!(ask_as(&world, "jane", &[], request, binding).await.0, expect, "{role}");
    }
}

#[tokio::test]
async fn what_a_caller_claims_to_be_is_asked_for_one_by_one() {
    let world = world().await;
    let may = |resource: &str, name: &str| {
        let group = if matches!(resource, "users" | "groups") { "" } else { "authentication.k8s.io" };
        json!({ "verbs": ["impersonate"], "apiGroups": [group], "resources": [resource], "resourceNames": [name] })
    };
    give(
        &world,
        "jane",
        json!([
            may("users", "bob"),
            may("groups", "dev"),
            may("userextras/acme.com/team", "red"),
            may("uids", "7")
        ]),
    )
    .await;
    let ask = |headers: &[(&str, &str)]| {
        let mut request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let world = &world;
        async move { ask_as(world, "jane", &[], request, json!({})).await }
    };
    let all = [
        ("impersonate-user", "bob"),
        ("impersonate-group", "dev"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-acme.com%2Fteam", "red"),
    ];
    let (status, answer) = ask(&all).await;
    assert_eq!(status, 201, "{answer}");
    let expect = json!({ "username": "bob", "uid": "7", "groups": ["dev", "system:authenticated"], "extra": { "acme.com/team": ["red"] } });
    assert_eq!(answer["status"]["userInfo"], expect);
    for wrong in [
        ("impersonate-user", "root"),
        ("impersonate-group", "system:masters"),
        ("impersonate-uid", "8"),
        ("impersonate-extra-acme.com%2Fteam", "blue"),
    ] {
        let mut headers = vec![("impersonate-user", "bob")];
        headers.retain(|(name, _)| *name != wrong.0);
        headers.push(wrong);
        let (status, answer) = ask(&headers).await;
        assert_eq!(status, 403, "{wrong:?}: {answer}");
    }
    assert_eq!(ask(&[("impersonate-group", "dev")]).await.0, 400);
}

#[tokio::test]
async fn a_constrained_impersonator_acts_as_another_only_for_what_is_named() {
    let world = world().await;
    let as_bob = json!({ "verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"], "resources": ["users"], "resourceNames": ["bob"] });
    let on_list =
        json!({ "verbs": ["impersonate-on:user-info:list"], "apiGroups": [""], "resources": ["pods"] });
    give(&world, "jane", json!([as_bob, on_list])).await;
    give(&world, "bob", json!([{ "verbs": ["*"], "apiGroups": [""], "resources": ["pods", "secrets"] }]))
        .await;
    let ask = |path: &str| {
        let request = Request::get(path).header("impersonate-user", "bob");
        let world = &world;
        async move { ask_as(world, "jane", &[], request, Value::Null).await.0 }
    };
    assert_eq!(ask("/api/v1/pods").await, 200);
    assert_eq!(ask("/api/v1/secrets").await, 403);
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

#[tokio::test]
async fn rules_are_listed_for_who_asks() {
    let world = world().await;
    give(&world, "jane", json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }])).await;
    let request = || Request::post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews");
    let (_, answer) =
        ask_as(&world, "jane", &[], request(), json!({ "spec": { "namespace": "default" } })).await;
    let rules = answer["status"]["resourceRules"].as_array().unwrap();
    assert!(
        rules.contains(&json!({ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] })),
        "{answer}"
    );
    assert!(
        answer["status"]["nonResourceRules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["nonResourceURLs"].to_string().contains("/healthz"))
    );
    assert_eq!(ask_as(&world, "jane", &[], request(), json!({})).await.0, 400);
    let old = Request::post("/apis/authentication.k8s.io/v1alpha1/selfsubjectreviews");
    let (status, answer) = ask_as(&world, "jane", &[], old, json!({})).await;
    assert_eq!((status, &answer["apiVersion"]), (201, &json!("authentication.k8s.io/v1alpha1")));
}

#[tokio::test]
async fn a_default_role_that_lost_a_rule_gets_it_back_unless_somebody_keeps_it() {
    let world = world().await;
    let path = format!("{RBAC}/clusterroles/system:discovery");
    let patch = |annotation: &str| {
        let body = json!({ "rules": [], "metadata": { "annotations": { "rbac.authorization.kubernetes.io/autoupdate": annotation } } });
        Request::patch(&path)
            .header("content-type", "application/merge-patch+json")
            .body(body.to_string().into_bytes())
            .unwrap()
    };
    for (annotation, healed) in [("true", true), ("false", false)] {
        world.client.request::<Value>(patch(annotation)).await.unwrap();
        world.api.reconcile().await.unwrap();
        let role: Value = world.client.request(Request::get(&path).body(Vec::new()).unwrap()).await.unwrap();
        assert_eq!(
            role["rules"].as_array().is_some_and(|rules| !rules.is_empty()),
            healed,
            "{annotation}: {role}"
        );
    }
}
