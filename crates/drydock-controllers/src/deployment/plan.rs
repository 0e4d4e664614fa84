//! The next step of a rollout. Pure: start at [`plan`].

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSet};

use super::Observed;
use super::proportion::{desired, is_recreate, max_unavailable, new_set_size, shares, size_annotations};
use super::revision::{
    DESIRED, REVISION, Sets, available, beyond_history, missing_annotations, new_set, number, replicas,
};
use super::status;
use crate::owner;

/// What one pass intends to change. Empty means this step of the rollout is done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub create: Option<ReplicaSet>,
    pub update: Vec<Update>,
    pub delete: Vec<Arc<ReplicaSet>>,
    /// The revision the Deployment itself should carry.
    pub revision: Option<String>,
    /// An existing ReplicaSet that turned out to run the current template.
    pub found: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct Update {
    pub set: Arc<ReplicaSet>,
    pub replicas: Option<i32>,
    pub min_ready_s: Option<i32>,
    pub annotations: BTreeMap<String, String>,
}

pub fn plan(observed: &Observed) -> Plan {
    let Some(spec) = observed.spec().filter(|_| !owner::is_deleting(&observed.deployment.metadata)) else {
        return Plan::default();
    };
    let sets = Sets::of(observed);
    let paused = spec.paused == Some(true);
    let mut plan = if paused || was_scaled(spec, &sets) {
        let delete = if paused { beyond_history(observed, &sets) } else { Vec::new() };
        Plan { update: scale(spec, &sets), delete, ..Plan::default() }
    } else if is_recreate(spec) {
        recreate(observed, spec, &sets)
    } else {
        roll(observed, spec, &sets)
    };
    note_current(observed, spec, &sets, &mut plan);
    plan
}

/// Keeps the revision and the copied annotations of the current set up to date.
fn note_current(observed: &Observed, spec: &DeploymentSpec, sets: &Sets, plan: &mut Plan) {
    let carried = observed.deployment.metadata.annotations.as_ref().and_then(|a| a.get(REVISION)).cloned();
    let current = plan.create.as_ref().or(sets.new.as_deref());
    let mut revision =
        current.and_then(|set| set.metadata.annotations.as_ref()).and_then(|a| a.get(REVISION)).cloned();
    if let Some(new) = &sets.new {
        let annotations = missing_annotations(observed, sets, new);
        revision = annotations.get(REVISION).cloned().or(revision);
        let outdated = new.spec.as_ref().and_then(|s| s.min_ready_seconds) != spec.min_ready_seconds;
        let min_ready_s = outdated.then(|| spec.min_ready_seconds.unwrap_or(0));
        if !annotations.is_empty() || min_ready_s.is_some() {
            let update = update_of(plan, new);
            update.annotations.extend(annotations);
            update.min_ready_s = min_ready_s;
        }
        if status::condition(observed, "Progressing").is_none() {
            plan.found = new.metadata.name.clone();
        }
    }
    plan.revision = revision.filter(|revision| carried.as_ref() != Some(revision));
}

fn update_of<'a>(plan: &'a mut Plan, set: &Arc<ReplicaSet>) -> &'a mut Update {
    let index = plan.update.iter().position(|update| Arc::ptr_eq(&update.set, set)).unwrap_or_else(|| {
        let annotations = BTreeMap::new();
        plan.update.push(Update { set: set.clone(), replicas: None, min_ready_s: None, annotations });
        plan.update.len() - 1
    });
    &mut plan.update[index]
}

/// Whether the Deployment's size changed since its sets were last sized.
fn was_scaled(spec: &DeploymentSpec, sets: &Sets) -> bool {
    sets.all()
        .filter(|set| replicas(set) > 0)
        .any(|set| number(&set.metadata, DESIRED).is_some_and(|before| before != desired(spec)))
}

fn resize(spec: &DeploymentSpec, set: &Arc<ReplicaSet>, to: i32) -> Update {
    let annotations = size_annotations(spec);
    Update { set: set.clone(), replicas: Some(to), min_ready_s: None, annotations }
}

fn is_sized(spec: &DeploymentSpec, set: &ReplicaSet, to: i32) -> bool {
    replicas(set) == to && number(&set.metadata, DESIRED) == Some(desired(spec))
}

