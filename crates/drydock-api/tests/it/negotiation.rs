//! Answers in the format and shape a client prefers.

use axum::body::Body;
use drydock_api::{MASTERS, User};
use drydock_protobuf::{MEDIA_TYPE, decode};
use flate2::read::GzDecoder;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::io::Read as _;

use crate::protobuf::{Answer, send};
use crate::{World, world};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

async fn create_map(world: &World, name: &str, value: &str) {
    let map = json!({ "metadata": { "name": name }, "data": { "k": value } });
    let body = map.to_string();
    assert_eq!(send(world, Method::POST, MAPS, &[], body.as_bytes()).await.code, 201);
}

async fn get(world: &World, path: &str, accept: &str) -> Answer {
    send(world, Method::GET, path, &[("accept", accept)], b"").await
}

/// What controller-runtime sends for built-in kinds.
const CONTROLLER_RUNTIME: &str = "application/vnd.kubernetes.protobuf,application/json";

#[tokio::test]
async fn objects_lists_and_errors_come_as_protobuf() {
    let world = world().await;
    create_map(&world, "a", "v").await;
    let one = get(&world, &format!("{MAPS}/a"), CONTROLLER_RUNTIME).await;
    assert_eq!(one.header("content-type"), MEDIA_TYPE);
    let object = decode(&one.bytes, None).unwrap();
    let plain = get(&world, &format!("{MAPS}/a"), JSON).await.json();
    assert_eq!((&object["data"], &object["metadata"]), (&plain["data"], &plain["metadata"]));
    let list = decode(&get(&world, MAPS, CONTROLLER_RUNTIME).await.bytes, None).unwrap();
    assert_eq!(
        (&list["kind"], &list["items"][0]["metadata"]["name"]),
        (&json!("ConfigMapList"), &json!("a"))
    );
    assert!(list["metadata"]["resourceVersion"].is_string());
    let missing = get(&world, &format!("{MAPS}/b"), CONTROLLER_RUNTIME).await;
    let status = decode(&missing.bytes, None).unwrap();
    assert_eq!((missing.code, &status["reason"], &status["code"]), (404, &json!("NotFound"), &json!(404)));
}

#[tokio::test]
async fn every_kind_of_the_catalog_lists_as_protobuf() {
    let world = world().await;
    for spec in drydock_kinds::catalog() {
        let root = if spec.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", spec.group) };
        let path = format!("{root}/{}/{}", spec.version, spec.plural);
        if !spec.verbs.contains(&"list") {
            continue;
        }
        let answer = get(&world, &path, MEDIA_TYPE).await;
        assert_eq!(answer.header("content-type"), MEDIA_TYPE, "{path}: {}", answer.text());
        let list = decode(&answer.bytes, None).unwrap();
        assert_eq!(list["kind"], format!("{}List", spec.kind), "{path}");
    }
}

