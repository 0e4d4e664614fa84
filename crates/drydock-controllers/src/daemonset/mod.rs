//! Keeps one pod of each DaemonSet on every node it may run on.
//!
//! Reads: DaemonSet, Node, Pod. Writes: pods (create bound to a node by affinity, delete),
//! ControllerRevision, DaemonSet status. Updates replace one pod at a time.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure.

mod plan;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, Toleration,
};

use self::plan::{Plan, plan, status};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::history::{History, name_of};
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, claim, sort_children};
use crate::pods;
use crate::watches::Watches;

const NAME: &str = "daemonset-controller";
pub const REVISION_LABEL: &str = "controller-revision-hash";
/// What a daemon's pod puts up with: it belongs to the node, whatever state that is in.
const TOLERATED: [(&str, &str); 5] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 2,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.daemon_sets);
    watches.owned_by("DaemonSet", &kinds.pods);
    watches.on(&kinds.nodes, |cx, queue, old, new| {
        let same = old
            .zip(new)
            .is_some_and(|(old, new)| old.spec == new.spec && old.metadata.labels == new.metadata.labels);
        if !same {
            cx.kinds.daemon_sets.cache.all().iter().for_each(|set| queue.add(Key::of(&set.metadata)));
        }
    });
    watches.need(kinds.revisions.cache.synced());
}

/// One DaemonSet with its pods and all nodes.
pub struct Observed {
    pub set: Arc<DaemonSet>,
    pub spec: DaemonSetSpec,
    pub pods: Vec<Arc<Pod>>,
    pub nodes: Vec<Arc<Node>>,
    /// The revision of the present template.
    pub update: Arc<ControllerRevision>,
    pub now: Timestamp,
}

impl Observed {
    /// The hash that pods of the present template carry.
    pub fn revision(&self) -> &str {
        let labels = self.update.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(REVISION_LABEL)).map_or("", String::as_str)
    }
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(observed) = observe(cx, key).await? else { return Ok(Next::WaitForChange) };
    let plan = plan(&observed);
    act(cx, &observed, &plan).await?;
    write_status(cx, &observed).await?;
    forget(cx, &observed).await?;
    Ok(Next::after(plan.look_again))
}

async fn observe(cx: &Cx, key: &Key) -> Result<Option<Observed>, WriteError> {
    let Some(set) = cx.kinds.daemon_sets.get(key).filter(|set| !owner::is_deleting(&set.metadata)) else {
        return Ok(None);
    };
    let Some(spec) = set.spec.clone() else { return Ok(None) };
    let candidates = cx.kinds.pods.cache.in_namespace(&key.namespace);
    let children = sort_children(&set.metadata, &spec.selector, candidates);
    let pods = claim(&*set, &cx.kinds.pods, children).await?;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let history = History::of(cx, &*set);
    let update = history.keep(cx, &*set, &spec.template, REVISION_LABEL, collisions).await?;
    Ok(Some(Observed { set, spec, pods, nodes: cx.kinds.nodes.cache.all(), update, now: cx.now() }))
}

/// Deletes old revisions that no pod runs.
async fn forget(cx: &Cx, observed: &Observed) -> Result<(), WriteError> {
    let history = History::of(cx, &*observed.set);
    let hash = |labels: Option<&BTreeMap<String, String>>| labels?.get(REVISION_LABEL).cloned();
    let run: HashSet<String> =
        observed.pods.iter().filter_map(|pod| hash(pod.metadata.labels.as_ref())).collect();
    let is_live = |revision: &&Arc<ControllerRevision>| {
        revision.metadata.uid == observed.update.metadata.uid
            || hash(revision.metadata.labels.as_ref()).is_some_and(|hash| run.contains(&hash))
    };
    let live =
        history.revisions.iter().filter(is_live).map(|revision| name_of(revision).to_owned()).collect();
    for revision in history.surplus(observed.spec.revision_history_limit, &live) {
        cx.kinds.revisions.delete(&revision.metadata).await?;
    }
    Ok(())
}

async fn act(cx: &Cx, observed: &Observed, plan: &Plan) -> Result<(), WriteError> {
    let set = &observed.set;
    for pod in &plan.delete {
        cx.kinds.pods.delete(&pod.metadata).await?;
        let message = format!("Deleted pod: {}", Key::of(&pod.metadata).name);
        cx.recorder.normal(NAME, &**set, "SuccessfulDelete", message);
    }
    for node in &plan.create {
        let created = cx.kinds.pods.create(&pod(observed, node)).await;
        let created = created.inspect_err(|error| {
            cx.recorder.warning(NAME, &**set, "FailedCreate", format!("Error creating: {}", error.detail()));
        })?;
        let message = format!("Created pod: {}", Key::of(&created.metadata).name);
        cx.recorder.normal(NAME, &**set, "SuccessfulCreate", message);
    }
    Ok(())
}

fn pod(observed: &Observed, node: &str) -> Pod {
    let key = Key::of(&observed.set.metadata);
    let mut pod =
        pods::from_template(&observed.spec.template, &key.namespace, owner::reference(&*observed.set));
    pod.metadata.generate_name = Some(format!("{}-", key.name));
    pod.metadata.labels.get_or_insert_default().insert(REVISION_LABEL.into(), observed.revision().to_owned());
    let spec = pod.spec.get_or_insert_default();
    let only_there = NodeSelectorRequirement {
        key: "metadata.name".into(),
        operator: "In".into(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![only_there]), match_expressions: None };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
    let tolerations = spec.tolerations.get_or_insert_default();
    tolerations.extend(TOLERATED.iter().map(|(key, effect)| Toleration {
        key: Some((*key).to_owned()),
        operator: Some("Exists".into()),
        effect: Some((*effect).to_owned()),
        ..Toleration::default()
    }));
    pod
}

async fn write_status(cx: &Cx, observed: &Observed) -> Result<(), WriteError> {
    let key = Key::of(&observed.set.metadata);
    let Some(set) = cx.kinds.daemon_sets.get(&key) else { return Ok(()) };
    let uid = owner::uid(&set.metadata);
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| owner::is_controlled_by(&pod.metadata, uid));
    let after = Observed {
        set,
        spec: observed.spec.clone(),
        pods,
        nodes: observed.nodes.clone(),
        update: observed.update.clone(),
        now: cx.now(),
    };
    let wanted = status(&after);
    if after.set.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    cx.kinds.daemon_sets.replace_status(&DaemonSet { status: Some(wanted), ..(*after.set).clone() }).await?;
    Ok(())
}
