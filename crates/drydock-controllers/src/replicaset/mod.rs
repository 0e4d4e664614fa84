//! Keeps each ReplicaSet, and each ReplicationController, at its desired number of pods.
//!
//! Reads: ReplicaSet or ReplicationController, Pod. Writes: Pod (create, delete), the owner's status.
//! The older kind is seen as a ReplicaSet, see [`Replicated`], so that both have one set of rules.
//! Never edits a pod it does not own; adopting orphans and releasing strays are the only exceptions.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure.

mod plan;
mod replicated;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};

use self::plan::{Plan, plan};
use self::replicated::Replicated;
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, claim, sort_children};
use crate::pods;
use crate::queue::Queue;
use crate::selector;
use crate::watches::Watches;

/// Pods created at once; each batch that succeeds doubles the next, so that a hopeless template
/// fails a few times and not a thousand times.
const FIRST_BATCH: usize = 4;
/// Pods one pass creates or deletes at most.
const BURST: usize = 500;

pub fn controller() -> Controller {
    controller_of::<ReplicaSet>()
}

pub fn replication_controller() -> Controller {
    controller_of::<ReplicationController>()
}

fn controller_of<K: Replicated>() -> Controller {
    Controller {
        name: K::CONTROLLER,
        workers: K::WORKERS,
        watches: watches::<K>,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile::<K>(&cx, &key).await?) }),
    }
}

fn watches<K: Replicated>(watches: &mut Watches<'_>) {
    watches.own(K::kind_of(watches.cx));
    watches.on(&watches.cx.kinds.pods, |cx, queue, old, new| {
        owner::wake_owner(queue, &K::kind(&()), old, new);
        if let Some(pod) = new.filter(|pod| owner::controller_of(&pod.metadata).is_none()) {
            wake_adopters::<K>(cx, queue, pod);
        }
    });
}

/// An orphan wakes every set that might take it in.
fn wake_adopters<K: Replicated>(cx: &Cx, queue: &Queue, pod: &Pod) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for set in K::kind_of(cx).cache.in_namespace(namespace) {
        if spec_matches(&K::as_set(&set), pod) {
            queue.add(Key::of(set.meta()));
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

/// One set with the pods it manages.
pub struct Observed {
    pub set: Arc<ReplicaSet>,
    pub pods: Vec<Arc<Pod>>,
    pub now: Timestamp,
}

async fn reconcile<K: Replicated>(cx: &Cx, key: &Key) -> Result<Next, Error> {
    let Some(owner) = K::kind_of(cx).get(key) else { return Ok(Next::WaitForChange) };
    let Some(observed) = observe(cx, &owner, key).await? else { return Ok(Next::WaitForChange) };
    let plan = plan(&observed);
    let acted = act(cx, &*owner, &observed, &plan).await;
    let observed = Observed { now: cx.now(), ..observed };
    write_status::<K>(cx, key, &observed, acted.as_ref().err()).await?;
    acted?;
    Ok(Next::after(status::next_change(&observed)))
}

async fn observe<K: Replicated>(cx: &Cx, owner: &Arc<K>, key: &Key) -> Result<Option<Observed>, Error> {
    let set = K::as_set(owner);
    let Some(spec) = &set.spec else { return Ok(None) };
    let candidates = cx.kinds.pods.cache.in_namespace(&key.namespace);
    let candidates = candidates.into_iter().filter(|pod| {
        owner::is_controlled_by(&pod.metadata, owner::uid(&set.metadata)) || !pods::is_finished(pod)
    });
    let children = sort_children(&set.metadata, &spec.selector, candidates);
    let pods = claim(&**owner, &cx.kinds.pods, children).await?;
    Ok(Some(Observed { set, pods, now: cx.now() }))
}

async fn act<K: Replicated>(cx: &Cx, owner: &K, observed: &Observed, plan: &Plan) -> Result<(), WriteError> {
    create(cx, owner, &observed.set, plan.create.min(BURST)).await?;
    let doomed = plan.delete.iter().take(BURST).filter_map(|key| cx.kinds.pods.get(key));
    futures::future::try_join_all(doomed.map(|pod| delete(cx, owner, pod))).await?;
    Ok(())
}

async fn create<K: Replicated>(
    cx: &Cx,
    owner: &K,
    set: &ReplicaSet,
    mut missing: usize,
) -> Result<(), WriteError> {
    let Some(template) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else { return Ok(()) };
    let key = Key::of(&set.metadata);
    let mut pod = pods::from_template(template, &key.namespace, owner::reference(owner));
    pod.metadata.generate_name = Some(format!("{}-", key.name));
    let mut batch = FIRST_BATCH;
    while missing > 0 {
        let size = batch.min(missing);
        let created = futures::future::join_all((0..size).map(|_| cx.kinds.pods.create(&pod))).await;
        for outcome in created {
            match outcome {
                Ok(pod) => {
                    let message = format!("Created pod: {}", Key::of(&pod.metadata).name);
                    cx.recorder.normal(K::CONTROLLER, owner, "SuccessfulCreate", message);
                }
                Err(error) => {
                    let message = format!("Error creating: {}", error.detail());
                    cx.recorder.warning(K::CONTROLLER, owner, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        missing -= size;
        batch *= 2;
    }
    Ok(())
}

async fn delete<K: Replicated>(cx: &Cx, owner: &K, pod: Arc<Pod>) -> Result<(), WriteError> {
    let name = Key::of(&pod.metadata).name;
    match cx.kinds.pods.delete(&pod.metadata).await {
        Ok(()) => {
            cx.recorder.normal(K::CONTROLLER, owner, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(error) => {
            let message = format!("Error deleting: {}", error.detail());
            cx.recorder.warning(K::CONTROLLER, owner, "FailedDelete", message);
            Err(error)
        }
    }
}

/// Reads the pods again, so that the status already counts what this pass created and deleted.
async fn write_status<K: Replicated>(
    cx: &Cx,
    key: &Key,
    observed: &Observed,
    failure: Option<&WriteError>,
) -> Result<(), Error> {
    let Some(owner) = K::kind_of(cx).get(key) else { return Ok(()) };
    let set = K::as_set(&owner);
    let uid = owner::uid(&set.metadata);
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| owner::is_controlled_by(&pod.metadata, uid));
    let wanted = status::status(&set, &pods, failure.map(WriteError::detail), observed.now);
    let updated = owner.with_status(wanted);
    // Compared as the owner can say it: a ReplicationController knows no count of terminating pods.
    if set.status == K::as_set(&Arc::new(updated.clone())).status {
        return Ok(());
    }
    K::kind_of(cx).replace_status(&updated).await?;
    Ok(())
}
