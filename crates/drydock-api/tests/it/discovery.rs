//! Which kinds there are, in each form clients ask for; compared with what a real API server of the same version says.

use http::Method;
use serde_json::{Value, json};

use crate::protobuf::{Answer, send};
use crate::{World, world};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(world, Method::GET, path, headers, b"").await
}

fn named<'v>(list: &'v Value, key: &str, name: &str) -> &'v Value {
    list.as_array()
        .unwrap()
        .iter()
        .find(|item| item[key] == name)
        .unwrap_or_else(|| panic!("no {name}: {list}"))
}

#[tokio::test]
async fn the_aggregated_form_comes_in_the_version_that_was_named() {
    let world = world().await;
    let both = format!("{V2},{V2BETA1},application/json");
    let answer = get(&world, "/apis", &[("accept", &both)]).await;
    assert_eq!(answer.header("content-type"), V2);
    let document = answer.json();
    assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
    let apps = document["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "apps");
    let deployments = named(&apps.unwrap()["versions"][0]["resources"], "resource", "deployments");
    assert_eq!(deployments["responseKind"], json!({ "group": "", "version": "", "kind": "Deployment" }));
    assert_eq!(deployments["shortNames"], json!(["deploy"]));
    let scale = named(&deployments["subresources"], "subresource", "scale");
    assert_eq!(scale["responseKind"], json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" }));
    let old = get(&world, "/api", &[("accept", &format!("{V2BETA1},application/json"))]).await;
    assert_eq!(
        (old.header("content-type"), &old.json()["apiVersion"]),
        (V2BETA1, &json!("apidiscovery.k8s.io/v2beta1"))
    );
    let known = get(&world, "/apis", &[("accept", &both), ("if-none-match", answer.header("etag"))]).await;
    assert_eq!((known.code, known.bytes.len()), (304, 0));
}

#[tokio::test]
async fn the_legacy_form_lists_subresources_and_storage() {
    let world = world().await;
    let list = get(&world, "/apis/apps/v1", &[]).await.json();
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|resource| resource["name"].as_str())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    let deployments = named(&list["resources"], "name", "deployments");
    // Told by a real API server, as are the ones below.
    assert_eq!(deployments["storageVersionHash"], "8aSe+NMegvE=");
    assert_eq!(named(&list["resources"], "name", "deployments/scale")["kind"], "Scale");
    let old = get(&world, "/apis/autoscaling/v1", &[]).await.json();
    assert_eq!(old["resources"][0]["storageVersionHash"], "qwQve8ut294=");
    let events = get(&world, "/apis/events.k8s.io/v1", &[]).await.json();
    assert_eq!(events["resources"][0]["storageVersionHash"], "r2yiGXH7wu8=");
}

#[tokio::test]
async fn groups_stand_in_the_order_of_a_real_cluster() {
    let world = world().await;
    let groups = get(&world, "/apis", &[]).await.json();
    let names: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().filter_map(|group| group["name"].as_str()).collect();
    assert_eq!(
        names[..5],
        ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io"]
    );
    assert_eq!(named(&groups["groups"], "name", "autoscaling")["preferredVersion"]["version"], "v2");
}

#[tokio::test]
async fn probes_answer_as_a_whole_and_check_by_check() {
    let world = world().await;
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/etcd-readiness"] {
        assert_eq!(get(&world, path, &[]).await.text(), "ok", "{path}");
    }
    let verbose = get(&world, "/readyz?verbose&exclude=etcd", &[]).await.text();
    assert!(verbose.starts_with("[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n"), "{verbose}");
    assert!(verbose.ends_with("[+]shutdown ok\nreadyz check passed\n"), "{verbose}");
    assert_eq!(get(&world, "/livez/none", &[]).await.code, 404);
}

#[tokio::test]
async fn paths_that_nothing_serves_are_plainly_not_found() {
    let world = world().await;
    for path in ["/nope", "/apis/none.example.com", "/apis/none.example.com/v1"] {
        let answer = get(&world, path, &[]).await;
        assert_eq!((answer.code, answer.text().as_str()), (404, "404 page not found\n"), "{path}");
    }
    for path in ["/apis/apps/v1/nopes", "/apis/apps/v9", "/api/v2"] {
        let status = get(&world, path, &[]).await.json();
        assert_eq!((&status["reason"], &status["details"]), (&json!("NotFound"), &json!({})), "{path}");
    }
    let paths = get(&world, "/", &[]).await.json();
    assert!(paths["paths"].as_array().unwrap().contains(&json!("/apis/apps/v1")));
}

#[tokio::test]
async fn requests_are_counted_for_prometheus() {
    let world = world().await;
    get(&world, "/api/v1/namespaces/default/configmaps/none", &[]).await;
    let metrics = get(&world, "/metrics", &[]).await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let line = "apiserver_request_total{code=\"404\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"} 1\n";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}
