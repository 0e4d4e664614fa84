//! Controllers that start again find everything as they left it.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Endpoints, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;

use crate::network::service;
use crate::rollouts::{deployment, rolled_out};
use crate::stateful::{current, stateful_set};
use crate::world::World;

/// Every object of a kind with its version: a single write would show.
async fn versions<K>(world: &World) -> Vec<String>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = world.api();
    let shown = |object: &K| {
        let meta = object.meta();
        format!("{}@{}", meta.name.clone().unwrap(), meta.resource_version.clone().unwrap())
    };
    let objects = api.list(&ListParams::default()).await.unwrap().items;
    objects.iter().map(shown).filter(|name| !name.starts_with("after")).collect()
}

async fn all_versions(world: &World) -> Vec<Vec<String>> {
    vec![
        versions::<Deployment>(world).await,
        versions::<ReplicaSet>(world).await,
        versions::<StatefulSet>(world).await,
        versions::<Pod>(world).await,
        versions::<PersistentVolumeClaim>(world).await,
        versions::<EndpointSlice>(world).await,
        versions::<Endpoints>(world).await,
    ]
}

#[tokio::test]
async fn a_second_start_changes_nothing() {
    let mut world = World::start().await;
    world.create::<Service>(service("web")).await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    world.create::<StatefulSet>(stateful_set("db", 1)).await;
    rolled_out(&world, "web").await;
    current(&world, "db").await;
    world.stop_controllers().await;
    let before = all_versions(&world).await;
    world.start_controllers();
    world.create::<Deployment>(deployment("after", "one", 1)).await;
    rolled_out(&world, "after").await;
    assert_eq!(all_versions(&world).await, before);
}

#[tokio::test]
async fn what_was_deleted_while_nobody_watched_is_still_cleaned_up() {
    let mut world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    rolled_out(&world, "web").await;
    world.stop_controllers().await;
    world.api::<Deployment>().delete("web", &kube::api::DeleteParams::background()).await.unwrap();
    assert_eq!(world.pods().await.len(), 2);
    world.start_controllers();
    world.until("no pods", || async { world.pods().await.is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn a_pod_deleted_while_nobody_watched_is_replaced() {
    let mut world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    rolled_out(&world, "web").await;
    world.stop_controllers().await;
    let name = world.pods().await.remove(0).metadata.name.unwrap();
    world.api::<Pod>().delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
    world.until("the pod gone", || async { (world.pods().await.len() == 1).then_some(()) }).await;
    world.start_controllers();
    world.until("two pods", || async { (world.pods().await.len() == 2).then_some(()) }).await;
}
