//! Objects through a kube client in the same process.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{World, world};

pub fn deployment(name: &str) -> Deployment {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "example/main:1" }] },
            },
        },
    }))
    .unwrap()
}

fn deployments(world: &World) -> Api<Deployment> {
    Api::namespaced(world.client.clone(), "default")
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, kube::Error>, code: u16, reason: &str, text: &str) {
    match outcome {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (code, reason), "{}", status.message);
            assert!(status.message.contains(text), "{}", status.message);
        }
        other => panic!("expected {code} {reason}, got {other:?}"),
    }
}

#[tokio::test]
async fn every_cluster_starts_with_its_namespaces() {
    let world = world().await;
    let all = Api::<Namespace>::all(world.client.clone()).list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = all.items.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    assert_eq!(all.items[0].status.as_ref().unwrap().phase.as_deref(), Some("Active"));
}

#[tokio::test]
async fn a_created_object_has_what_the_server_owns() {
    let world = world().await;
    let created = deployments(&world).create(&PostParams::default(), &deployment("web")).await.unwrap();
    let metadata = created.metadata;
    assert!(
        metadata.uid.is_some()
            && metadata.creation_timestamp.is_some()
            && metadata.resource_version.is_some()
    );
    assert_eq!((metadata.generation, metadata.namespace.as_deref()), (Some(1), Some("default")));
}

#[tokio::test]
async fn generated_names_start_as_wished() {
    let world = world().await;
    let mut wanted = deployment("x");
    wanted.metadata.name = None;
    wanted.metadata.generate_name = Some("web-".into());
    let created = deployments(&world).create(&PostParams::default(), &wanted).await.unwrap();
    let name = created.metadata.name.unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
}

#[tokio::test]
async fn creating_twice_or_nowhere_is_refused() {
    let world = world().await;
    let api = deployments(&world);
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let again = api.create(&PostParams::default(), &deployment("web")).await;
    refused(again, 409, "AlreadyExists", "deployments.apps \"web\" already exists");
    let nowhere = Api::<Deployment>::namespaced(world.client.clone(), "nowhere");
    let outcome = nowhere.create(&PostParams::default(), &deployment("web")).await;
    refused(outcome, 404, "NotFound", "namespaces \"nowhere\" not found");
}

#[tokio::test]
async fn an_update_of_an_old_version_is_a_conflict() {
    let world = world().await;
    let api = deployments(&world);
    let first = api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let mut changed = first.clone();
    changed.spec.as_mut().unwrap().replicas = Some(3);
    let second = api.replace("web", &PostParams::default(), &changed).await.unwrap();
    assert_eq!(second.metadata.generation, Some(2));
    refused(api.replace("web", &PostParams::default(), &changed).await, 409, "Conflict", "has been modified");
    let same = api.replace("web", &PostParams::default(), &second).await.unwrap();
    assert_eq!(
        same.metadata.resource_version, second.metadata.resource_version,
        "nothing changed, nothing written"
    );
}

#[tokio::test]
async fn status_and_spec_have_doors_of_their_own() {
    let world = world().await;
    let api = deployments(&world);
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let both = Patch::Merge(json!({ "spec": { "replicas": 5 }, "status": { "replicas": 4 } }));
    let patched = api.patch_status("web", &PatchParams::default(), &both).await.unwrap();
    assert_eq!(patched.spec.as_ref().unwrap().replicas, Some(1));
    assert_eq!(patched.status.as_ref().unwrap().replicas, Some(4));
    assert_eq!(patched.metadata.generation, Some(1));
    let patched = api.patch("web", &PatchParams::default(), &both).await.unwrap();
    assert_eq!(patched.spec.unwrap().replicas, Some(5));
    let scale = api.get_scale("web").await.unwrap();
    assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().replicas), (Some(5), 4));
}

