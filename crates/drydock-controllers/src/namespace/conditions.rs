//! What a namespace that is being deleted says about what is left in it. Pure: start at [`Left`].
//!
//! Types, reasons and messages are those of every cluster: people find out with them why a namespace does not go.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// Type, reason and message of what is said while nothing is wrong.
const FINE: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (CONTENT_FAILURE, "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    (CONTENT_REMAINING, "ContentRemoved", "All content successfully removed"),
    (FINALIZERS_REMAINING, "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];
const CONTENT_FAILURE: &str = "NamespaceDeletionContentFailure";
const CONTENT_REMAINING: &str = "NamespaceContentRemaining";
const FINALIZERS_REMAINING: &str = "NamespaceFinalizersRemaining";

/// What one pass over a namespace left behind.
#[derive(Debug, Default)]
pub struct Left {
    /// Objects by `PLURAL.GROUP`.
    kinds: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    errors: Vec<String>,
}

impl Left {
    pub fn note<'m>(&mut self, plural: &str, group: &str, objects: impl Iterator<Item = &'m ObjectMeta>) {
        for metadata in objects {
            *self.kinds.entry(format!("{plural}.{group}")).or_default() += 1;
            for finalizer in metadata.finalizers.iter().flatten() {
                *self.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
    }

    pub fn note_error(&mut self, error: String) {
        self.errors.push(error);
    }

    pub fn count(&self) -> usize {
        self.kinds.values().sum()
    }

    fn wrong(&self) -> Vec<(&'static str, &'static str, String)> {
        let list = |counts: &BTreeMap<String, usize>, verb: &str| {
            let lines =
                counts.iter().map(|(what, count)| format!("{what} {verb} {count} resource instances"));
            lines.collect::<Vec<_>>().join(", ")
        };
        let mut wrong = Vec::new();
        if !self.errors.is_empty() {
            let mut errors = self.errors.clone();
            errors.sort_unstable();
            let (count, all) = (errors.len(), errors.join(", "));
            let message = format!("Failed to delete all resource types, {count} remaining: {all}");
            wrong.push((CONTENT_FAILURE, "ContentDeletionFailed", message));
        }
        if !self.kinds.is_empty() {
            let message = format!("Some resources are remaining: {}", list(&self.kinds, "has"));
            wrong.push((CONTENT_REMAINING, "SomeResourcesRemain", message));
        }
        if !self.finalizers.is_empty() {
            let all = list(&self.finalizers, "in");
            let message = format!("Some content in the namespace has finalizers remaining: {all}");
            wrong.push((FINALIZERS_REMAINING, "SomeFinalizersRemain", message));
        }
        wrong
    }

    /// The conditions to write; `None` when the namespace says all of it already.
    pub fn conditions(&self, old: &[NamespaceCondition], now: Time) -> Option<Vec<NamespaceCondition>> {
        let wrong = self.wrong();
        let mut conditions = old.to_vec();
        for (type_, reason, message) in FINE {
            let found = wrong.iter().find(|(wrong, ..)| *wrong == type_);
            let (status, reason, message) = match found {
                Some((_, reason, message)) => ("True", *reason, message.as_str()),
                None => ("False", reason, message),
            };
            set(&mut conditions, type_, (status, reason, message), &now);
        }
        (conditions != old).then_some(conditions)
    }
}

fn set(
    all: &mut Vec<NamespaceCondition>,
    type_: &str,
    (status, reason, message): (&str, &str, &str),
    now: &Time,
) {
    let known = all.iter().position(|condition| condition.type_ == type_);
    let kept = known.map(|at| &all[at]).filter(|condition| condition.status == status);
    let condition = NamespaceCondition {
        last_transition_time: kept
            .map_or_else(|| Some(now.clone()), |kept| kept.last_transition_time.clone()),
        message: Some(message.to_owned()),
        reason: Some(reason.to_owned()),
        status: status.to_owned(),
        type_: type_.to_owned(),
    };
    match known {
        Some(at) => all[at] = condition,
        None => all.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    fn said(conditions: &[NamespaceCondition]) -> Vec<String> {
        let wrong = conditions.iter().filter(|condition| condition.status == "True");
        wrong.map(|condition| condition.message.clone().unwrap()).collect()
    }

    #[test]
    fn what_is_left_and_what_holds_it_is_counted() {
        let mut left = Left::default();
        let held = ObjectMeta { finalizers: Some(vec!["example.com/x".into()]), ..ObjectMeta::default() };
        left.note("pods", "", [&ObjectMeta::default(), &held].into_iter());
        left.note("deployments", "apps", [&held].into_iter());
        let conditions = left.conditions(&[], at(0)).unwrap();
        assert_eq!((left.count(), conditions.len()), (3, 5));
        assert_eq!(
            said(&conditions),
            [
                "Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances",
                "Some content in the namespace has finalizers remaining: example.com/x in 2 resource instances",
            ]
        );
    }

    #[test]
    fn what_was_said_already_is_not_said_again_and_keeps_its_time() {
        let conditions = Left::default().conditions(&[], at(0)).unwrap();
        assert!(said(&conditions).is_empty());
        assert_eq!(Left::default().conditions(&conditions, at(9)), None);
        let mut left = Left::default();
        left.note_error("nobody answered".into());
        let changed = left.conditions(&conditions, at(9)).unwrap();
        assert_eq!(said(&changed), ["Failed to delete all resource types, 1 remaining: nobody answered"]);
        let times: Vec<_> = changed.iter().map(|condition| condition.last_transition_time.clone()).collect();
        assert_eq!(times, [at(0), at(0), at(9), at(0), at(0)].map(Some));
    }
}
