//! Gives each pod a node that fits, or says what does not fit.
//!
//! Reads: Pod, Node, PersistentVolumeClaim. Writes: `pods/binding`, the pod's condition
//! `PodScheduled`. A decision is made under one lock and counted at once in the shared cache, so
//! two pods never get the same room.
//!
//! Start at [`reconcile`]; the predicates are in [`fit`] and [`neighbours`], which are pure.

mod fit;
mod neighbours;
mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, PersistentVolumeClaim, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status};
use kube::Api;
use kube::api::PostParams;

use self::fit::{Verdict, choose};
use crate::controller::{Controller, Next};
use crate::cx::{Cx, time};
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, is_deleting};
use crate::pods;
use crate::queue::Queue;
use crate::watches::Watches;

const NAME: &str = "default-scheduler";
const POD_SCHEDULED: &str = "PodScheduled";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 8,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.on(&kinds.pods, |cx, queue, old, new| {
        if let Some(pod) = new.filter(|pod| is_waiting(pod)) {
            queue.add(Key::of(&pod.metadata));
        }
        // Room has become free.
        let ended = new.is_none_or(|pod| pods::is_finished(pod));
        let held_room = old.is_some_and(|pod| pods::node_name(pod).is_some() && !pods::is_finished(pod));
        if ended && held_room {
            wake_waiting(cx, queue, |_| true);
        }
        // Company has come.
        let is_placed = new.is_some_and(|pod| pods::node_name(pod).is_some());
        if is_placed && !held_room {
            wake_waiting(cx, queue, neighbours::has_demands);
        }
    });
    watches.on(&kinds.nodes, |cx, queue, old, new| {
        if !old.zip(new).is_some_and(|(old, new)| fit::looks_same(old, new)) {
            wake_waiting(cx, queue, |_| true);
        }
    });
    watches.on(&kinds.claims, |cx, queue, _, new| {
        if let Some(claim) = new {
            wake_users_of(cx, queue, claim);
        }
    });
}

fn wake_waiting(cx: &Cx, queue: &Queue, concerned: impl Fn(&Pod) -> bool) {
    cx.kinds
        .pods
        .cache
        .all()
        .iter()
        .filter(|pod| is_waiting(pod) && concerned(pod))
        .for_each(|pod| queue.add(Key::of(&pod.metadata)));
}

fn wake_users_of(cx: &Cx, queue: &Queue, claim: &PersistentVolumeClaim) {
    let key = Key::of(&claim.metadata);
    for pod in cx.kinds.pods.cache.in_namespace(&key.namespace) {
        if is_waiting(&pod) && claim_names(&pod).any(|name| name == key.name) {
            queue.add(Key::of(&pod.metadata));
        }
    }
}

/// Ours to place, and not placed yet.
fn is_waiting(pod: &Pod) -> bool {
    let scheduler = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(NAME);
    scheduler == NAME && pods::node_name(pod).is_none() && pods::is_active(pod)
}

/// The claims a pod mounts, including those of its ephemeral volumes.
pub fn claim_names(pod: &Pod) -> impl Iterator<Item = String> + '_ {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let ephemeral = || {
            let _template = volume.ephemeral.as_ref()?;
            Some(format!("{}-{}", pod.metadata.name.as_deref()?, volume.name))
        };
        volume.persistent_volume_claim.as_ref().map(|source| source.claim_name.clone()).or_else(ephemeral)
    })
}

