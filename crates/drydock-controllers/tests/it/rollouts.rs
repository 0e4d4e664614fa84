//! Deployments: out, forward, back, broken.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod, ReplicationController};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::world::World;

pub fn deployment(name: &str, image: &str, replicas: i32) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
        },
    })
}

fn image(pod: &Pod) -> &str {
    pod.spec.as_ref().unwrap().containers[0].image.as_deref().unwrap()
}

fn progress(deployment: &Deployment) -> Option<&str> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Progressing")?.reason.as_deref()
}

/// What `kubectl rollout status` calls successfully rolled out.
fn is_rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.as_ref().unwrap().replicas;
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && progress(deployment) == Some("NewReplicaSetAvailable")
}

pub async fn rolled_out(world: &World, name: &str) -> Deployment {
    let api = world.api::<Deployment>();
    world
        .until(&format!("deployment `{name}` rolled out"), || async {
            api.get(name).await.ok().filter(is_rolled_out)
        })
        .await
}

fn revision(deployment: &Deployment) -> &str {
    &deployment.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"]
}

#[tokio::test]
async fn a_deployment_rolls_out_forward_and_back() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 3)).await;
    let first = rolled_out(&world, "web").await;
    assert_eq!(revision(&first), "1");
    assert_eq!(world.pods().await.len(), 3);

    let template = |image| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } });
    world.patch::<Deployment>("web", template("two")).await;
    let second = rolled_out(&world, "web").await;
    assert_eq!(revision(&second), "2");
    world
        .until("only new pods", || async {
            let pods = world.pods().await;
            (pods.len() == 3 && pods.iter().all(|pod| image(pod) == "two")).then_some(())
        })
        .await;

    world.patch::<Deployment>("web", template("one")).await;
    let third = rolled_out(&world, "web").await;
    assert_eq!(revision(&third), "3");
    let sets = world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(sets.len(), 2, "going back uses the old set again");
}

#[tokio::test]
async fn a_replica_set_never_creates_more_pods_than_wanted() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 40)).await;
    rolled_out(&world, "web").await;
    let events = world.api::<Event>();
    let created = world
        .until("forty events of created pods", || async {
            let events = events.list(&ListParams::default()).await.unwrap().items;
            let created =
                events.iter().filter(|event| event.reason.as_deref() == Some("SuccessfulCreate")).count();
            (created >= 40).then_some(created)
        })
        .await;
    assert_eq!((created, world.pods().await.len()), (40, 40));
}

#[tokio::test]
async fn scaling_follows_the_wanted_number_both_ways() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 1)).await;
    rolled_out(&world, "web").await;
    for replicas in [5, 2, 0] {
        world.patch::<Deployment>("web", json!({ "spec": { "replicas": replicas } })).await;
        world
            .until(&format!("{replicas} pods"), || async {
                (world.pods().await.len() == replicas).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn a_broken_rollout_keeps_the_old_pods_serving() {
    let world = World::start().await;
    let mut careful = deployment("web", "one", 2);
    careful["spec"]["strategy"] = json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    world.create::<Deployment>(careful).await;
    rolled_out(&world, "web").await;
    let broken = json!({ "metadata": { "annotations": { "test/never-ready": "yes" } } });
    world.patch::<Deployment>("web", json!({ "spec": { "template": broken } })).await;
    let api = world.api::<Deployment>();
    let stuck = world
        .until("one updated replica that is not available", || async {
            let seen = api.get("web").await.ok()?;
            let status = seen.status.clone()?;
            (status.updated_replicas == Some(1) && status.unavailable_replicas == Some(1)).then_some(seen)
        })
        .await;
    assert_eq!(stuck.status.as_ref().unwrap().available_replicas, Some(2));
    assert_eq!(world.pods().await.len(), 3);
}

#[tokio::test]
async fn recreate_never_runs_two_versions_at_once() {
    let world = World::start().await;
    let mut spec = deployment("web", "one", 2);
    spec["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.create::<Deployment>(spec).await;
    rolled_out(&world, "web").await;
    let template = json!({ "spec": { "containers": [{ "name": "c", "image": "two" }] } });
    world.patch::<Deployment>("web", json!({ "spec": { "template": template } })).await;
    world
        .until("only new pods", || async {
            let pods = world.pods().await;
            let images: std::collections::BTreeSet<&str> = pods.iter().map(image).collect();
            assert!(images.len() <= 1, "two versions at once: {images:?}");
            (pods.len() == 2 && images.contains("two")).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why() {
    let world = World::start().await;
    let mut large = deployment("web", "one", 1);
    large["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "memory": "64Gi" } });
    world.create::<Deployment>(large).await;
    let message = world
        .until("a pod that is not scheduled", || async {
            let pods = world.pods().await;
            let conditions = pods.first()?.status.clone()?.conditions?;
            let condition = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled")?;
            (condition.reason.as_deref() == Some("Unschedulable")).then(|| condition.message.unwrap())
        })
        .await;
    assert!(message.contains("Insufficient memory"), "{message}");
    assert!(message.starts_with("0/1 nodes are available"), "{message}");
}

#[tokio::test]
async fn a_replication_controller_keeps_its_pods() {
    let world = World::start().await;
    let labels = json!({ "app": "old" });
    let controller = json!({
        "metadata": { "name": "old" },
        "spec": { "replicas": 2, "selector": labels, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "c", "image": "one" }] },
        } },
    });
    world.create::<ReplicationController>(controller).await;
    let api = world.api::<ReplicationController>();
    let available = |wanted: i32| {
        let api = api.clone();
        async move {
            let status = api.get("old").await.ok()?.status?;
            (status.available_replicas == Some(wanted) && status.replicas == wanted).then_some(())
        }
    };
    world.until("two pods", || available(2)).await;
    world.patch::<ReplicationController>("old", json!({ "spec": { "replicas": 1 } })).await;
    world.until("one pod", || available(1)).await;
    let owners = world.pods().await[0].metadata.owner_references.clone().unwrap();
    assert_eq!(owners[0].kind, "ReplicationController");
}
