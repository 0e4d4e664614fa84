//! What other objects demand of a new one: quotas, limit ranges, classes, accounts, namespaces.

use serde_json::{Value, json};

use crate::shared::ask;
use crate::{World, world};

async fn create(world: &World, path: &str, object: Value) -> (u16, Value) {
    ask(&world.api, "POST", path, object).await
}

async fn make(world: &World, path: &str, object: Value) -> Value {
    let (status, answer) = create(world, path, object).await;
    assert_eq!(status, 201, "{answer}");
    answer
}

fn pod(name: &str, resources: Value) -> Value {
    let container = json!({ "name": "a", "image": "b:1", "resources": resources });
    json!({ "metadata": { "name": name }, "spec": { "containers": [container] } })
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn a_quota_is_never_exceeded_not_even_by_many_at_once() {
    let world = world().await;
    let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "3" } } });
    make(&world, "/api/v1/namespaces/default/resourcequotas", quota).await;
    let names: Vec<String> = (0..10).map(|index| format!("p{index}")).collect();
    let all = names.iter().map(|name| create(&world, PODS, pod(name, json!({}))));
    let answers = futures::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 3);
    let (status, refused) = answers.iter().find(|(status, _)| *status != 201).unwrap();
    assert_eq!((*status, &refused["reason"]), (403, &json!("Forbidden")));
    let why = "is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3";
    assert!(refused["message"].as_str().unwrap().ends_with(why), "{refused}");
    let gone = names.iter().zip(&answers).find(|(_, (status, _))| *status == 201).unwrap().0;
    ask(&world.api, "DELETE", &format!("{PODS}/{gone}"), Value::Null).await;
    make(&world, PODS, pod("again", json!({}))).await;
}

#[tokio::test]
async fn a_quota_on_resources_wants_them_stated() {
    let world = world().await;
    let hard = json!({ "requests.cpu": "1", "count/configmaps": "1" });
    let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": hard } });
    make(&world, "/api/v1/namespaces/default/resourcequotas", quota).await;
    let (status, answer) = create(&world, PODS, pod("p", json!({}))).await;
    assert_eq!(status, 403);
    let expect = r#"pods "p" is forbidden: failed quota: q: must specify requests.cpu for: a"#;
    assert_eq!(answer["message"], expect);
    make(&world, PODS, pod("p", json!({ "requests": { "cpu": "800m" } }))).await;
    let (_, answer) = create(&world, PODS, pod("r", json!({ "requests": { "cpu": "300m" } }))).await;
    let expect = r#"pods "r" is forbidden: exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: requests.cpu=1"#;
    assert_eq!(answer["message"], expect);
    let maps = "/api/v1/namespaces/default/configmaps";
    make(&world, maps, json!({ "metadata": { "name": "a" } })).await;
    let (status, answer) = create(&world, maps, json!({ "metadata": { "name": "b" } })).await;
    assert_eq!(status, 403, "{answer}");
}

#[tokio::test]
async fn a_limit_range_fills_in_and_bounds() {
    let world = world().await;
    let limit = json!({ "type": "Container", "max": { "cpu": "1" }, "default": { "cpu": "500m" } });
    let range = json!({ "metadata": { "name": "r" }, "spec": { "limits": [limit] } });
    make(&world, "/api/v1/namespaces/default/limitranges", range).await;
    let made = make(&world, PODS, pod("p", json!({}))).await;
    let resources = &made["spec"]["containers"][0]["resources"];
    assert_eq!(resources, &json!({ "limits": { "cpu": "500m" }, "requests": { "cpu": "500m" } }));
    let (status, answer) = create(&world, PODS, pod("r", json!({ "limits": { "cpu": "2" } }))).await;
    assert_eq!(status, 403);
    let expect = r#"pods "r" is forbidden: maximum cpu usage per Container is 1, but limit is 2"#;
    assert!(answer["message"].as_str().unwrap().starts_with(expect), "{answer}");
}

#[tokio::test]
async fn a_pod_gets_the_priority_of_its_class() {
    let world = world().await;
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    make(
        &world,
        classes,
        json!({ "metadata": { "name": "high" }, "value": 100, "preemptionPolicy": "Never" }),
    )
    .await;
    let mut important = pod("p", json!({}));
    important["spec"]["priorityClassName"] = "high".into();
    let made = make(&world, PODS, important.clone()).await;
    assert_eq!(
        (&made["spec"]["priority"], &made["spec"]["preemptionPolicy"]),
        (&json!(100), &json!("Never"))
    );
    important["spec"]["priorityClassName"] = "higher".into();
    let (_, answer) = create(&world, PODS, important).await;
    let expect = r#"pods "p" is forbidden: no PriorityClass with name higher was found"#;
    assert_eq!(answer["message"], expect);
}

