//! Lists: pages that show one revision, the rules of resourceVersion, and what a client is told that asks too late.

use http::Request;
use serde_json::{Value, json};

use crate::{World, world};

const PATH: &str = "/api/v1/namespaces/default/configmaps";

/// The answer as a client in process gets it, a refusal included.
async fn ask(world: &World, request: Request<Vec<u8>>) -> Value {
    match world.client.request_text(request).await {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(kube::Error::Api(status)) => json!({
            "code": status.code, "reason": status.reason, "message": status.message,
            "continue": status.metadata.and_then(|metadata| metadata.continue_),
        }),
        Err(other) => panic!("{other}"),
    }
}

async fn get(world: &World, query: &str) -> Value {
    ask(world, Request::get(format!("{PATH}?{query}")).body(Vec::new()).unwrap()).await
}

async fn put(world: &World, name: &str, color: &str) -> String {
    let body = json!({ "metadata": { "name": name, "labels": { "color": color } } }).to_string();
    let created = ask(world, Request::post(PATH).body(body.into_bytes()).unwrap()).await;
    created["metadata"]["resourceVersion"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
}

async fn remove(world: &World, name: &str) {
    ask(world, Request::delete(format!("{PATH}/{name}")).body(Vec::new()).unwrap()).await;
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

fn token(list: &Value) -> String {
    list["metadata"]["continue"].as_str().unwrap_or_else(|| panic!("no continue token in {list}")).to_owned()
}

async fn three(world: &World) -> String {
    put(world, "a", "red").await;
    put(world, "b", "blue").await;
    put(world, "c", "red").await
}

#[tokio::test]
async fn pages_show_the_revision_of_the_first() {
    let world = world().await;
    let then = three(&world).await;
    let first = get(&world, "limit=1").await;
    assert_eq!((names(&first), first["metadata"]["remainingItemCount"].as_i64()), (vec!["a"], Some(2)));
    remove(&world, "b").await;
    put(&world, "bb", "red").await;
    let second = get(&world, &format!("limit=1&continue={}", token(&first))).await;
    let third = get(&world, &format!("limit=1&continue={}", token(&second))).await;
    assert_eq!((names(&second), names(&third)), (vec!["b"], vec!["c"]));
    for page in [&first, &second, &third] {
        assert_eq!(page["metadata"]["resourceVersion"], then.as_str());
        assert_eq!(page["kind"], "ConfigMapList");
    }
    assert_eq!(third["metadata"].get("continue"), None);
}

#[tokio::test]
async fn pages_of_a_selection_count_what_matches_and_do_not_guess_the_rest() {
    let world = world().await;
    three(&world).await;
    let first = get(&world, "limit=1&labelSelector=color%3Dred").await;
    assert_eq!((names(&first), first["metadata"].get("remainingItemCount")), (vec!["a"], None));
    let second = get(&world, &format!("limit=1&labelSelector=color%3Dred&continue={}", token(&first))).await;
    assert_eq!((names(&second), second["metadata"].get("continue")), (vec!["c"], None));
}

#[tokio::test]
async fn an_older_revision_is_shown_when_it_is_asked_for_exactly() {
    let world = world().await;
    let then = three(&world).await;
    remove(&world, "b").await;
    let exact = get(&world, &format!("resourceVersion={then}&resourceVersionMatch=Exact")).await;
    assert_eq!(names(&exact), ["a", "b", "c"]);
    for newest in [format!("resourceVersion={then}"), "resourceVersion=0".into(), String::new()] {
        assert_eq!(names(&get(&world, &newest).await), ["a", "c"], "{newest}");
    }
    let paged = get(&world, &format!("resourceVersion={then}&limit=5")).await;
    assert_eq!(names(&paged), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_revision_from_the_future_is_refused_for_now() {
    let world = world().await;
    for path in ["resourceVersion=99999", "resourceVersion=99999&resourceVersionMatch=Exact"] {
        let refused = get(&world, path).await;
        assert_eq!((refused["code"].as_i64(), refused["reason"].as_str()), (Some(504), Some("Timeout")));
        assert!(
            refused["message"].as_str().unwrap().starts_with("Timeout: Too large resource version: 99999")
        );
    }
}

#[tokio::test]
async fn a_page_that_comes_too_late_is_offered_the_newest_state() {
    let world =
        crate::world_with_store(drydock_store::Options { keep_events: 4, ..Default::default() }).await;
    let then = three(&world).await;
    let first = get(&world, "limit=1").await;
    for n in 0..8 {
        put(&world, &format!("x{n}"), "red").await;
    }
    let late = get(&world, &format!("limit=1&continue={}", token(&first))).await;
    assert_eq!((late["code"].as_i64(), late["reason"].as_str()), (Some(410), Some("Expired")));
    assert!(late["message"].as_str().unwrap().contains("or use the continue token in this response"));
    let rest = get(&world, &format!("continue={}", late["continue"].as_str().unwrap())).await;
    assert_eq!(names(&rest).len(), 2 + 8 + usize::from(names(&rest).contains(&"kube-root-ca.crt")));
    assert_eq!(names(&rest)[0], "b");
    let exact = get(&world, &format!("resourceVersion={then}&resourceVersionMatch=Exact")).await;
    assert_eq!(exact["code"], 410);
}

#[tokio::test]
async fn a_long_list_arrives_whole() {
    let world = world().await;
    let filler = "x".repeat(3000);
    for n in 0..60 {
        let body = json!({ "metadata": { "name": format!("n{n:02}") }, "data": { "filler": filler } });
        ask(&world, Request::post(PATH).body(body.to_string().into_bytes()).unwrap()).await;
    }
    let list = get(&world, "").await;
    let found = names(&list).into_iter().filter(|name| name.starts_with('n')).count();
    assert_eq!(found, 60);
    let items = list["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["metadata"]["resourceVersion"].is_string()));
}
