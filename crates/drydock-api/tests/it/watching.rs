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
