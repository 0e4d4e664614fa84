//! StatefulSets and their claims.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::world::World;

pub fn stateful_set(name: &str, replicas: i32) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas, "serviceName": name,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "c", "image": "one", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }] },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

/// What `kubectl rollout status` and kstatus call current.
fn is_current(set: &StatefulSet) -> bool {
    let Some(status) = &set.status else { return false };
    let wanted = set.spec.as_ref().unwrap().replicas;
    status.observed_generation == set.metadata.generation
        && status.ready_replicas == wanted
        && status.updated_replicas == wanted
        && status.current_revision == status.update_revision
}

pub async fn current(world: &World, name: &str) -> StatefulSet {
    let api = world.api::<StatefulSet>();
    let what = format!("stateful set `{name}` current");
    world.until(&what, || async { api.get(name).await.ok().filter(is_current) }).await
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap()
}

#[tokio::test]
async fn pods_come_in_order_each_with_its_claim() {
    let world = World::start().await;
    world.create::<StatefulSet>(stateful_set("db", 3)).await;
    current(&world, "db").await;
    let pods = world.pods().await;
    let names: Vec<_> = pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["db-0", "db-1", "db-2"]);
    let version = |pod: &Pod| pod.metadata.creation_timestamp.clone();
    assert!(pods.windows(2).all(|pair| version(&pair[0]) <= version(&pair[1])));
    let claims = world.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(claims.len(), 3);
    for claim in claims {
        assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Bound"));
        assert!(world.folder.path().join("volumes").join(claim.spec.unwrap().volume_name.unwrap()).is_dir());
    }
}

#[tokio::test]
async fn a_deleted_pod_comes_back_with_its_name_and_claim_but_another_uid() {
    let world = World::start().await;
    world.create::<StatefulSet>(stateful_set("db", 2)).await;
    current(&world, "db").await;
    let before = world.api::<Pod>().get("db-0").await.unwrap();
    let claim = world.api::<PersistentVolumeClaim>().get("data-db-0").await.unwrap();
    world.api::<Pod>().delete("db-0", &DeleteParams::default()).await.unwrap();
    let api = world.api::<Pod>();
    world
        .until("another db-0 that is ready", || async {
            let pod = api.get("db-0").await.ok()?;
            let ready = pod.status.as_ref()?.pod_ip.is_some();
            (uid(&pod) != uid(&before) && ready).then_some(())
        })
        .await;
    let after = world.api::<PersistentVolumeClaim>().get("data-db-0").await.unwrap();
    assert_eq!(after.spec.unwrap().volume_name, claim.spec.unwrap().volume_name);
}

#[tokio::test]
async fn an_update_reaches_every_pod_and_becomes_the_current_revision() {
    let world = World::start().await;
    world.create::<StatefulSet>(stateful_set("db", 2)).await;
    let before = current(&world, "db").await.status.unwrap().current_revision;
    let template = json!({ "spec": { "containers": [{ "name": "c", "image": "two" }] } });
    world.patch::<StatefulSet>("db", json!({ "spec": { "template": template } })).await;
    let after = current(&world, "db").await.status.unwrap().current_revision;
    assert_ne!(before, after);
    for pod in world.pods().await {
        assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some("two"));
    }
}

#[tokio::test]
async fn deleting_a_claim_removes_the_volume_and_its_directory() {
    let world = World::start().await;
    world.create::<StatefulSet>(stateful_set("db", 1)).await;
    current(&world, "db").await;
    let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
    let volume = volumes.list(&ListParams::default()).await.unwrap().items.remove(0).metadata.name.unwrap();
    let folder = world.folder.path().join("volumes").join(&volume);
    let claims = world.api::<PersistentVolumeClaim>();
    claims.delete("data-db-0", &DeleteParams::default()).await.unwrap();
    assert!(claims.get("data-db-0").await.is_ok(), "a claim in use stays until its pod is gone");
    assert!(folder.is_dir());
    world.api::<StatefulSet>().delete("db", &DeleteParams::background()).await.unwrap();
    world
        .until("the volume gone", || async {
            volumes.get_opt(&volume).await.unwrap().is_none().then_some(())
        })
        .await;
    assert!(!folder.exists());
}