#[tokio::test]
async fn watches_come_as_framed_protobuf() {
    let world = world().await;
    create_map(&world, "a", "v").await;
    let path = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let request =
        Request::get(path).header("accept", CONTROLLER_RUNTIME).extension(User::new("a", [MASTERS]));
    let response = world.api.answer(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut body = response.into_body();
    let mut events = Vec::new();
    while events.len() < 2 {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let (length, event) = frame.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*length) as usize, event.len());
        let at = event.windows(4).position(|window| window == b"k8s\0").unwrap();
        let word = String::from_utf8_lossy(&event[2..2 + usize::from(event[1])]).into_owned();
        events.push((word, decode(&event[at..], None).unwrap()));
    }
    assert_eq!((&*events[0].0, &events[0].1["metadata"]["name"]), ("ADDED", &json!("a")));
    assert_eq!((&*events[1].0, &events[1].1["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    assert_eq!(events[1].1["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn a_watch_that_is_too_late_is_told_so_in_its_own_format() {
    let world = world().await;
    let answer = get(&world, &format!("{MAPS}?watch=true&resourceVersion=999999"), CONTROLLER_RUNTIME).await;
    let bytes = match answer.code {
        200 => {
            answer.bytes[answer.bytes.windows(4).position(|window| window == b"k8s\0").unwrap()..].to_vec()
        }
        _ => answer.bytes,
    };
    assert_eq!(decode(&bytes, None).unwrap()["kind"], "Status");
}

#[tokio::test]
async fn metadata_comes_as_protobuf_and_tables_as_json() {
    let world = world().await;
    create_map(&world, "a", "v").await;
    let wish = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = decode(&get(&world, MAPS, wish).await.bytes, None).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    let wish = "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json;as=Table;g=meta.k8s.io;v=v1";
    let table = get(&world, MAPS, wish).await;
    assert_eq!((table.header("content-type"), &table.json()["kind"]), (JSON, &json!("Table")));
}

#[tokio::test]
async fn yaml_is_read_and_written() {
    let world = world().await;
    let body = b"metadata: {name: colours}\ndata:\n  k: 'on'\n";
    let headers = [("content-type", "application/yaml"), ("accept", "application/yaml")];
    let created = send(&world, Method::POST, MAPS, &headers, body).await;
    assert_eq!((created.code, created.header("content-type")), (201, "application/yaml"));
    assert!(created.text().contains("data:\n  k: \"on\"\nkind: ConfigMap\n"), "{}", created.text());
}

#[tokio::test]
async fn a_client_that_takes_nothing_we_have_is_refused_before_anything_is_done() {
    let world = world().await;
    let body = json!({ "metadata": { "name": "never" } }).to_string();
    let answer = send(&world, Method::POST, MAPS, &[("accept", "application/cbor")], body.as_bytes()).await;
    assert_eq!((answer.code, &answer.json()["reason"]), (406, &json!("NotAcceptable")));
    assert_eq!(
        answer.json()["message"],
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf"
    );
    assert_eq!(get(&world, &format!("{MAPS}/never"), JSON).await.code, 404);
}

#[tokio::test]
async fn people_get_json_in_lines() {
    let world = world().await;
    create_map(&world, "a", "v").await;
    let path = format!("{MAPS}/a?pretty=true");
    assert!(get(&world, &path, JSON).await.text().contains("\n  \"data\": {\n    \"k\": \"v\"\n  }"));
    let curl = send(&world, Method::GET, &format!("{MAPS}/a"), &[("user-agent", "curl/8")], b"").await;
    assert!(curl.text().contains("\n  \"kind\": \"ConfigMap\""));
}

#[tokio::test]
async fn long_answers_are_packed_for_those_who_can_unpack() {
    let world = world().await;
    for name in ["a", "b"] {
        create_map(&world, name, &"x".repeat(100_000)).await;
    }
    let headers = [("accept", "application/yaml"), ("accept-encoding", "gzip")];
    let answer = send(&world, Method::GET, MAPS, &headers, b"").await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.bytes.len() < 10_000);
    let mut text = String::new();
    GzDecoder::new(&answer.bytes[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("kind: ConfigMapList"));
    let plain = get(&world, MAPS, "application/yaml").await;
    assert_eq!((plain.header("content-encoding"), plain.text()), ("", text));
    let short = send(&world, Method::GET, "/api/v1/namespaces/default", &headers, b"").await;
    assert_eq!(short.header("content-encoding"), "");
}

#[tokio::test]
async fn warnings_stay_whatever_the_format() {
    let world = world().await;
    let body: Value = json!({ "metadata": { "name": "a" }, "colour": "red" });
    let answer =
        send(&world, Method::POST, MAPS, &[("accept", MEDIA_TYPE)], body.to_string().as_bytes()).await;
    assert_eq!(answer.header("warning"), "299 - \"unknown field \\\"colour\\\"\"");
    assert_eq!(decode(&answer.bytes, None).unwrap()["kind"], "ConfigMap");
}