#[tokio::test]
async fn scaling_changes_the_replicas() {
    let world = world().await;
    let api = deployments(&world);
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let scale = Patch::Merge(json!({ "spec": { "replicas": 7 } }));
    let scaled = api.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(7));
    assert_eq!(api.get("web").await.unwrap().spec.unwrap().replicas, Some(7));
}

#[tokio::test]
async fn a_json_patch_whose_test_fails_changes_nothing() {
    let world = world().await;
    let api = deployments(&world);
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let patch = json!([{ "op": "test", "path": "/spec/replicas", "value": 9 }, { "op": "remove", "path": "/spec/replicas" }]);
    let patch: Patch<Value> = Patch::Json(serde_json::from_value(patch).unwrap());
    refused(api.patch("web", &PatchParams::default(), &patch).await, 422, "Invalid", "");
    assert_eq!(api.get("web").await.unwrap().spec.unwrap().replicas, Some(1));
}

#[tokio::test]
async fn a_patch_may_insist_on_a_version() {
    let world = world().await;
    let api = deployments(&world);
    let created = api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let version = created.metadata.resource_version.unwrap();
    let insist = Patch::Merge(json!({ "metadata": { "resourceVersion": version, "labels": { "a": "b" } } }));
    api.patch("web", &PatchParams::default(), &insist).await.unwrap();
    refused(api.patch("web", &PatchParams::default(), &insist).await, 409, "Conflict", "has been modified");
    let test = json!([{ "op": "test", "path": "/metadata/resourceVersion", "value": version }]);
    let test: Patch<Value> = Patch::Json(serde_json::from_value(test).unwrap());
    refused(api.patch("web", &PatchParams::default(), &test).await, 422, "Invalid", "");
}

#[tokio::test]
async fn patches_at_the_same_time_all_arrive() {
    let world = world().await;
    let api = deployments(&world);
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let params = PatchParams::default();
    let patches = (0..12).map(|n| {
        let (api, params) = (&api, &params);
        let patch = Patch::Merge(json!({ "metadata": { "labels": { format!("l{n}"): "x" } } }));
        async move { api.patch("web", params, &patch).await }
    });
    for outcome in futures::future::join_all(patches).await {
        outcome.unwrap();
    }
    assert_eq!(api.get("web").await.unwrap().metadata.labels.unwrap().len(), 13);
}