fn scale(spec: &DeploymentSpec, sets: &Sets) -> Vec<Update> {
    let active: Vec<&Arc<ReplicaSet>> = sets.all().filter(|set| replicas(set) > 0).collect();
    if let Some(only) = active_or_latest(sets, &active) {
        let done = is_sized(spec, only, desired(spec));
        return if done { Vec::new() } else { vec![resize(spec, only, desired(spec))] };
    }
    if sets.new.as_ref().is_some_and(|new| is_saturated(spec, new)) {
        let old = sets.old.iter().filter(|set| replicas(set) > 0);
        return old.map(|set| resize(spec, set, 0)).collect();
    }
    if is_recreate(spec) {
        return Vec::new();
    }
    let plain: Vec<&ReplicaSet> = active.iter().map(|set| &***set).collect();
    let sizes = shares(spec, &plain);
    let changed = sizes.into_iter().filter(|(set, size)| !is_sized(spec, set, *size));
    let found = |set: &ReplicaSet| active.iter().find(|other| std::ptr::eq(&****other, set));
    changed.filter_map(|(set, size)| Some(resize(spec, found(set)?, size))).collect()
}

/// The one set a scaling concerns outside of rollouts.
fn active_or_latest<'a>(sets: &'a Sets, active: &[&'a Arc<ReplicaSet>]) -> Option<&'a Arc<ReplicaSet>> {
    match active {
        [] => sets.new.as_ref().or(sets.old.last()),
        [only] => Some(only),
        _ => None,
    }
}

fn is_saturated(spec: &DeploymentSpec, set: &ReplicaSet) -> bool {
    is_sized(spec, set, desired(spec)) && available(set) == desired(spec)
}

fn recreate(observed: &Observed, spec: &DeploymentSpec, sets: &Sets) -> Plan {
    let stop: Vec<Update> =
        sets.old.iter().filter(|set| replicas(set) > 0).map(|set| resize(spec, set, 0)).collect();
    if !stop.is_empty() {
        return Plan { update: stop, ..Plan::default() };
    }
    let live = |set: &Arc<ReplicaSet>| observed.live_pods.contains_key(owner::uid(&set.metadata));
    if sets.old.iter().any(live) {
        return Plan::default();
    }
    match &sets.new {
        None => Plan { create: new_set(observed, sets), ..Plan::default() },
        Some(new) if replicas(new) != desired(spec) => {
            Plan { update: vec![resize(spec, new, desired(spec))], ..Plan::default() }
        }
        Some(_) => clean_up(observed, sets),
    }
}

fn roll(observed: &Observed, spec: &DeploymentSpec, sets: &Sets) -> Plan {
    let Some(new) = &sets.new else {
        return Plan { create: new_set(observed, sets), ..Plan::default() };
    };
    let size = if replicas(new) > desired(spec) { desired(spec) } else { new_set_size(observed, sets) };
    if replicas(new) != size {
        return Plan { update: vec![resize(spec, new, size)], ..Plan::default() };
    }
    let update = shrink_old(spec, sets, new);
    if !update.is_empty() {
        return Plan { update, ..Plan::default() };
    }
    clean_up(observed, sets)
}

/// Takes pods from old sets: those that do not work for free, working ones only as new ones
/// become available.
fn shrink_old(spec: &DeploymentSpec, sets: &Sets, new: &ReplicaSet) -> Vec<Update> {
    let minimum = desired(spec) - max_unavailable(spec);
    let total: i32 = sets.all().map(|set| replicas(set)).sum();
    let new_unavailable = replicas(new) - available(new);
    let mut removable = total - minimum - new_unavailable;
    let mut sizes: Vec<i32> = sets.old.iter().map(|set| replicas(set)).collect();
    for (set, size) in sets.old.iter().zip(&mut sizes) {
        let broken = (*size - available(set)).clamp(0, removable.max(0));
        *size -= broken;
        removable -= broken;
    }
    let mut spare = sets.all().map(|set| available(set)).sum::<i32>() - minimum;
    for size in &mut sizes {
        let surplus = (*size).min(spare.min(removable)).max(0);
        *size -= surplus;
        spare -= surplus;
        removable -= surplus;
    }
    let pairs = sets.old.iter().zip(sizes).filter(|(set, size)| replicas(set) != *size);
    pairs.map(|(set, size)| resize(spec, set, size)).collect()
}

fn clean_up(observed: &Observed, sets: &Sets) -> Plan {
    let complete = observed.deployment.status.as_ref().is_some_and(|s| status::is_complete(observed, s));
    let delete = if complete { beyond_history(observed, sets) } else { Vec::new() };
    Plan { delete, ..Plan::default() }
}
