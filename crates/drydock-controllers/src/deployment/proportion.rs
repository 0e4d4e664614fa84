//! The arithmetic of a rollout: surge, unavailability, proportional scaling. Pure.
//!
//! Percentages of surge round up and of unavailability down, so that a rollout can always move.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Observed;
use super::revision::{DESIRED, MAX, Sets, number, replicas};

const DEFAULT_SHARE: &str = "25%";

pub fn desired(spec: &DeploymentSpec) -> i32 {
    spec.replicas.unwrap_or(1)
}

pub fn is_recreate(spec: &DeploymentSpec) -> bool {
    spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// Pods above the desired number, and below it, that a rollout may have.
fn fenceposts(spec: &DeploymentSpec) -> (i32, i32) {
    if is_recreate(spec) {
        return (0, 0);
    }
    let rolling =
        spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let share = IntOrString::String(DEFAULT_SHARE.into());
    let surge = part_of(rolling.max_surge.as_ref().unwrap_or(&share), desired(spec), true);
    let unavailable = part_of(rolling.max_unavailable.as_ref().unwrap_or(&share), desired(spec), false);
    // Both rounding to zero would stop every rollout.
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

pub fn max_surge(spec: &DeploymentSpec) -> i32 {
    fenceposts(spec).0
}

pub fn max_unavailable(spec: &DeploymentSpec) -> i32 {
    if desired(spec) == 0 { 0 } else { fenceposts(spec).1.min(desired(spec)) }
}

/// An absolute number, or a percentage of `total`. What cannot be read counts as nothing.
pub fn part_of(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let Some(percent) = text.strip_suffix('%').and_then(|text| text.parse::<i64>().ok()) else {
                return 0;
            };
            let product = i64::from(total) * percent;
            let part = if round_up { (product + 99) / 100 } else { product / 100 };
            i32::try_from(part).unwrap_or(i32::MAX)
        }
    }
}

/// What the sets remember about the Deployment's size, to notice that it changed.
pub fn size_annotations(spec: &DeploymentSpec) -> BTreeMap<String, String> {
    let (desired, surge) = (desired(spec), max_surge(spec));
    [(DESIRED.to_owned(), desired.to_string()), (MAX.to_owned(), (desired + surge).to_string())].into()
}

/// The size the current set may have now, counting all pods there are.
pub fn new_set_size(observed: &Observed, sets: &Sets) -> i32 {
    let Some(spec) = observed.spec() else { return 0 };
    let now = sets.new.as_deref().map_or(0, replicas);
    if is_recreate(spec) {
        return desired(spec);
    }
    let total: i32 = sets.all().map(|set| replicas(set)).sum();
    let room = desired(spec) + max_surge(spec) - total;
    if room <= 0 { now } else { now + room.min(desired(spec) - now).max(0) }
}

/// New sizes when the Deployment is scaled in the middle of a rollout: each set keeps its share.
/// `active` are sets with pods.
pub fn shares<'a>(spec: &DeploymentSpec, active: &[&'a ReplicaSet]) -> Vec<(&'a ReplicaSet, i32)> {
    let allowed = if desired(spec) > 0 { desired(spec) + max_surge(spec) } else { 0 };
    let total: i32 = active.iter().map(|set| replicas(set)).sum();
    let to_add = allowed - total;
    let mut sets = active.to_vec();
    // The largest first; among equals the newest grows and the oldest shrinks.
    sets.sort_by_key(|set| {
        let age = set.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        (-replicas(set), if to_add > 0 { -age } else { age })
    });
    let mut added = 0;
    let mut sizes: Vec<(&ReplicaSet, i32)> = Vec::new();
    for set in sets {
        let share = if to_add == 0 { 0 } else { share(spec, set, to_add, added) };
        added += share;
        sizes.push((set, replicas(set) + share));
    }
    if let Some((_, size)) = sizes.first_mut() {
        // Rounding leftovers go to the largest.
        *size = (*size + to_add - added).max(0);
    }
    sizes
}

fn share(spec: &DeploymentSpec, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    let allowed = to_add - added;
    if replicas(set) == 0 || allowed == 0 {
        return 0;
    }
    let fraction = if desired(spec) == 0 {
        -replicas(set)
    } else {
        let before = number(&set.metadata, MAX).filter(|max| *max > 0).unwrap_or(desired(spec));
        let size = f64::from(replicas(set)) * f64::from(desired(spec) + max_surge(spec)) / f64::from(before);
        size.round() as i32 - replicas(set)
    };
    if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};

    fn value(text: &str) -> IntOrString {
        text.parse().map_or_else(|_| IntOrString::String(text.into()), IntOrString::Int)
    }

    #[track_caller]
    fn check(replicas: i32, surge: &str, unavailable: &str, expect: (i32, i32)) {
        let rolling = RollingUpdateDeployment {
            max_surge: Some(value(surge)),
            max_unavailable: Some(value(unavailable)),
        };
        let strategy = DeploymentStrategy { type_: None, rolling_update: Some(rolling) };
        let spec =
            DeploymentSpec { replicas: Some(replicas), strategy: Some(strategy), ..Default::default() };
        assert_eq!((max_surge(&spec), max_unavailable(&spec)), expect);
    }

    #[test]
    fn surge_rounds_up_and_unavailability_down() {
        check(10, "25%", "25%", (3, 2));
    }

    #[test]
    fn a_small_deployment_surges_by_one_and_loses_none() {
        check(1, "25%", "25%", (1, 0));
    }

    #[test]
    fn when_both_round_to_nothing_one_pod_may_be_missing() {
        check(3, "0", "25%", (0, 1));
    }

    #[test]
    fn unavailability_never_exceeds_the_size() {
        check(2, "0", "5", (0, 2));
    }
}
