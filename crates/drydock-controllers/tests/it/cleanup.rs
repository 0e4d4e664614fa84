//! What goes when something else goes: garbage collection and namespaces.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ResourceQuota, Secret, ServiceAccount};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams, PropagationPolicy};
use kube::core::GroupVersionKind;
use serde_json::json;

use crate::rollouts::deployment;
use crate::world::World;

async fn pods_running(world: &World, count: usize) {
    world
        .until(&format!("{count} pods running"), || async {
            let pods = world.pods().await;
            let running = pods.iter().filter(|pod| pod.status.as_ref().is_some_and(|s| s.pod_ip.is_some()));
            (running.count() == count && pods.len() == count).then_some(())
        })
        .await;
}

fn with_policy(policy: PropagationPolicy) -> DeleteParams {
    DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() }
}

#[tokio::test]
async fn everything_below_a_deleted_deployment_goes() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 3)).await;
    pods_running(&world, 3).await;
    world.api::<Deployment>().delete("web", &DeleteParams::background()).await.unwrap();
    pods_running(&world, 0).await;
    let sets = world.api::<ReplicaSet>();
    world
        .until("no replica set", || async {
            sets.list(&ListParams::default()).await.unwrap().items.is_empty().then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_foreground_deletion_takes_the_owner_last() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    pods_running(&world, 2).await;
    let deployments = world.api::<Deployment>();
    deployments.delete("web", &with_policy(PropagationPolicy::Foreground)).await.unwrap();
    world
        .until("no deployment", || async {
            deployments.get_opt("web").await.unwrap().is_none().then_some(())
        })
        .await;
    assert!(world.pods().await.is_empty());
    assert!(world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn orphaned_sets_live_on_and_are_adopted_again() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    pods_running(&world, 2).await;
    let before: Vec<_> = world.pods().await.iter().map(|pod| pod.metadata.uid.clone()).collect();
    let deployments = world.api::<Deployment>();
    deployments.delete("web", &with_policy(PropagationPolicy::Orphan)).await.unwrap();
    world
        .until("no deployment", || async {
            deployments.get_opt("web").await.unwrap().is_none().then_some(())
        })
        .await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    let sets = world.api::<ReplicaSet>();
    world
        .until("the set adopted", || async {
            let sets = sets.list(&ListParams::default()).await.unwrap().items;
            (sets.len() == 1 && sets[0].metadata.owner_references.as_ref().is_some_and(|o| o.len() == 1))
                .then_some(())
        })
        .await;
    let after: Vec<_> = world.pods().await.iter().map(|pod| pod.metadata.uid.clone()).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_deleted_namespace_takes_its_content_along() {
    let world = World::start().await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let namespace = serde_json::from_value(json!({ "metadata": { "name": "shop" } })).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), "shop");
    let wanted = serde_json::from_value(deployment("web", "one", 3)).unwrap();
    deployments.create(&PostParams::default(), &wanted).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), "shop");
    let secret = serde_json::from_value(json!({ "metadata": { "name": "s" } })).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), "shop");
    world
        .until("three pods in `shop`", || async {
            (pods.list(&ListParams::default()).await.unwrap().items.len() == 3).then_some(())
        })
        .await;
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    world
        .until("no namespace `shop`", || async {
            namespaces.get_opt("shop").await.unwrap().is_none().then_some(())
        })
        .await;
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(secrets.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn every_namespace_gets_its_account_and_the_root_certificate_even_again() {
    let world = World::start().await;
    let accounts = world.api::<ServiceAccount>();
    world
        .until("the default account", || async { accounts.get_opt("default").await.unwrap().map(drop) })
        .await;
    let maps = world.api::<ConfigMap>();
    let map = world
        .until("the root certificate", || async { maps.get_opt("kube-root-ca.crt").await.unwrap() })
        .await;
    assert_eq!(map.data.unwrap()["ca.crt"], "CA");
    maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    world
        .until("the root certificate again", || async {
            maps.get_opt("kube-root-ca.crt").await.unwrap().filter(|new| new.metadata.uid != map.metadata.uid)
        })
        .await;
}

/// A definition of a kind that holds nothing.
async fn define_notes(world: &World) -> Api<DynamicObject> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "notes.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "notes", "kind": "Note" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            } } }],
        },
    });
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let definitions: Api<DynamicObject> = Api::all_with(world.client.clone(), &ApiResource::from_gvk(&gvk));
    definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    let note = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Note"));
    Api::namespaced_with(world.client.clone(), "default", &note)
}

fn note(name: &str, namespace: &str) -> DynamicObject {
    let note = json!({ "apiVersion": "example.com/v1", "kind": "Note", "metadata": { "name": name, "namespace": namespace } });
    serde_json::from_value(note).unwrap()
}

#[tokio::test]
async fn what_a_custom_object_owns_goes_with_it() {
    let world = World::start().await;
    let notes = define_notes(&world).await;
    let owner = notes.create(&PostParams::default(), &note("owner", "default")).await.unwrap();
    let reference = json!({
        "apiVersion": "example.com/v1", "kind": "Note", "name": "owner", "uid": owner.metadata.uid,
    });
    let mut child = note("child", "default");
    child.metadata.owner_references = Some(vec![serde_json::from_value(reference.clone()).unwrap()]);
    notes.create(&PostParams::default(), &child).await.unwrap();
    let map = json!({ "metadata": { "name": "child", "ownerReferences": [reference] } });
    world.create::<ConfigMap>(serde_json::from_value(map).unwrap()).await;
    notes.delete("owner", &DeleteParams::background()).await.unwrap();
    world
        .until("no children", || async {
            let map = world.api::<ConfigMap>().get_opt("child").await.unwrap();
            let note = notes.get_opt("child").await.unwrap();
            (map.is_none() && note.is_none()).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_namespace_takes_its_custom_objects_along() {
    let world = World::start().await;
    define_notes(&world).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let team = json!({ "metadata": { "name": "team" } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(team).unwrap()).await.unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Note"));
    let notes: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "team", &kind);
    notes.create(&PostParams::default(), &note("a", "team")).await.unwrap();
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    world
        .until("no namespace", || async { namespaces.get_opt("team").await.unwrap().is_none().then_some(()) })
        .await;
    assert!(notes.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_quota_says_what_its_namespace_uses() {
    let world = World::start().await;
    let hard = json!({ "pods": "5", "count/deployments.apps": "2" });
    let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": hard } });
    world.create::<ResourceQuota>(quota).await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    let quotas = world.api::<ResourceQuota>();
    world
        .until("two pods in use", || async {
            let used = quotas.get_opt("q").await.unwrap()?.status?.used?;
            (used["pods"].0 == "2" && used["count/deployments.apps"].0 == "1").then_some(())
        })
        .await;
}
