//! Keeps each ReplicaSet at its desired number of pods.
//!
//! Reads: ReplicaSet, Pod. Writes: Pod (create, delete), ReplicaSet status.
//! Never edits a pod it does not own; adopting orphans and releasing strays are the only exceptions.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure.

mod plan;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use self::plan::{Plan, plan};
use crate::controller::{Controller, Next, Synced};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, claim, sort_children};
use crate::pods;
use crate::queue::Queue;
use crate::selector;

const NAME: &str = "replicaset-controller";
/// Pods created at once; each batch that succeeds doubles the next, so that a hopeless template
/// fails a few times and not a thousand times.
const FIRST_BATCH: usize = 4;
/// Pods one pass creates or deletes at most.
const BURST: usize = 500;

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 4,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(cx: &Arc<Cx>, queue: &Arc<Queue>) -> Vec<Synced> {
    let q = queue.clone();
    cx.kinds.replica_sets.cache.subscribe(move |old, new| {
        if let Some(set) = new.or(old) {
            q.add(Key::of(&set.metadata));
        }
    });
    let (q, weak) = (queue.clone(), Arc::downgrade(cx));
    cx.kinds.pods.cache.subscribe(move |old, new| {
        owner::wake_owner(&q, "ReplicaSet", old, new);
        if let (Some(pod), Some(cx)) = (new, weak.upgrade())
            && owner::controller_of(&pod.metadata).is_none()
        {
            wake_adopters(&cx, &q, pod);
        }
    });
    vec![cx.kinds.replica_sets.cache.synced(), cx.kinds.pods.cache.synced()]
}

/// An orphan wakes every set that might take it in.
fn wake_adopters(cx: &Cx, queue: &Queue, pod: &Pod) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for set in cx.kinds.replica_sets.cache.in_namespace(namespace) {
        if spec_matches(&set, pod) {
            queue.add(Key::of(&set.metadata));
        }
    }
}

fn spec_matches(set: &ReplicaSet, pod: &Pod) -> bool {
    set.spec.as_ref().is_some_and(|spec| selector::matches(&spec.selector, pod.metadata.labels.as_ref()))
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// One ReplicaSet with the pods it manages.
pub struct Observed {
    pub set: Arc<ReplicaSet>,
    pub pods: Vec<Arc<Pod>>,
    pub now: Timestamp,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, Error> {
    let Some(observed) = observe(cx, key).await? else { return Ok(Next::WaitForChange) };
    let plan = plan(&observed);
    let acted = act(cx, &observed, &plan).await;
    let observed = Observed { now: cx.now(), ..observed };
    write_status(cx, &observed, acted.as_ref().err()).await?;
    acted?;
    Ok(Next::after(status::next_change(&observed)))
}

async fn observe(cx: &Cx, key: &Key) -> Result<Option<Observed>, Error> {
    let Some(set) = cx.kinds.replica_sets.get(key) else { return Ok(None) };
    let Some(spec) = &set.spec else { return Ok(None) };
    let candidates = cx.kinds.pods.cache.in_namespace(&key.namespace);
    let candidates = candidates.into_iter().filter(|pod| {
        owner::is_controlled_by(&pod.metadata, owner::uid(&set.metadata)) || !pods::is_finished(pod)
    });
    let children = sort_children(&set.metadata, &spec.selector, candidates);
    let pods = claim(&*set, &cx.kinds.pods, children).await?;
    Ok(Some(Observed { set, pods, now: cx.now() }))
}

async fn act(cx: &Cx, observed: &Observed, plan: &Plan) -> Result<(), WriteError> {
    create(cx, &observed.set, plan.create.min(BURST)).await?;
    let doomed = plan.delete.iter().take(BURST).filter_map(|key| cx.kinds.pods.get(key));
    futures::future::try_join_all(doomed.map(|pod| delete(cx, &observed.set, pod))).await?;
    Ok(())
}

async fn create(cx: &Cx, set: &ReplicaSet, mut missing: usize) -> Result<(), WriteError> {
    let Some(template) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else { return Ok(()) };
    let key = Key::of(&set.metadata);
    let mut pod = pods::from_template(template, &key.namespace, owner::reference(set));
    pod.metadata.generate_name = Some(format!("{}-", key.name));
    let mut batch = FIRST_BATCH;
    while missing > 0 {
        let size = batch.min(missing);
        let created = futures::future::join_all((0..size).map(|_| cx.kinds.pods.create(&pod))).await;
        for outcome in created {
            match outcome {
                Ok(pod) => {
                    let message = format!("Created pod: {}", Key::of(&pod.metadata).name);
                    cx.recorder.normal(NAME, set, "SuccessfulCreate", message);
                }
                Err(error) => {
                    cx.recorder.warning(
                        NAME,
                        set,
                        "FailedCreate",
                        format!("Error creating: {}", error.detail()),
                    );
                    return Err(error);
                }
            }
        }
        missing -= size;
        batch *= 2;
    }
    Ok(())
}

async fn delete(cx: &Cx, set: &ReplicaSet, pod: Arc<Pod>) -> Result<(), WriteError> {
    let name = Key::of(&pod.metadata).name;
    match cx.kinds.pods.delete(&pod.metadata).await {
        Ok(()) => {
            cx.recorder.normal(NAME, set, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(error) => {
            let message = format!("Error deleting: {}", error.detail());
            cx.recorder.warning(NAME, set, "FailedDelete", message);
            Err(error)
        }
    }
}

/// Reads the pods again, so that the status already counts what this pass created and deleted.
async fn write_status(cx: &Cx, observed: &Observed, failure: Option<&WriteError>) -> Result<(), Error> {
    let key = Key::of(&observed.set.metadata);
    let Some(set) = cx.kinds.replica_sets.get(&key) else { return Ok(()) };
    let uid = owner::uid(&set.metadata);
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| owner::is_controlled_by(&pod.metadata, uid));
    let wanted = status::status(&set, &pods, failure.map(WriteError::detail), observed.now);
    if set.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let updated = ReplicaSet { status: Some(wanted), ..(*set).clone() };
    cx.kinds.replica_sets.replace_status(&updated).await?;
    Ok(())
}
