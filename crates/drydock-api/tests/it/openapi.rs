//! The OpenAPI documents, their hashes and forms. What kubectl makes of them is in `kubectl_versions`.

use http::Method;
use serde_json::{Value, json};

use crate::protobuf::{Answer, send};
use crate::{World, world};

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(world, Method::GET, path, headers, b"").await
}

#[tokio::test]
async fn version_2_comes_as_json_and_as_protobuf_with_one_tag() {
    let world = world().await;
    let json = get(&world, "/openapi/v2", &[]).await;
    assert_eq!(json.header("content-type"), "application/json");
    assert_eq!(json.json()["swagger"], "2.0");
    assert!(json.json()["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"].is_string());
    let asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let protobuf = get(&world, "/openapi/v2", &[("accept", asked)]).await;
    assert_eq!(protobuf.header("content-type"), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert!(protobuf.bytes.starts_with(b"\x0a\x032.0"), "the version comes first");
    assert_eq!(protobuf.header("etag"), json.header("etag"));
    let known =
        get(&world, "/openapi/v2", &[("accept", asked), ("if-none-match", json.header("etag"))]).await;
    assert_eq!((known.code, known.bytes.len()), (304, 0));
    let packed = get(&world, "/openapi/v2", &[("accept", asked), ("accept-encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.bytes.len() * 5 < protobuf.bytes.len());
    assert_eq!(get(&world, "/openapi/v2", &[("accept", "text/html")]).await.code, 406);
}

#[tokio::test]
async fn the_index_of_version_3_leads_to_documents_that_may_be_kept() {
    let world = world().await;
    let index = get(&world, "/openapi/v3", &[]).await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = get(&world, url, &[("accept", "application/json")]).await;
    assert_eq!(document.header("cache-control"), "public, immutable");
    assert!(document.json()["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    let known = get(&world, url, &[("if-none-match", document.header("etag"))]).await;
    assert_eq!(known.code, 304);
    let old = get(&world, "/openapi/v3/apis/apps/v1?hash=OLD", &[]).await;
    assert_eq!((old.code, old.header("location")), (301, url));
    assert_eq!(get(&world, "/openapi/v3/apis/none/v1", &[]).await.code, 404);
    let review = &index["paths"]["apis/authorization.k8s.io/v1"]["serverRelativeURL"];
    let reviews = get(&world, review.as_str().unwrap(), &[]).await.json();
    assert!(reviews["paths"]["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"]["post"].is_object());
}

#[tokio::test]
async fn a_new_custom_kind_changes_both_versions() {
    let world = world().await;
    let before = get(&world, "/openapi/v2", &[]).await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "description": "The wish." } },
            } } }],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let created = send(&world, Method::POST, path, &[], definition.to_string().as_bytes()).await;
    assert_eq!(created.code, 201, "{}", created.text());
    let after = get(&world, "/openapi/v2", &[]).await;
    assert_ne!(before.header("etag"), after.header("etag"));
    let widget = &after.json()["definitions"]["com.example.v1.Widget"];
    assert_eq!(widget["properties"]["spec"]["description"], "The wish.");
    let index = get(&world, "/openapi/v3", &[]).await.json();
    let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    let document: Value = get(&world, url, &[]).await.json();
    assert!(document["components"]["schemas"]["com.example.v1.WidgetList"].is_object());
}
