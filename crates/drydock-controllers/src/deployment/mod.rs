//! Rolls a Deployment's pods from one template to the next through ReplicaSets.
//!
//! Reads: Deployment, ReplicaSet, Pod (only to know that old pods are gone before recreating).
//! Writes: ReplicaSet (create, scale, annotate, delete old), Deployment status and revision.
//! Never touches a pod: that is the ReplicaSet controller's work.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure. Each write wakes the
//! Deployment again, so one pass takes one step of a rollout.

mod plan;
mod progress;
mod proportion;
mod revision;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value, json};

use self::plan::{Plan, Update, plan};
use self::progress::News;
pub use self::proportion::part_of;
use self::revision::{REVISION, Sets};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, claim, sort_children};
use crate::pods;
use crate::queue::Queue;
use crate::watches::Watches;

const NAME: &str = "deployment-controller";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 4,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.deployments);
    watches.owned_by("Deployment", &kinds.replica_sets);
    watches.on(&kinds.pods, |cx, queue, old, new| {
        let ended = new.is_none_or(|pod| pods::is_finished(pod));
        if let Some(pod) = old.filter(|_| ended) {
            wake_deployment_of(cx, queue, pod);
        }
    });
}

/// A `Recreate` rollout goes on when the last old pod is gone.
fn wake_deployment_of(cx: &Cx, queue: &Queue, pod: &Pod) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(owner) = owner::controller_of(&pod.metadata) else { return };
    if let Some(set) = cx.kinds.replica_sets.get(&Key::new(namespace, &owner.name)) {
        owner::wake_owner(queue, "Deployment", Some(&set), None);
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("replica set `{name}` exists already with another template")]
    NameTaken { name: String },
}

/// One Deployment with the ReplicaSets it manages.
pub struct Observed {
    pub deployment: Arc<Deployment>,
    pub sets: Vec<Arc<ReplicaSet>>,
    /// Pods of each ReplicaSet (by uid) that have not ended.
    pub live_pods: BTreeMap<String, usize>,
    pub now: Timestamp,
}

