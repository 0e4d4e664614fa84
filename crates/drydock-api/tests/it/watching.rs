//! Watches through kube's own watcher, in both of its modes.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::json;

use crate::crud::deployment;
use crate::world;

/// What a reflector would hold after each step.
async fn a_watcher_follows(config: Config) {
    let world = world().await;
    let api = Api::<Deployment>::namespaced(world.client.clone(), "default");
    api.create(&PostParams::default(), &deployment("before")).await.unwrap();
    let mut events = Box::pin(watcher(api.clone(), config));
    let mut seen = BTreeSet::new();
    loop {
        match events.next().await.unwrap().unwrap() {
            Event::Init => seen.clear(),
            Event::InitApply(one) | Event::Apply(one) => drop(seen.insert(one.metadata.name.unwrap())),
            Event::Delete(one) => drop(seen.remove(&one.metadata.name.unwrap())),
            Event::InitDone => break,
        }
    }
    assert_eq!(seen, BTreeSet::from(["before".to_owned()]));
    api.create(&PostParams::default(), &deployment("after")).await.unwrap();
    assert!(
        matches!(events.next().await.unwrap().unwrap(), Event::Apply(one) if one.metadata.name.as_deref() == Some("after"))
    );
    api.delete("before", &DeleteParams::default()).await.unwrap();
    assert!(
        matches!(events.next().await.unwrap().unwrap(), Event::Delete(one) if one.metadata.name.as_deref() == Some("before"))
    );
}

#[tokio::test]
async fn a_watcher_that_lists_first_follows_changes() {
    a_watcher_follows(Config::default()).await;
}

#[tokio::test]
async fn a_watcher_that_streams_its_list_follows_changes() {
    a_watcher_follows(Config::default().streaming_lists()).await;
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection_as_if_created_and_deleted() {
    let world = world().await;
    let api = Api::<Deployment>::namespaced(world.client.clone(), "default");
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let mut events = Box::pin(api.watch(&WatchParams::default().labels("color=red"), "0").await.unwrap());
    let paint = |color: &str| Patch::Merge(json!({ "metadata": { "labels": { "color": color } } }));
    let mut last = 0;
    for (color, expect) in [("red", "added"), ("blue", "deleted"), ("red", "added")] {
        api.patch("web", &PatchParams::default(), &paint(color)).await.unwrap();
        let (word, object) = match events.next().await.unwrap().unwrap() {
            WatchEvent::Added(object) => ("added", object),
            WatchEvent::Modified(object) => ("modified", object),
            WatchEvent::Deleted(object) => ("deleted", object),
            other => panic!("unexpected {other:?}"),
        };
        assert_eq!(word, expect);
        let revision: u64 = object.metadata.resource_version.unwrap().parse().unwrap();
        assert!(revision > last);
        last = revision;
    }
}

#[tokio::test]
async fn a_watch_from_the_future_is_told_to_start_over() {
    let world = world().await;
    let api = Api::<Deployment>::namespaced(world.client.clone(), "default");
    let mut events = Box::pin(api.watch(&WatchParams::default(), "999999").await.unwrap());
    match events.next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => assert_eq!((status.code, status.reason.as_str()), (410, "Expired")),
        other => panic!("unexpected {other:?}"),
    }
}

/// The types and names of a watch's first lines, and what the last of them carries as annotations.
async fn lines(world: &crate::World, query: &str, count: usize) -> Vec<(String, serde_json::Value)> {
    use futures::AsyncBufReadExt as _;
    let path = format!("/apis/apps/v1/namespaces/default/deployments?watch=true&{query}");
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let lines = world.client.request_stream(request).await.unwrap().lines();
    let parse = |line: std::io::Result<String>| {
        let mut line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        (line["type"].as_str().unwrap().to_owned(), line["object"]["metadata"].take())
    };
    lines.take(count).map(parse).collect().await
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark_that_says_so() {
    let world = world().await;
    let api = Api::<Deployment>::namespaced(world.client.clone(), "default");
    api.create(&PostParams::default(), &deployment("a")).await.unwrap();
    api.create(&PostParams::default(), &deployment("b")).await.unwrap();
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let lines = lines(&world, query, 3).await;
    let words: Vec<_> = lines.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["ADDED", "ADDED", "BOOKMARK"]);
    assert_eq!(lines[2].1["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn a_watch_that_times_out_says_how_far_it_came() {
    let world = world().await;
    let api = Api::<Deployment>::namespaced(world.client.clone(), "default");
    let seen = api.create(&PostParams::default(), &deployment("a")).await.unwrap();
    let seen = seen.metadata.resource_version.unwrap();
    let maps = Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(world.client.clone(), "default");
    let other = serde_json::from_value(json!({ "metadata": { "name": "other" } })).unwrap();
    let other = maps.create(&PostParams::default(), &other).await.unwrap();
    let query = format!("resourceVersion={seen}&allowWatchBookmarks=true&timeoutSeconds=1");
    let lines = lines(&world, &query, 9).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].0, "BOOKMARK");
    assert_eq!(lines[0].1["resourceVersion"], other.metadata.resource_version.unwrap());
}

#[tokio::test]
async fn watches_in_different_forms_and_selections_of_one_change_do_not_mix() {
    let world = world().await;
    let api = Api::<Deployment>::namespaced(world.client.clone(), "default");
    let plain = api.watch(&WatchParams::default(), "0").await.unwrap();
    let red = api.watch(&WatchParams::default().labels("color=red"), "0").await.unwrap();
    let metadata = api.watch_metadata(&WatchParams::default(), "0").await.unwrap();
    let mut made = deployment("web");
    made.metadata.labels.get_or_insert_default().insert("color".into(), "red".into());
    api.create(&PostParams::default(), &made).await.unwrap();
    let paint = Patch::Merge(json!({ "metadata": { "labels": { "color": "blue" } } }));
    api.patch("web", &PatchParams::default(), &paint).await.unwrap();
    let words = |events: Vec<Result<WatchEvent<Deployment>, kube::Error>>| -> Vec<(&'static str, String)> {
        let color = |object: Deployment| object.metadata.labels.unwrap()["color"].clone();
        let word = |event: WatchEvent<Deployment>| match event {
            WatchEvent::Added(object) => ("added", color(object)),
            WatchEvent::Modified(object) => ("modified", color(object)),
            WatchEvent::Deleted(object) => ("deleted", color(object)),
            other => panic!("unexpected {other:?}"),
        };
        events.into_iter().map(|event| word(event.unwrap())).collect()
    };
    assert_eq!(words(plain.take(2).collect().await), [("added", "red".into()), ("modified", "blue".into())]);
    assert_eq!(words(red.take(2).collect().await), [("added", "red".into()), ("deleted", "red".into())]);
    let metadata: Vec<_> = metadata.take(2).collect().await;
    assert!(metadata.iter().all(|event| matches!(event, Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) if object.types.as_ref().unwrap().kind == "PartialObjectMetadata")));
}
