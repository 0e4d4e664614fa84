//! Jobs and DaemonSets.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::kubelet::NODE;
use crate::world::World;

fn job(phase: &str, spec: Value) -> Value {
    let mut job = json!({
        "metadata": { "name": "task" },
        "spec": { "template": {
            "metadata": { "annotations": { "test/ends": phase } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "one" }] },
        } },
    });
    spec.as_object().unwrap().iter().for_each(|(key, value)| job["spec"][key] = value.clone());
    job
}

async fn ended(world: &World, condition: &str) -> Job {
    let jobs = world.api::<Job>();
    world
        .until(&format!("the job's condition {condition}"), || async {
            let job = jobs.get("task").await.ok()?;
            let conditions = job.status.as_ref()?.conditions.as_ref()?;
            conditions.iter().any(|c| c.type_ == condition && c.status == "True").then_some(job.clone())
        })
        .await
}

#[tokio::test]
async fn a_job_completes_when_enough_pods_have_succeeded() {
    let world = World::start().await;
    world.create::<Job>(job("Succeeded", json!({ "completions": 3, "parallelism": 2 }))).await;
    let job = ended(&world, "Complete").await;
    assert_eq!(job.status.unwrap().succeeded, Some(3));
    assert_eq!(world.pods().await.len(), 3);
}

#[tokio::test]
async fn a_job_that_may_not_fail_fails_with_its_first_pod() {
    let world = World::start().await;
    world.create::<Job>(job("Failed", json!({ "backoffLimit": 0 }))).await;
    let job = ended(&world, "Failed").await;
    let conditions = job.status.unwrap().conditions.unwrap();
    let failed = conditions.iter().find(|condition| condition.type_ == "Failed").unwrap();
    assert_eq!(failed.reason.as_deref(), Some("BackoffLimitExceeded"));
}

fn daemon_set() -> serde_json::Value {
    let labels = json!({ "app": "log" });
    json!({
        "metadata": { "name": "log" },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "c", "image": "one" }] },
        } },
    })
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_the_node() {
    let world = World::start().await;
    world.create::<DaemonSet>(daemon_set()).await;
    let sets = world.api::<DaemonSet>();
    world
        .until("the daemon available", || async {
            let status = sets.get("log").await.ok()?.status?;
            (status.number_available == Some(1) && status.updated_number_scheduled == Some(1)).then_some(())
        })
        .await;
    let pods = world.pods().await;
    assert_eq!(pods[0].spec.as_ref().unwrap().node_name.as_deref(), Some(NODE));
}

#[tokio::test]
async fn a_cron_job_starts_jobs_and_keeps_only_its_history() {
    let world = World::start().await;
    let template = job("Succeeded", json!({}))["spec"].clone();
    let cron = json!({
        "metadata": { "name": "tick" },
        "spec": { "schedule": "@every 1s", "successfulJobsHistoryLimit": 1, "jobTemplate": { "spec": template } },
    });
    world.create::<CronJob>(cron).await;
    let (crons, jobs) = (world.api::<CronJob>(), world.api::<Job>());
    let first = world
        .until("a job that succeeded", || async {
            let status = crons.get("tick").await.ok()?.status?;
            status.last_successful_time.is_some().then_some(status)
        })
        .await;
    assert!(first.last_schedule_time.is_some());
    for job in jobs.list(&ListParams::default()).await.unwrap() {
        assert!(job.metadata.name.as_deref().unwrap().starts_with("tick-"));
        let annotations = job.metadata.annotations.unwrap();
        assert!(annotations.contains_key("batch.kubernetes.io/cronjob-scheduled-timestamp"));
    }
    crons
        .patch("tick", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "suspend": true } })))
        .await
        .unwrap();
    world
        .until("no more than one finished job", || async {
            let jobs = jobs.list(&ListParams::default()).await.ok()?;
            let ended =
                jobs.iter().all(|job| job.status.as_ref().is_some_and(|s| s.completion_time.is_some()));
            (ended && jobs.items.len() == 1).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_daemon_set_keeps_its_history_and_goes_back() {
    let world = World::start().await;
    world.create::<DaemonSet>(daemon_set()).await;
    let revisions = world.api::<ControllerRevision>();
    let numbers = || async {
        let mut list = revisions.list(&ListParams::default()).await.ok()?.items;
        list.sort_by_key(|revision| revision.revision);
        Some(list)
    };
    let runs = |image: &'static str| {
        let world = &world;
        async move {
            let pods = world.pods().await;
            let [pod] = pods.as_slice() else { return None };
            (pod.spec.as_ref()?.containers[0].image.as_deref() == Some(image)).then_some(())
        }
    };
    world.until("the first pod", || runs("one")).await;
    let image = |name: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": name }] } } } });
    world.patch::<DaemonSet>("log", image("two")).await;
    world.until("the second pod", || runs("two")).await;
    let list =
        world.until("two revisions", || async { numbers().await.filter(|list| list.len() == 2) }).await;
    assert_eq!(list[0].revision, 1);
    // What `kubectl rollout undo` sends is the data of the old revision.
    let back = list[0].data.clone().unwrap().0;
    let api = world.api::<DaemonSet>();
    api.patch("log", &PatchParams::default(), &Patch::Strategic(back)).await.unwrap();
    world.until("the first image again", || runs("one")).await;
    let list = numbers().await.unwrap();
    let found: Vec<i64> = list.iter().map(|revision| revision.revision).collect();
    assert_eq!(found, [2, 3], "the old revision is the newest again");
}
