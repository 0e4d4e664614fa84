//! When what is published was caused: the annotation from which people measure how long a change took to arrive. Pure.
//!
//! A Service coming to be and a pod becoming ready, or not, are causes; a pod that goes is none. A change without a cause
//! of its own keeps the last one that was noted.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Observed;
use crate::pods;

const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Notes the first cause since the one that `published` notes already.
pub fn stamp(observed: &Observed, published: &mut ObjectMeta) {
    let annotations = published.annotations.get_or_insert_default();
    let known = annotations.get(TRIGGERED).and_then(|text| text.parse::<Timestamp>().ok());
    let causes = causes(observed).filter(|cause| known.is_none_or(|known| *cause > known));
    if let Some(cause) = causes.min() {
        annotations.insert(TRIGGERED.into(), cause.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    if annotations.is_empty() {
        published.annotations = None;
    }
}

fn causes(observed: &Observed) -> impl Iterator<Item = Timestamp> {
    let made = observed.service.metadata.creation_timestamp.as_ref().map(|made| made.0);
    let turned = observed.pods.iter().filter_map(|pod| {
        let ready = pods::condition(pod, "Ready")?;
        ready.last_transition_time.as_ref().map(|since| since.0)
    });
    made.into_iter().chain(turned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    /// `known`, the service's creation and the pods' last turns are seconds of one minute.
    #[track_caller]
    fn check(known: Option<u8>, service: u8, pods: &[u8], expect: Option<u8>) {
        let at = |second: u8| format!("2026-01-01T00:00:{second:02}Z");
        let pod = |second: &u8| {
            let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": at(*second) });
            Arc::new(
                serde_json::from_value(json!({ "metadata": {}, "status": { "conditions": [ready] } }))
                    .unwrap(),
            )
        };
        let service = json!({ "metadata": { "creationTimestamp": at(service) } });
        let observed = Observed {
            service: Arc::new(serde_json::from_value(service).unwrap()),
            pods: pods.iter().map(pod).collect(),
            slices: Vec::new(),
            endpoints: None,
        };
        let annotations = known.map(|second| [(TRIGGERED.to_owned(), at(second))].into());
        let mut published = ObjectMeta { annotations, ..ObjectMeta::default() };
        stamp(&observed, &mut published);
        assert_eq!(published.annotations.and_then(|mut all| all.remove(TRIGGERED)), expect.map(at));
    }

    #[test]
    fn the_first_cause_that_is_not_noted_yet_is_noted() {
        check(None, 5, &[7, 9], Some(5));
        check(Some(5), 5, &[9, 7], Some(7));
    }

    #[test]
    fn a_change_without_a_cause_keeps_what_was_noted() {
        check(Some(9), 5, &[7, 9], Some(9));
    }
}
