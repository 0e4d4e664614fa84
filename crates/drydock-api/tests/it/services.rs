//! Addresses of Services: given once, kept, and given back.

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world;

fn service(name: &str, spec: Value) -> Service {
    let mut spec = spec;
    if spec.get("ports").is_none() {
        spec["ports"] = json!([{ "port": 80 }]);
    }
    serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
}

fn address(service: &Service) -> String {
    service.spec.as_ref().unwrap().cluster_ip.clone().unwrap_or_default()
}

#[tokio::test]
async fn the_api_itself_is_the_first_service() {
    let world = world().await;
    let services = Api::<Service>::namespaced(world.client.clone(), "default");
    assert_eq!(address(&services.get("kubernetes").await.unwrap()), "10.96.0.1");
}

#[tokio::test]
async fn the_api_says_where_it_is_behind_its_service_and_again_after_each_start() {
    let world = world().await;
    check_endpoints(&world.client).await;
    let endpoints = Api::<Endpoints>::namespaced(world.client.clone(), "default");
    let elsewhere = json!({ "subsets": [{ "addresses": [{ "ip": "10.9.9.9" }], "ports": [{ "port": 1 }] }] });
    endpoints.patch("kubernetes", &PatchParams::default(), &Patch::Merge(elsewhere)).await.unwrap();
    let slices = Api::<EndpointSlice>::namespaced(world.client.clone(), "default");
    slices.delete("kubernetes", &DeleteParams::default()).await.unwrap();
    world.api.reconcile().await.unwrap();
    check_endpoints(&world.client).await;
    let before = endpoints.get("kubernetes").await.unwrap().metadata.resource_version;
    world.api.reconcile().await.unwrap();
    assert_eq!(endpoints.get("kubernetes").await.unwrap().metadata.resource_version, before);
}

async fn check_endpoints(client: &kube::Client) {
    let endpoints = Api::<Endpoints>::namespaced(client.clone(), "default").get("kubernetes").await.unwrap();
    let subsets = json!([{
        "addresses": [{ "ip": "10.244.0.1" }],
        "ports": [{ "name": "https", "port": 6443, "protocol": "TCP" }],
    }]);
    assert_eq!(serde_json::to_value(&endpoints.subsets).unwrap(), subsets);
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), "default");
    let slices = slices.list(&ListParams::default().labels("kubernetes.io/service-name=kubernetes")).await;
    let slices = slices.unwrap().items;
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].endpoints.as_ref().unwrap()[0].addresses, ["10.244.0.1"]);
    assert_eq!(slices[0].ports.as_ref().unwrap()[0].port, Some(6443));
}

#[tokio::test]
async fn services_created_at_once_get_different_addresses() {
    let world = world().await;
    let services = Api::<Service>::namespaced(world.client.clone(), "default");
    let create = |n: usize| {
        let services = services.clone();
        async move {
            address(
                &services
                    .create(&PostParams::default(), &service(&format!("s{n}"), json!({})))
                    .await
                    .unwrap(),
            )
        }
    };
    let mut addresses = futures::future::join_all((0..20).map(create)).await;
    assert!(addresses.iter().all(|address| address.parse::<std::net::Ipv4Addr>().is_ok()), "{addresses:?}");
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 20);
}

#[tokio::test]
async fn a_taken_or_foreign_address_is_refused_and_a_freed_one_is_not() {
    let world = world().await;
    let services = Api::<Service>::namespaced(world.client.clone(), "default");
    let wish = |name: &str, ip: &str| service(name, json!({ "clusterIP": ip }));
    services.create(&PostParams::default(), &wish("a", "10.96.0.10")).await.unwrap();
    let taken =
        services.create(&PostParams::default(), &wish("b", "10.96.0.10")).await.unwrap_err().to_string();
    assert!(taken.contains("provided IP is already allocated"), "{taken}");
    let foreign =
        services.create(&PostParams::default(), &wish("b", "192.168.0.1")).await.unwrap_err().to_string();
    assert!(foreign.contains("does not match the current range"), "{foreign}");
    services.delete("a", &DeleteParams::default()).await.unwrap();
    services.create(&PostParams::default(), &wish("b", "10.96.0.10")).await.unwrap();
}

#[tokio::test]
async fn headless_services_have_no_address_and_node_ports_are_given() {
    let world = world().await;
    let services = Api::<Service>::namespaced(world.client.clone(), "default");
    let headless =
        services.create(&PostParams::default(), &service("h", json!({ "clusterIP": "None" }))).await.unwrap();
    assert_eq!(address(&headless), "None");
    let outside =
        services.create(&PostParams::default(), &service("n", json!({ "type": "NodePort" }))).await.unwrap();
    let port = outside.spec.unwrap().ports.unwrap()[0].node_port.unwrap();
    assert!((30000..=32767).contains(&port));
}

#[tokio::test]
async fn an_update_keeps_the_address() {
    let world = world().await;
    let services = Api::<Service>::namespaced(world.client.clone(), "default");
    let before = services.create(&PostParams::default(), &service("a", json!({}))).await.unwrap();
    let replaced = services
        .replace("a", &PostParams::default(), &service("a", json!({ "ports": [{ "port": 81 }] })))
        .await
        .unwrap();
    assert_eq!(address(&replaced), address(&before));
    let patch = Patch::Merge(json!({ "spec": { "selector": { "app": "x" } } }));
    let patched = services.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(address(&patched), address(&before));
}
