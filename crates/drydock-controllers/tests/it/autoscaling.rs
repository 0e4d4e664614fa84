//! HorizontalPodAutoscalers.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition};
use serde_json::{Value, json};

use crate::rollouts::deployment;
use crate::world::World;

fn autoscaler(least: i32, most: i32) -> Value {
    json!({
        "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": least, "maxReplicas": most,
        },
    })
}

async fn condition(world: &World, type_: &str, status: &str) -> HorizontalPodAutoscalerCondition {
    let autoscalers = world.api::<HorizontalPodAutoscaler>();
    world
        .until(&format!("{type_}={status}"), || async {
            let conditions = autoscalers.get("web").await.ok()?.status?.conditions?;
            conditions.into_iter().find(|condition| condition.type_ == type_ && condition.status == status)
        })
        .await
}

#[tokio::test]
async fn a_target_below_the_minimum_is_scaled_up_without_any_metric() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 1)).await;
    world.create::<HorizontalPodAutoscaler>(autoscaler(3, 5)).await;
    let deployments = world.api::<Deployment>();
    world
        .until("three replicas", || async {
            let deployment = deployments.get("web").await.ok()?;
            (deployment.spec?.replicas == Some(3)).then_some(())
        })
        .await;
    let able = condition(&world, "AbleToScale", "True").await;
    assert_eq!(able.reason.as_deref(), Some("SucceededRescale"));
}

#[tokio::test]
async fn an_autoscaler_without_metrics_says_what_it_misses() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("web", "one", 2)).await;
    world.create::<HorizontalPodAutoscaler>(autoscaler(1, 5)).await;
    let inactive = condition(&world, "ScalingActive", "False").await;
    assert_eq!(inactive.reason.as_deref(), Some("FailedGetResourceMetric"));
    let message = inactive.message.unwrap();
    assert!(message.contains("unable to fetch metrics from resource metrics API"), "{message}");
}

#[tokio::test]
async fn an_autoscaler_of_nothing_says_so() {
    let world = World::start().await;
    world.create::<HorizontalPodAutoscaler>(autoscaler(1, 5)).await;
    let unable = condition(&world, "AbleToScale", "False").await;
    assert_eq!(unable.reason.as_deref(), Some("FailedGetScale"));
    let message = unable.message.unwrap();
    assert!(message.ends_with("deployments.apps \"web\" not found"), "{message}");
}
