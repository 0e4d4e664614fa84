//! HorizontalPodAutoscalers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock_api::NodeBackend;
use drydock_api::node::{LogOptions, LogStream, NodeError, PodRef, PodUsage, Sample, Usage};
use futures::future::BoxFuture;
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

/// A node whose containers use what a test says.
#[derive(Default)]
struct Measured(Mutex<Option<Arc<Sample>>>);

impl Measured {
    fn uses(&self, pods: Vec<String>, memory_bytes: u64) {
        let used = Usage { cpu_nanocores: 1, memory_bytes };
        let pods = pods.into_iter().map(|name| PodUsage {
            namespace: "default".into(),
            name,
            containers: vec![("c".into(), used)],
        });
        let sample = Sample {
            at: jiff::Timestamp::now(),
            window: Duration::from_secs(15),
            node: "node-1".into(),
            node_usage: used,
            pods: pods.collect(),
        };
        *self.0.lock().unwrap() = Some(Arc::new(sample));
    }
}

impl NodeBackend for Measured {
    fn measures(&self) -> bool {
        true
    }

    fn sample(&self) -> Option<Arc<Sample>> {
        self.0.lock().unwrap().clone()
    }

    fn logs(&self, _pod: PodRef, _options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        Box::pin(async { Err(NodeError::NotImplemented("logs")) })
    }
}

#[tokio::test]
async fn a_target_follows_the_use_of_its_pods() {
    let node = Arc::new(Measured::default());
    let world = World::start_with(node.clone()).await;
    let mut web = deployment("web", "one", 1);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "memory": "100Mi" } });
    world.create::<Deployment>(web).await;
    let pod = world.until("a pod", || async { world.pods().await.first()?.metadata.name.clone() }).await;
    node.uses(vec![pod], 350 << 20);
    let mut wanted = autoscaler(1, 5);
    wanted["spec"]["metrics"] = json!([{ "type": "Resource", "resource": {
        "name": "memory", "target": { "type": "Utilization", "averageUtilization": 100 },
    } }]);
    world.create::<HorizontalPodAutoscaler>(wanted).await;
    let deployments = world.api::<Deployment>();
    world
        .until("four replicas", || async {
            let deployment = deployments.get("web").await.ok()?;
            (deployment.spec?.replicas == Some(4)).then_some(())
        })
        .await;
    condition(&world, "ScalingActive", "True").await;
    let status = world.api::<HorizontalPodAutoscaler>().get("web").await.unwrap().status.unwrap();
    let current = status.current_metrics.unwrap()[0].resource.clone().unwrap().current;
    assert_eq!(current.average_utilization, Some(350));
    assert_eq!(current.average_value.unwrap().0, "350Mi");
}