#[tokio::test]
async fn a_pod_needs_its_account_and_uses_its_pull_secrets() {
    let world = world().await;
    make(&world, "/api/v1/namespaces", json!({ "metadata": { "name": "n" } })).await;
    make(&world, "/api/v1/namespaces/n/pods", pod("early", json!({}))).await;
    let account = json!({ "metadata": { "name": "bot" }, "imagePullSecrets": [{ "name": "pull" }] });
    make(&world, "/api/v1/namespaces/n/serviceaccounts", account).await;
    let mut acting = pod("p", json!({}));
    acting["spec"]["serviceAccountName"] = "bot".into();
    let made = make(&world, "/api/v1/namespaces/n/pods", acting.clone()).await;
    assert_eq!(made["spec"]["imagePullSecrets"], json!([{ "name": "pull" }]));
    acting["spec"]["serviceAccountName"] = "nobody".into();
    let (status, answer) = create(&world, "/api/v1/namespaces/n/pods", acting).await;
    let expect = r#"pods "p" is forbidden: error looking up service account n/nobody: serviceaccount "nobody" not found"#;
    assert_eq!((status, &answer["message"]), (403, &json!(expect)));
}

#[tokio::test]
async fn a_claim_grows_only_where_its_class_allows_it() {
    let world = world().await;
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let mark = json!({ "storageclass.kubernetes.io/is-default-class": "true" });
    make(&world, classes, json!({ "metadata": { "name": "c", "annotations": mark }, "provisioner": "p" }))
        .await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let resources = json!({ "requests": { "storage": "1Gi" } });
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": resources, "volumeName": "v" });
    let made = make(&world, claims, json!({ "metadata": { "name": "a" }, "spec": spec })).await;
    assert_eq!(made["spec"]["storageClassName"], "c");
    assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let larger = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
    let one = format!("{claims}/a");
    let bound = json!({ "status": { "phase": "Bound" } });
    ask(&world.api, "PATCH", &format!("{one}/status"), bound).await;
    let (status, answer) = ask(&world.api, "PATCH", &one, larger.clone()).await;
    assert_eq!(status, 403, "{answer}");
    ask(&world.api, "PATCH", &format!("{classes}/c"), json!({ "allowVolumeExpansion": true })).await;
    let (status, answer) = ask(&world.api, "PATCH", &one, larger).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_terminating_namespace_takes_nothing_new_and_some_never_terminate() {
    let world = world().await;
    make(&world, "/api/v1/namespaces", json!({ "metadata": { "name": "n" } })).await;
    ask(&world.api, "DELETE", "/api/v1/namespaces/n", Value::Null).await;
    let (status, answer) =
        create(&world, "/api/v1/namespaces/n/configmaps", json!({ "metadata": { "name": "a" } })).await;
    assert_eq!((status, &answer["reason"]), (403, &json!("Forbidden")));
    let cause = &answer["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"]),
        (&json!("NamespaceTerminating"), &json!("metadata.namespace"))
    );
    let (status, answer) = ask(&world.api, "DELETE", "/api/v1/namespaces/default", Value::Null).await;
    let expect = r#"namespaces "default" is forbidden: this namespace may not be deleted"#;
    assert_eq!((status, &answer["message"]), (403, &json!(expect)));
}

/// Sets a pod's or budget's status as its controller would.
async fn tell(world: &World, path: &str, status: Value) {
    let (code, answer) =
        ask(&world.api, "PATCH", &format!("{path}/status"), json!({ "status": status })).await;
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test]
async fn an_eviction_takes_a_disruption_from_the_budget_once() {
    let world = world().await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let expression = json!({ "key": "app", "operator": "In", "values": ["a", "b"] });
    let spec = json!({ "minAvailable": 1, "selector": { "matchExpressions": [expression] } });
    make(&world, budgets, json!({ "metadata": { "name": "b" }, "spec": spec })).await;
    for name in ["p", "r"] {
        let mut labelled = pod(name, json!({}));
        labelled["metadata"]["labels"] = json!({ "app": "a" });
        make(&world, PODS, labelled).await;
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        tell(&world, &format!("{PODS}/{name}"), json!({ "phase": "Running", "conditions": ready })).await;
    }
    let evict = |name: &'static str, query: &'static str| {
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name } });
        let api = world.api.clone();
        async move { ask(&api, "POST", &format!("{PODS}/{name}/eviction{query}"), eviction).await }
    };
    let (status, answer) = evict("p", "").await;
    assert_eq!((status, &answer["details"]["retryAfterSeconds"]), (429, &json!(10)), "{answer}");
    let state = json!({
        "observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
    });
    tell(&world, &format!("{budgets}/b"), state).await;
    assert_eq!(evict("p", "?dryRun=All").await.0, 201);
    assert_eq!(ask(&world.api, "GET", &format!("{PODS}/p"), Value::Null).await.0, 200);
    assert_eq!(evict("p", "").await.0, 201);
    let (status, answer) = evict("r", "").await;
    assert_eq!((status, &answer["reason"]), (429, &json!("TooManyRequests")));
    let cause = &answer["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    assert_eq!(cause["message"], "The disruption budget b needs 1 healthy pods and has 2 currently");
}