impl Observed {
    pub fn spec(&self) -> Option<&DeploymentSpec> {
        self.deployment.spec.as_ref()
    }
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, Error> {
    let Some(observed) = observe(cx, key).await? else { return Ok(Next::WaitForChange) };
    let plan = plan(&observed);
    let acted = act(cx, &observed, &plan).await;
    let news = match &acted {
        Ok(news) => news.clone(),
        Err(Error::Write(error)) if plan.create.is_some() => Some(News::CreateFailed(error.detail())),
        Err(_) => None,
    };
    let next = write_status(cx, key, news).await;
    acted?;
    next
}

async fn observe(cx: &Cx, key: &Key) -> Result<Option<Observed>, Error> {
    let Some(deployment) = cx.kinds.deployments.get(key) else { return Ok(None) };
    let Some(spec) = &deployment.spec else { return Ok(None) };
    let candidates = cx.kinds.replica_sets.cache.in_namespace(&key.namespace);
    let children = sort_children(&deployment.metadata, &spec.selector, candidates);
    let sets = claim(&*deployment, &cx.kinds.replica_sets, children).await?;
    Ok(Some(Observed { live_pods: live_pods(cx, &key.namespace), deployment, sets, now: cx.now() }))
}

fn live_pods(cx: &Cx, namespace: &str) -> BTreeMap<String, usize> {
    let mut live = BTreeMap::new();
    for pod in cx.kinds.pods.cache.in_namespace(namespace) {
        if let Some(owner) = owner::controller_of(&pod.metadata).filter(|_| !pods::is_finished(&pod)) {
            *live.entry(owner.uid.clone()).or_default() += 1;
        }
    }
    live
}

async fn act(cx: &Cx, observed: &Observed, plan: &Plan) -> Result<Option<News>, Error> {
    let mut news = plan.found.clone().map(News::Found);
    if let Some(set) = &plan.create {
        create(cx, observed, set).await?;
        news = Some(News::Created(Key::of(&set.metadata).name));
    }
    for update in &plan.update {
        apply(cx, observed, update).await?;
    }
    for set in &plan.delete {
        cx.kinds.replica_sets.delete(&set.metadata).await?;
    }
    if let Some(revision) = &plan.revision {
        let patch = json!({ "metadata": { "annotations": { REVISION: revision } } });
        cx.kinds.deployments.patch_status(&Key::of(&observed.deployment.metadata), patch).await?;
    }
    Ok(news)
}

async fn create(cx: &Cx, observed: &Observed, set: &ReplicaSet) -> Result<(), Error> {
    match cx.kinds.replica_sets.create(set).await {
        Ok(created) => {
            let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
            record_scaling(cx, observed, &Key::of(&created.metadata).name, 0, replicas);
            Ok(())
        }
        Err(error) if error.is_already_exists() => resolve_collision(cx, observed, set).await,
        Err(error) => {
            let name = Key::of(&set.metadata).name;
            let message = format!("Failed to create new replica set {name:?}: {}", error.detail());
            cx.recorder.warning(NAME, &*observed.deployment, "ReplicaSetCreateError", message);
            Err(error.into())
        }
    }
}

/// The name is taken: by our own earlier attempt, or by another template with the same hash.
async fn resolve_collision(cx: &Cx, observed: &Observed, set: &ReplicaSet) -> Result<(), Error> {
    let key = Key::of(&set.metadata);
    let deployment = &observed.deployment;
    let Some(existing) = cx.kinds.replica_sets.fetch(&key).await? else { return Ok(()) };
    let ours = owner::is_controlled_by(&existing.metadata, owner::uid(&deployment.metadata));
    if ours && observed.spec().is_some_and(|spec| revision::has_template(&existing, &spec.template)) {
        cx.kinds.replica_sets.cache.apply_written(existing);
        return Ok(());
    }
    let status = deployment.status.clone().unwrap_or_default();
    let collisions = status.collision_count.unwrap_or(0) + 1;
    let status = DeploymentStatus { collision_count: Some(collisions), ..status };
    cx.kinds
        .deployments
        .replace_status(&Deployment { status: Some(status), ..(**deployment).clone() })
        .await?;
    Err(Error::NameTaken { name: key.name })
}

async fn apply(cx: &Cx, observed: &Observed, update: &Update) -> Result<(), Error> {
    let key = Key::of(&update.set.metadata);
    let mut spec = Map::new();
    let before = update.set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    if let Some(replicas) = update.replicas {
        spec.insert("replicas".into(), json!(replicas));
    }
    if let Some(min_ready_s) = update.min_ready_s {
        spec.insert("minReadySeconds".into(), json!(min_ready_s));
    }
    let metadata = json!({
        "resourceVersion": update.set.metadata.resource_version,
        "annotations": update.annotations,
    });
    let patch = json!({ "metadata": metadata, "spec": Value::Object(spec) });
    cx.kinds.replica_sets.patch(&key, patch).await?;
    if let Some(after) = update.replicas.filter(|after| *after != before) {
        record_scaling(cx, observed, &key.name, before, after);
    }
    Ok(())
}

fn record_scaling(cx: &Cx, observed: &Observed, set: &str, from: i32, to: i32) {
    let direction = if to >= from { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
    cx.recorder.normal(NAME, &*observed.deployment, "ScalingReplicaSet", message);
}

/// Reads the sets again, so that the status already counts what this pass did.
async fn write_status(cx: &Cx, key: &Key, news: Option<News>) -> Result<Next, Error> {
    let Some(deployment) = cx.kinds.deployments.get(key) else { return Ok(Next::WaitForChange) };
    let uid = owner::uid(&deployment.metadata);
    let mut sets = cx.kinds.replica_sets.cache.in_namespace(&key.namespace);
    sets.retain(|set| owner::is_controlled_by(&set.metadata, uid));
    let observed = Observed { deployment, sets, live_pods: BTreeMap::new(), now: cx.now() };
    let wanted = status::status(&observed, &Sets::of(&observed), news.as_ref());
    let next = progress::deadline(&observed, &wanted);
    if observed.deployment.status.as_ref() != Some(&wanted) {
        let updated = Deployment { status: Some(wanted), ..(*observed.deployment).clone() };
        cx.kinds.deployments.replace_status(&updated).await?;
    }
    Ok(Next::after(next))
}
