//! The law of watches: what a list shows and a watch adds is the state, for every selection, whoever writes meanwhile.
//!
//! Writers create, label and delete a few objects at once; watches with other selections look on. A marker ends each.
//! The unselected watch is the history; every other one must be its projection, event by event.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::{World, world};

const NAMES: usize = 6;
const WRITERS: usize = 5;
const STEPS: usize = 40;
const MARKER: &str = "zz-marker";

/// `(word, name, revision, label)`; the marker is told apart by its name.
type Seen = (String, String, u64, String);

fn maps(world: &World) -> Api<ConfigMap> {
    Api::namespaced(world.client.clone(), "default")
}

/// One watch from `revision`, until the marker passes.
async fn watch(world: &World, query: &str, revision: &str) -> Vec<Seen> {
    let path = format!(
        "/api/v1/namespaces/default/configmaps?watch=1&allowWatchBookmarks=true&resourceVersion={revision}{query}"
    );
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let events = world.client.request_events::<Value>(request).await.unwrap();
    let mut events = Box::pin(events);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let (word, object) = match event.unwrap() {
            kube::api::WatchEvent::Added(object) => ("ADDED", object),
            kube::api::WatchEvent::Modified(object) => ("MODIFIED", object),
            kube::api::WatchEvent::Deleted(object) => ("DELETED", object),
            kube::api::WatchEvent::Bookmark(_) => continue,
            kube::api::WatchEvent::Error(status) => panic!("{status:?}"),
        };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        let one = (
            word.to_owned(),
            text("/metadata/name"),
            text("/metadata/resourceVersion").parse().unwrap(),
            text("/metadata/labels/color"),
        );
        if one.1 == MARKER {
            return seen;
        }
        seen.push(one);
    }
    panic!("the watch ended before the marker; seen {seen:?}");
}

/// What a watch of a selection must show, given the whole history from its start on. An object that leaves the
/// selection is shown as it was inside.
fn projection(
    history: &[Seen],
    selected: impl Fn(&Seen) -> bool,
    start: &BTreeMap<String, Seen>,
) -> Vec<Seen> {
    let mut known = start.clone();
    let mut out = Vec::new();
    for one in history {
        let before = known.get(&one.1).filter(|before| selected(before)).cloned();
        let is = one.0 != "DELETED" && selected(one);
        let (word, shown) = match (&before, is) {
            (None, true) => ("ADDED", one),
            (Some(_), true) => ("MODIFIED", one),
            (Some(before), false) => ("DELETED", before),
            (None, false) => ("", one),
        };
        if !word.is_empty() {
            out.push((word.to_owned(), one.1.clone(), one.2, shown.3.clone()));
        }
        match one.0.as_str() {
            "DELETED" => drop(known.remove(&one.1)),
            _ => drop(known.insert(one.1.clone(), one.clone())),
        }
    }
    out
}

async fn write_wildly(world: &World, writer: usize) {
    let api = maps(world);
    for _ in 0..STEPS {
        let (name, what, color) = {
            let mut random = rand::rng();
            let color = ["red", "blue"][random.random_range(0..2)];
            (format!("n{}", random.random_range(0..NAMES)), random.random_range(0..4), color)
        };
        // Losing a race is part of the game.
        let _lost = match what {
            0 => {
                let object = json!({ "metadata": { "name": name, "labels": { "color": color } } });
                api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.map(drop)
            }
            1 => api.delete(&name, &DeleteParams::default()).await.map(drop),
            2 => {
                let patch = json!({ "metadata": { "labels": { "color": color } } });
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
            }
            _ => {
                let patch = json!({ "data": { "by": writer.to_string(), "at": uuid_like() } });
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
            }
        };
    }
}

fn uuid_like() -> String {
    rand::rng().random::<u64>().to_string()
}

async fn mark(world: &World) {
    let marker = json!({ "metadata": { "name": MARKER, "labels": { "color": "red", "marker": "yes" } } });
    maps(world).create(&PostParams::default(), &serde_json::from_value(marker).unwrap()).await.unwrap();
}

/// The state by name, and the revision of the list.
async fn listed(world: &World, labels: &str) -> (BTreeMap<String, u64>, String) {
    let list = maps(world).list(&ListParams::default().labels(labels)).await.unwrap();
    let one = |map: &ConfigMap| {
        let metadata = &map.metadata;
        (metadata.name.clone().unwrap(), metadata.resource_version.clone().unwrap().parse().unwrap())
    };
    let state = list.items.iter().map(one).filter(|(name, _)| name != MARKER).collect();
    (state, list.metadata.resource_version.unwrap())
}

