//! kube-rs as operators use it: a Controller with finalizers, reflectors in both modes, a Lease to lead by, metadata only.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, PartialObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::{World, serve, world};

const GUARD: &str = "seaworthy.dev/guard";
const PATIENCE: Duration = Duration::from_secs(30);

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(
        json!({ "metadata": { "name": name, "labels": { "copy": "yes" } }, "data": { "k": "v" } }),
    )
    .unwrap()
}

async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
    let looking = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never saw {what}"));
}

/// A client over TLS, as programs outside have one.
async fn outside(world: &World) -> Client {
    let (port, _stop) = serve(world).await;
    let path = world.folder.path().join("kubeconfig");
    world.pki.write_kubeconfig(&path, &format!("https://127.0.0.1:{port}")).unwrap();
    let kubeconfig = kube::config::Kubeconfig::read_from(&path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    // The test's own lifetime is the server's.
    std::mem::forget(_stop);
    Client::try_from(config).unwrap()
}

/// Copies ConfigMaps into Secrets by server-side apply, and takes the copies along when they go.
async fn copy(client: Client) {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let reconcile = |map: Arc<ConfigMap>, client: Arc<Client>| async move {
        let maps = Api::<ConfigMap>::namespaced((*client).clone(), "default");
        let secrets = Api::<Secret>::namespaced((*client).clone(), "default");
        finalizer(&maps, GUARD, map, |event| async {
            match event {
                Event::Apply(map) => {
                    let copy = json!({
                        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": map.name_any() },
                        "stringData": map.data.clone().unwrap_or_default(),
                    });
                    secrets
                        .patch(&map.name_any(), &PatchParams::apply("copier").force(), &Patch::Apply(copy))
                        .await?;
                }
                Event::Cleanup(map) => drop(secrets.delete(&map.name_any(), &DeleteParams::default()).await?),
            }
            Ok::<_, kube::Error>(Action::await_change())
        })
        .await
    };
    let selected = watcher::Config::default().labels("copy=yes");
    Controller::new(maps, selected)
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(20)), Arc::new(client))
        .for_each(|_| async {})
        .await;
}

async fn a_controller_follows(world: &World, client: Client) {
    let running = tokio::spawn(copy(client.clone()));
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let secrets = Api::<Secret>::namespaced(client, "default");
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    let holds = |value: &'static str| {
        let secrets = secrets.clone();
        move || {
            let secrets = secrets.clone();
            async move {
                let found = secrets.get_opt("a").await.unwrap();
                let data = found.and_then(|secret| secret.data).unwrap_or_default();
                data.get("k").is_some_and(|bytes| bytes.0 == value.as_bytes())
            }
        }
    };
    until("the copy", holds("v")).await;
    let change = Patch::Merge(json!({ "data": { "k": "w" } }));
    maps.patch("a", &PatchParams::default(), &change).await.unwrap();
    until("the changed copy", holds("w")).await;
    assert_eq!(maps.get("a").await.unwrap().finalizers(), [GUARD]);
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    until("the end of both", || async {
        maps.get_opt("a").await.unwrap().is_none() && secrets.get_opt("a").await.unwrap().is_none()
    })
    .await;
    running.abort();
    world.api.shut_down();
}

#[tokio::test]
async fn a_controller_with_finalizers_works_in_process() {
    let world = world().await;
    a_controller_follows(&world, world.client.clone()).await;
}

#[tokio::test]
async fn a_controller_with_finalizers_works_over_tls() {
    let world = world().await;
    let client = outside(&world).await;
    a_controller_follows(&world, client).await;
}

async fn a_reflector_holds_the_state(config: watcher::Config) {
    let world = world().await;
    let client = outside(&world).await;
    let maps = Api::<ConfigMap>::namespaced(client, "default");
    maps.create(&PostParams::default(), &map("before")).await.unwrap();
    let (store, writer): (Store<ConfigMap>, _) = reflector::store();
    let following = watcher(maps.clone(), config).reflect(writer).applied_objects();
    let running = tokio::spawn(following.try_for_each(|_| async { Ok(()) }));
    store.wait_until_ready().await.unwrap();
    maps.create(&PostParams::default(), &map("after")).await.unwrap();
    maps.delete("before", &DeleteParams::default()).await.unwrap();
    until("the state in the store", || async {
        store.state().iter().map(|one| one.name_any()).collect::<Vec<_>>() == ["after"]
    })
    .await;
    running.abort();
}

#[tokio::test]
async fn a_reflector_that_lists_holds_the_state() {
    a_reflector_holds_the_state(watcher::Config::default().page_size(1)).await;
}

#[tokio::test]
async fn a_reflector_that_streams_its_list_holds_the_state() {
    a_reflector_holds_the_state(watcher::Config::default().streaming_lists()).await;
}

/// Takes the lease if it is free or ours, as leader election does.
async fn try_to_lead(leases: &Api<Lease>, me: &str) -> bool {
    let found = leases.get_opt("leader").await.unwrap();
    let wanted = |metadata: serde_json::Value| -> Lease {
        let spec = json!({ "holderIdentity": me, "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000001Z" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    };
    let outcome = match &found {
        None => leases.create(&PostParams::default(), &wanted(json!({ "name": "leader" }))).await,
        Some(lease) => {
            let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("");
            if !holder.is_empty() && holder != me {
                return false;
            }
            let metadata = json!({ "name": "leader", "resourceVersion": lease.metadata.resource_version });
            leases.replace("leader", &PostParams::default(), &wanted(metadata)).await
        }
    };
    match outcome {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.code == 409 => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn of_many_candidates_one_leads() {
    let world = world().await;
    let leases = Api::<Lease>::namespaced(outside(&world).await, "default");
    let candidates: Vec<String> = (0..8).map(|number| format!("candidate-{number}")).collect();
    for _ in 0..3 {
        let tries = candidates.iter().map(|me| try_to_lead(&leases, me));
        let leading = futures::future::join_all(tries).await.into_iter().filter(|leads| *leads).count();
        assert_eq!(leading, 1);
    }
    let release = Patch::Merge(json!({ "spec": { "holderIdentity": "" } }));
    leases.patch("leader", &PatchParams::default(), &release).await.unwrap();
    assert!(try_to_lead(&leases, "next").await);
}

#[tokio::test]
async fn metadata_alone_can_be_listed_patched_and_watched() {
    let world = world().await;
    let maps = Api::<ConfigMap>::namespaced(outside(&world).await, "default");
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    let list = maps.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
    assert_eq!(maps.get_metadata("a").await.unwrap().labels()["copy"], "yes");
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "more": "too" } } }));
    let patched = maps.patch_metadata("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.labels()["more"], "too");
    let metadata = Api::<PartialObjectMeta<ConfigMap>>::namespaced(maps.into_client(), "default");
    let mut events = Box::pin(watcher(metadata, watcher::Config::default()).applied_objects());
    assert_eq!(events.next().await.unwrap().unwrap().name_any(), "a");
}