#[tokio::test]
async fn applying_creates_then_merges_and_conflicts_name_the_other_manager() {
    let world = world().await;
    let api = deployments(&world);
    let config = |replicas: i32| {
        let mut config = serde_json::to_value(deployment("web")).unwrap();
        config["spec"]["replicas"] = replicas.into();
        Patch::Apply(config)
    };
    let ours = PatchParams::apply("ours");
    api.patch("web", &ours, &config(2)).await.unwrap();
    let again = api.patch("web", &ours, &config(2)).await.unwrap();
    assert_eq!(again.metadata.generation, Some(1));
    refused(api.patch("web", &PatchParams::apply("theirs"), &config(3)).await, 409, "Conflict", "\"ours\"");
    let forced = api.patch("web", &PatchParams::apply("theirs").force(), &config(3)).await.unwrap();
    assert_eq!(forced.spec.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn a_dry_run_answers_and_stores_nothing() {
    let world = world().await;
    let api = deployments(&world);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert_eq!(api.create(&dry, &deployment("web")).await.unwrap().metadata.generation, Some(1));
    assert!(api.get_opt("web").await.unwrap().is_none());
}

#[tokio::test]
async fn finalizers_keep_a_deleted_object_until_they_are_gone() {
    let world = world().await;
    let api = deployments(&world);
    let mut guarded = deployment("web");
    guarded.metadata.finalizers = Some(vec!["example.com/guard".into()]);
    api.create(&PostParams::default(), &guarded).await.unwrap();
    let going = api.delete("web", &DeleteParams::default()).await.unwrap().left().expect("it still exists");
    assert!(going.metadata.deletion_timestamp.is_some());
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("web", &PatchParams::default(), &release).await.unwrap();
    assert!(api.get_opt("web").await.unwrap().is_none());
}

#[tokio::test]
async fn a_foreground_deletion_waits_for_the_garbage_collector() {
    let world = world().await;
    let api = deployments(&world);
    api.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let going =
        api.delete("web", &DeleteParams::foreground()).await.unwrap().left().expect("it still exists");
    assert_eq!(going.metadata.finalizers.unwrap(), ["foregroundDeletion"]);
}

#[tokio::test]
async fn a_namespace_goes_only_after_its_content() {
    let world = world().await;
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let wanted: Namespace = serde_json::from_value(json!({ "metadata": { "name": "team" } })).unwrap();
    namespaces.create(&PostParams::default(), &wanted).await.unwrap();
    let going =
        namespaces.delete("team", &DeleteParams::default()).await.unwrap().left().expect("it still exists");
    assert_eq!(going.status.unwrap().phase.as_deref(), Some("Terminating"));
    let inside = Api::<Deployment>::namespaced(world.client.clone(), "team");
    let outcome = inside.create(&PostParams::default(), &deployment("web")).await;
    refused(outcome, 403, "Forbidden", "because it is being terminated");
    let body = json!({ "metadata": { "name": "team" }, "spec": { "finalizers": [] } });
    let request =
        http::Request::put("/api/v1/namespaces/team/finalize").body(body.to_string().into_bytes()).unwrap();
    world.client.request::<Namespace>(request).await.unwrap();
    assert!(namespaces.get_opt("team").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_continue_on_the_revision_they_started_with() {
    let world = world().await;
    let api = deployments(&world);
    for name in ["a", "b", "c"] {
        api.create(&PostParams::default(), &deployment(name)).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    api.delete("c", &DeleteParams::default()).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items[0].metadata.name.as_deref(), Some("c"));
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    assert_eq!(rest.metadata.continue_, None);
}

#[tokio::test]
async fn selectors_choose_by_label_and_field() {
    let world = world().await;
    let api = deployments(&world);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &deployment(name)).await.unwrap();
    }
    let by_label = api.list(&ListParams::default().labels("app in (a, x)")).await.unwrap();
    assert_eq!(by_label.items.len(), 1);
    let by_field = api.list(&ListParams::default().fields("metadata.name=b")).await.unwrap();
    assert_eq!(by_field.items[0].metadata.name.as_deref(), Some("b"));
    refused(
        api.list(&ListParams::default().fields("spec.color=red")).await,
        400,
        "BadRequest",
        "is not a known field selector",
    );
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("app=a")).await.unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn unknown_fields_are_refused_only_when_asked_to_be_strict() {
    let world = world().await;
    let mut body = serde_json::to_value(deployment("web")).unwrap();
    body["spec"]["replcas"] = 3.into();
    let post = |query: &str| {
        let uri = format!("/apis/apps/v1/namespaces/default/deployments?{query}");
        http::Request::post(uri).body(body.to_string().into_bytes()).unwrap()
    };
    let strict = world.client.request::<Value>(post("fieldValidation=Strict")).await;
    refused(strict, 400, "BadRequest", "unknown field \"spec.replcas\"");
    let lenient = world.client.request::<Value>(post("fieldValidation=Warn")).await.unwrap();
    assert_eq!(lenient["spec"].get("replcas"), None);
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_is_missing() {
    let world = world().await;
    let nobody = Api::<Deployment>::namespaced(world.api.client_as("jane", ["dev"]), "default");
    let outcome = nobody.list(&ListParams::default()).await;
    let text = "User \"jane\" cannot list resource \"deployments\" in API group \"apps\" in the namespace \"default\"";
    refused(outcome, 403, "Forbidden", text);
    world.api.client_as("jane", ["dev"]).apiserver_version().await.unwrap();
}