fn applied(mut state: BTreeMap<String, u64>, events: &[Seen]) -> BTreeMap<String, u64> {
    for (word, name, revision, _) in events {
        match word.as_str() {
            "ADDED" => assert_eq!(state.insert(name.clone(), *revision), None, "{name} was there already"),
            "MODIFIED" => assert!(state.insert(name.clone(), *revision).is_some(), "{name} was not there"),
            _ => assert!(state.remove(name).is_some(), "{name} was not there to delete"),
        }
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_its_watch_are_the_state_for_every_selection() {
    let world = world().await;
    for name in 0..NAMES / 2 {
        let object = json!({ "metadata": { "name": format!("n{name}"), "labels": { "color": "red" } } });
        maps(&world).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let (before, revision) = listed(&world, "").await;
    let (red_before, _) = listed(&world, "color=red").await;
    let red = |one: &Seen| one.3 == "red";
    let start: BTreeMap<String, Seen> = before
        .iter()
        .map(|(name, revision)| (name.clone(), (String::new(), name.clone(), *revision, "red".to_owned())))
        .collect();
    let writing = async {
        futures::future::join_all((0..WRITERS).map(|writer| write_wildly(&world, writer))).await;
        mark(&world).await;
    };
    let (all, reds, again, ()) = tokio::join!(
        watch(&world, "", &revision),
        watch(&world, "&labelSelector=color%3Dred", &revision),
        watch(&world, "", &revision),
        writing,
    );
    assert!(all.windows(2).all(|pair| pair[0].2 < pair[1].2), "revisions must grow: {all:?}");
    assert_eq!(all, again, "two watches of the same must see the same");
    assert_eq!(reds, projection(&all, red, &start));
    let (after, _) = listed(&world, "").await;
    assert_eq!(applied(before, &all), after);
    let (red_after, _) = listed(&world, "color=red").await;
    assert_eq!(applied(red_before, &reds), red_after);
    resumes_anywhere(&world, &all).await;
    blue_from_the_start(&world, &all, &start, &revision).await;
}

/// A watch that starts in the middle of the history sees exactly its rest.
async fn resumes_anywhere(world: &World, all: &[Seen]) {
    for position in [0, all.len() / 3, all.len() / 2, all.len() - 1] {
        let rest = watch(world, "", &all[position].2.to_string()).await;
        assert_eq!(rest, all[position + 1..]);
    }
}

async fn blue_from_the_start(world: &World, all: &[Seen], start: &BTreeMap<String, Seen>, revision: &str) {
    // Once blue, the marker ends this watch too.
    let patch = json!({ "metadata": { "labels": { "color": "blue" } } });
    maps(world).patch(MARKER, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let blues = watch(world, "&labelSelector=color%3Dblue", revision).await;
    assert_eq!(blues, projection(all, |one| one.3 == "blue", start));
}

#[tokio::test]
async fn initial_events_are_the_list_and_then_the_changes() {
    let world = world().await;
    for name in ["a", "b"] {
        let object = json!({ "metadata": { "name": name, "labels": { "color": "red" } } });
        maps(&world).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let path = "/api/v1/namespaces/default/configmaps?watch=1&allowWatchBookmarks=true&sendInitialEvents=true\
                &resourceVersionMatch=NotOlderThan&labelSelector=color%3Dred";
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let mut events = Box::pin(world.client.request_events::<Value>(request).await.unwrap());
    let mut names = Vec::new();
    loop {
        match events.next().await.unwrap().unwrap() {
            kube::api::WatchEvent::Added(object) => names.push(object["metadata"]["name"].clone()),
            kube::api::WatchEvent::Bookmark(bookmark) => {
                let ended =
                    bookmark.metadata.annotations.get("k8s.io/initial-events-end").map(String::as_str);
                assert_eq!(ended, Some("true"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    names.sort_by_key(Value::to_string);
    assert_eq!(names, [json!("a"), json!("b")]);
    maps(&world).delete("a", &DeleteParams::default()).await.unwrap();
    assert!(
        matches!(events.next().await.unwrap().unwrap(), kube::api::WatchEvent::Deleted(one) if one["metadata"]["name"] == "a")
    );
}

#[tokio::test]
async fn a_watch_after_a_restart_goes_on_or_says_that_it_cannot() {
    let world = world().await;
    let (_, revision) = listed(&world, "").await;
    let object = json!({ "metadata": { "name": "a" } });
    let created =
        maps(&world).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let world = world.restart().await;
    let path = format!("/api/v1/namespaces/default/configmaps?watch=1&resourceVersion={revision}");
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let mut events = Box::pin(world.client.request_events::<Value>(request).await.unwrap());
    match events.next().await.unwrap() {
        Ok(kube::api::WatchEvent::Added(one)) => {
            assert_eq!(
                one["metadata"]["resourceVersion"].as_str(),
                created.metadata.resource_version.as_deref()
            );
        }
        Ok(kube::api::WatchEvent::Error(status)) => assert_eq!(status.code, 410),
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
}
