//! What a Job reports, as `kubectl wait` and Helm's hooks read it. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};

use super::plan::{Verdict, failed, succeeded};
use super::{COMPLETION_INDEX, Observed};
use crate::cx::time;
use crate::owner::is_deleting;
use crate::pods;

pub fn status(observed: &Observed, verdict: &Verdict) -> JobStatus {
    let old = observed.job.status.clone().unwrap_or_default();
    if *verdict == Verdict::Ended {
        return old;
    }
    let count = |keep: &dyn Fn(&k8s_openapi::api::core::v1::Pod) -> bool| {
        observed.pods.iter().filter(|pod| keep(pod)).count() as i32
    };
    let started = old.start_time.clone().filter(|_| *verdict != Verdict::Suspended);
    let mut status = JobStatus {
        active: some(count(&|pod| pods::is_active(pod))),
        ready: Some(count(&|pod| pods::is_active(pod) && pods::is_ready(pod))),
        terminating: Some(count(&|pod| !pods::is_finished(pod) && is_deleting(&pod.metadata))),
        succeeded: some(succeeded(observed)),
        failed: some(failed(observed)),
        completed_indexes: completed_indexes(observed),
        start_time: started.or_else(|| (*verdict != Verdict::Suspended).then(|| time(observed.now))),
        uncounted_terminated_pods: Some(Default::default()),
        ..old
    };
    match verdict {
        Verdict::Complete => {
            let message = "Reached expected number of succeeded pods";
            set(observed, &mut status, "SuccessCriteriaMet", "True", "CompletionsReached", message);
            set(observed, &mut status, "Complete", "True", "CompletionsReached", message);
            status.completion_time = Some(time(observed.now));
        }
        Verdict::Failed { reason, message } => {
            set(observed, &mut status, "FailureTarget", "True", reason, message);
            set(observed, &mut status, "Failed", "True", reason, message);
        }
        Verdict::Suspended => {
            set(observed, &mut status, "Suspended", "True", "JobSuspended", "Job suspended")
        }
        Verdict::Running if has(&status, "Suspended") => {
            set(observed, &mut status, "Suspended", "False", "JobResumed", "Job resumed");
        }
        Verdict::Running | Verdict::Ended => {}
    }
    status
}

fn has(status: &JobStatus, type_: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == type_ && condition.status == "True")
}

fn set(observed: &Observed, status: &mut JobStatus, type_: &str, value: &str, reason: &str, message: &str) {
    let now = time(observed.now);
    let conditions = status.conditions.get_or_insert_default();
    if conditions.iter().any(|condition| condition.type_ == type_ && condition.status == value) {
        return;
    }
    conditions.retain(|condition| condition.type_ != type_);
    conditions.push(JobCondition {
        type_: type_.into(),
        status: value.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(now.clone()),
        last_transition_time: Some(now),
    });
}

/// Completed indices in the short form `0-2,5`.
fn completed_indexes(observed: &Observed) -> Option<String> {
    if observed.spec.completion_mode.as_deref() != Some("Indexed") {
        return None;
    }
    let done = observed.pods.iter().filter(|pod| pods::phase(pod) == "Succeeded");
    let indices: BTreeSet<i32> = done
        .filter_map(|pod| pod.metadata.annotations.as_ref()?.get(COMPLETION_INDEX)?.parse().ok())
        .collect();
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let shown = |(first, last): &(i32, i32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    Some(ranges.iter().map(shown).collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
}

fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