/// One pod and everything that decides where it can go.
pub struct Observed {
    pub pod: Arc<Pod>,
    pub nodes: Vec<Arc<Node>>,
    /// Pods that hold room on some node.
    pub placed: Vec<Arc<Pod>>,
    /// The pod's claims by name, as far as they exist.
    pub claims: Vec<(String, Option<Arc<PersistentVolumeClaim>>)>,
    /// Labels of every namespace by its name.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let (observed, verdict) = {
        let _one_decision_at_a_time = cx.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(observed) = observe(cx, key) else { return Ok(Next::WaitForChange) };
        let verdict = choose(&observed);
        if let Verdict::Node(node) = &verdict {
            assume(cx, &observed.pod, Some(node));
        }
        (observed, verdict)
    };
    match verdict {
        Verdict::Node(node) => bind(cx, &observed.pod, &node).await?,
        Verdict::Gated => {
            let text = "Scheduling is blocked due to non-empty scheduling gates";
            write_condition(cx, &observed.pod, "SchedulingGated", text).await?;
        }
        Verdict::Unfit(text) => {
            cx.recorder.warning(NAME, &*observed.pod, "FailedScheduling", text.clone());
            write_condition(cx, &observed.pod, "Unschedulable", &text).await?;
        }
    }
    Ok(Next::WaitForChange)
}

fn observe(cx: &Cx, key: &Key) -> Option<Observed> {
    let pod = cx.kinds.pods.get(key).filter(|pod| is_waiting(pod))?;
    let mut placed = cx.kinds.pods.cache.all();
    placed.retain(|pod| pods::node_name(pod).is_some() && !pods::is_finished(pod));
    let claims =
        claim_names(&pod).map(|name| (name.clone(), cx.kinds.claims.get(&key.sibling(name)))).collect();
    let namespaces = cx.kinds.namespaces.cache.all();
    let namespaces = namespaces.iter().map(|namespace| {
        (Key::of(&namespace.metadata).name, namespace.metadata.labels.clone().unwrap_or_default())
    });
    let namespaces = namespaces.collect();
    Some(Observed { pod, nodes: cx.kinds.nodes.cache.all(), placed, claims, namespaces })
}

/// Counts the pod towards the node before the server has said so.
fn assume(cx: &Cx, pod: &Pod, node: Option<&str>) {
    cx.kinds.pods.cache.amend(&Key::of(&pod.metadata), owner::uid(&pod.metadata), |pod| {
        if let Some(spec) = &mut pod.spec {
            spec.node_name = node.map(str::to_owned);
        }
    });
}

async fn bind(cx: &Cx, pod: &Pod, node: &str) -> Result<(), WriteError> {
    let key = Key::of(&pod.metadata);
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: pod.metadata.uid.clone(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Node".into()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(cx.client.clone(), &key.namespace);
    let bound: kube::Result<Status> =
        api.create_subresource("binding", &key.name, &PostParams::default(), &binding).await;
    if let Err(source) = bound {
        assume(cx, pod, None);
        return Err(WriteError::new("bind", format!("Pod `{key}`"), source));
    }
    let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
    cx.recorder.normal(NAME, pod, "Scheduled", message);
    Ok(())
}

async fn write_condition(cx: &Cx, pod: &Pod, reason: &str, message: &str) -> Result<(), WriteError> {
    let Some(updated) = with_condition(pod, reason, message, cx.now()) else { return Ok(()) };
    cx.kinds.pods.replace_status(&updated).await.map(drop)
}

/// The pod with the condition set, or nothing when it says so already.
fn with_condition(pod: &Pod, reason: &str, message: &str, now: Timestamp) -> Option<Pod> {
    let old = pods::condition(pod, POD_SCHEDULED);
    let says_so = |old: &PodCondition| {
        old.status == "False"
            && old.reason.as_deref() == Some(reason)
            && old.message.as_deref() == Some(message)
    };
    if old.is_some_and(says_so) || is_deleting(&pod.metadata) {
        return None;
    }
    let since = old.filter(|old| old.status == "False").and_then(|old| old.last_transition_time.clone());
    let condition = PodCondition {
        type_: POD_SCHEDULED.into(),
        status: "False".into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: Some(since.unwrap_or_else(|| time(now))),
        ..PodCondition::default()
    };
    let mut updated = pod.clone();
    let status = updated.status.get_or_insert_default();
    status.phase.get_or_insert_with(|| "Pending".into());
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != POD_SCHEDULED);
    conditions.push(condition);
    Some(updated)
}
