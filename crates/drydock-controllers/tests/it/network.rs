//! Services and what stands behind them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::rollouts::deployment;
use crate::world::World;

async fn addresses(world: &World, service: &str) -> Vec<(String, bool)> {
    let labels = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = world.api::<EndpointSlice>().list(&labels).await.unwrap().items;
    let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default());
    endpoints.map(|e| (e.addresses[0].clone(), e.conditions.unwrap().ready == Some(true))).collect()
}

pub fn service(name: &str) -> serde_json::Value {
    json!({
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80, "targetPort": 8000 }] },
    })
}

#[tokio::test]
async fn a_service_follows_its_pods() {
    let world = World::start().await;
    world.create::<Service>(service("web")).await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    let ready = |count: usize| {
        let world = &world;
        async move {
            let seen = addresses(world, "web").await;
            (seen.len() == count && seen.iter().all(|(_, ready)| *ready)).then_some(())
        }
    };
    world.until("two ready endpoints", || ready(2)).await;
    world.patch::<Deployment>("web", json!({ "spec": { "replicas": 1 } })).await;
    world.until("one ready endpoint", || ready(1)).await;
    let endpoints = world.api::<Endpoints>();
    let subsets = world
        .until("one legacy address", || async {
            let subsets = endpoints.get_opt("web").await.unwrap()?.subsets?;
            (subsets[0].addresses.as_ref()?.len() == 1).then_some(subsets)
        })
        .await;
    assert_eq!(subsets[0].ports.as_ref().unwrap()[0].port, 8000);
}

#[tokio::test]
async fn an_unready_pod_is_known_but_gets_no_traffic() {
    let world = World::start().await;
    world.create::<Service>(service("web")).await;
    let mut broken = deployment("web", "one", 1);
    broken["spec"]["template"]["metadata"]["annotations"] = json!({ "test/never-ready": "yes" });
    world.create::<Deployment>(broken).await;
    world
        .until("one endpoint that is not ready", || async {
            let seen = addresses(&world, "web").await;
            (seen.len() == 1 && !seen[0].1).then_some(())
        })
        .await;
}

#[tokio::test]
async fn everything_published_goes_with_the_service() {
    let world = World::start().await;
    world.create::<Service>(service("web")).await;
    let pod = json!({
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "image": "one" }] },
    });
    world.create::<Pod>(pod).await;
    world.until("an endpoint", || async { (addresses(&world, "web").await.len() == 1).then_some(()) }).await;
    world.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    let (slices, endpoints) = (world.api::<EndpointSlice>(), world.api::<Endpoints>());
    world
        .until("nothing published", || async {
            let labels = ListParams::default().labels("kubernetes.io/service-name=web");
            let slices = slices.list(&labels).await.unwrap().items;
            let endpoints = endpoints.get_opt("web").await.unwrap();
            (slices.is_empty() && endpoints.is_none()).then_some(())
        })
        .await;
}
