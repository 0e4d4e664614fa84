//! Who may do what: decisions, refusals, what may be given away, and acting as somebody else.

use http::Request;
use serde_json::{Value, json};

use crate::access::create;
use crate::{World, world};

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
