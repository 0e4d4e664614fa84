//! Which pods a Job still needs, and whether it has ended. Pure: start at [`plan`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{COMPLETION_INDEX, Observed};
use crate::cx::elapsed;
use crate::pods;

const DEFAULT_BACKOFF_LIMIT: i32 = 6;
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LAST_BACKOFF: Duration = Duration::from_secs(600);

/// What one pass intends to change.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The completion index of each new pod, for indexed Jobs.
    pub create: Vec<Option<i32>>,
    pub delete: Vec<Arc<Pod>>,
    pub verdict: Verdict,
    /// The finished Job has outlived its time.
    pub expire: bool,
    pub look_again: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Verdict {
    #[default]
    Running,
    Suspended,
    Complete,
    Failed {
        reason: &'static str,
        message: String,
    },
    /// It ended earlier; its conditions stay as they are.
    Ended,
}

pub fn plan(observed: &Observed) -> Plan {
    if ended_as(&observed.job).is_some() {
        return plan_ended(observed);
    }
    let active: Vec<Arc<Pod>> = observed.pods.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
    let verdict = verdict(observed, active.len());
    if verdict != Verdict::Running {
        return Plan { delete: active, verdict, ..Plan::default() };
    }
    let deadline = time_left(observed);
    if let Some(wait) = backoff_left(observed) {
        return Plan { look_again: deadline.into_iter().chain([wait]).min(), ..Plan::default() };
    }
    let surplus = active.len().saturating_sub(parallelism(observed));
    let create = if surplus > 0 { Vec::new() } else { missing(observed, &active) };
    let delete = active[active.len() - surplus..].to_vec();
    Plan { create, delete, look_again: deadline, ..Plan::default() }
}

fn plan_ended(observed: &Observed) -> Plan {
    let ttl = observed.spec.ttl_seconds_after_finished.and_then(|ttl| u64::try_from(ttl).ok());
    let left = ttl
        .zip(ended_at(&observed.job))
        .map(|(ttl, since)| Duration::from_secs(ttl).saturating_sub(elapsed(&since, observed.now)));
    let expire = left == Some(Duration::ZERO);
    Plan { verdict: Verdict::Ended, expire, look_again: left.filter(|_| !expire), ..Plan::default() }
}

/// `Complete` or `Failed`; `None` while the Job goes on.
pub fn ended_as(job: &Job) -> Option<&'static str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is_true = |wanted: &str| conditions.iter().any(|c| c.type_ == wanted && c.status == "True");
    ["Complete", "Failed"].into_iter().find(|wanted| is_true(wanted))
}

/// When the Job ended, if it has and says so.
pub fn ended_at(job: &Job) -> Option<Time> {
    let how = ended_as(job)?;
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == how)?.last_transition_time.clone()
}

fn verdict(observed: &Observed, active: usize) -> Verdict {
    let spec = &observed.spec;
    let (succeeded, failed) = (succeeded(observed), failures(observed));
    if failed > spec.backoff_limit.unwrap_or(DEFAULT_BACKOFF_LIMIT) {
        let message = "Job has reached the specified backoff limit".into();
        return Verdict::Failed { reason: "BackoffLimitExceeded", message };
    }
    if time_left(observed) == Some(Duration::ZERO) {
        let message = "Job was active longer than specified deadline".into();
        return Verdict::Failed { reason: "DeadlineExceeded", message };
    }
    let done = match spec.completions {
        Some(wanted) => succeeded >= wanted,
        // A work queue is empty when one pod has succeeded and the others have ended.
        None => succeeded > 0 && active == 0,
    };
    if done {
        return Verdict::Complete;
    }
    if spec.suspend == Some(true) { Verdict::Suspended } else { Verdict::Running }
}

fn is_indexed(observed: &Observed) -> bool {
    observed.spec.completion_mode.as_deref() == Some("Indexed")
}

fn parallelism(observed: &Observed) -> usize {
    usize::try_from(observed.spec.parallelism.unwrap_or(1)).unwrap_or(0)
}

fn index(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(COMPLETION_INDEX)?.parse().ok()
}

pub fn succeeded(observed: &Observed) -> i32 {
    let done = observed.pods.iter().filter(|pod| pods::phase(pod) == "Succeeded");
    if is_indexed(observed) {
        return done.filter_map(|pod| index(pod)).collect::<BTreeSet<i32>>().len() as i32;
    }
    done.count() as i32
}

pub fn failed(observed: &Observed) -> i32 {
    observed.pods.iter().filter(|pod| pods::phase(pod) == "Failed").count() as i32
}

/// Failed pods, and restarts of containers that are started again in place.
fn failures(observed: &Observed) -> i32 {
    let in_place = |pod: &&Arc<Pod>| {
        pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("OnFailure")
    };
    let restarts: i32 = observed.pods.iter().filter(in_place).map(|pod| pods::restarts(pod)).sum();
    failed(observed) + restarts
}

fn missing(observed: &Observed, active: &[Arc<Pod>]) -> Vec<Option<i32>> {
    let room = parallelism(observed) - active.len().min(parallelism(observed));
    let Some(completions) = observed.spec.completions else {
        // Once one pod of a work queue has succeeded no new one is started.
        return if succeeded(observed) > 0 { Vec::new() } else { vec![None; room] };
    };
    if is_indexed(observed) {
        let taken: BTreeSet<i32> = observed
            .pods
            .iter()
            .filter(|pod| pods::is_active(pod) || pods::phase(pod) == "Succeeded")
            .filter_map(|pod| index(pod))
            .collect();
        return (0..completions).filter(|index| !taken.contains(index)).take(room).map(Some).collect();
    }
    let open = completions - succeeded(observed) - active.len() as i32;
    vec![None; room.min(usize::try_from(open).unwrap_or(0))]
}

fn time_left(observed: &Observed) -> Option<Duration> {
    let deadline = u64::try_from(observed.spec.active_deadline_seconds?).ok()?;
    let started = observed.job.status.as_ref()?.start_time.as_ref()?;
    Some(Duration::from_secs(deadline).saturating_sub(elapsed(started, observed.now)))
}

/// How long to wait after the latest failure before trying again: 10 s, doubling.
fn backoff_left(observed: &Observed) -> Option<Duration> {
    let failed = u32::try_from(failed(observed)).ok().filter(|failed| *failed > 0)?;
    let ended = observed
        .pods
        .iter()
        .filter(|pod| pods::phase(pod) == "Failed")
        .filter_map(|pod| pod_ended_at(pod))
        .max()?;
    let wait = FIRST_BACKOFF.saturating_mul(1 << (failed - 1).min(10)).min(LAST_BACKOFF);
    Some(wait.saturating_sub(elapsed(&ended, observed.now))).filter(|left| !left.is_zero())
}

fn pod_ended_at(pod: &Pod) -> Option<Time> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = statuses.iter().filter_map(|s| s.state.as_ref()?.terminated.as_ref()?.finished_at.clone());
    ended.max().or_else(|| pod.metadata.creation_timestamp.clone())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    /// `pods`: `r`unning, `s`ucceeded, `f`ailed long ago, `F`ailed just now; with an index if any.
    #[track_caller]
    fn check(spec: Value, pods: &str, expect: &str) {
        let mut full = json!({ "template": {}, "completions": 1, "parallelism": 1 });
        spec.as_object().unwrap().iter().for_each(|(key, value)| full[key] = value.clone());
        if full["completions"].is_null() {
            full.as_object_mut().unwrap().remove("completions");
        }
        let spec: k8s_openapi::api::batch::v1::JobSpec = serde_json::from_value(full).unwrap();
        let observed = Observed {
            job: Arc::new(Job { spec: Some(spec.clone()), ..Job::default() }),
            spec,
            pods: pods.split_whitespace().map(pod).collect(),
            now: Timestamp::from_second(100_000).unwrap(),
        };
        let plan = plan(&observed);
        let create: Vec<String> =
            plan.create.iter().map(|index| index.map_or("new".into(), |index| index.to_string())).collect();
        let verdict = match plan.verdict {
            Verdict::Failed { reason, .. } => reason.to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(format!("{verdict} +[{}] -{}", create.join(" "), plan.delete.len()), expect);
    }

    fn pod(text: &str) -> Arc<Pod> {
        let (state, index) = text.split_at(1);
        let phase = match state {
            "r" => "Running",
            "s" => "Succeeded",
            _ => "Failed",
        };
        let ended = Timestamp::from_second(if state == "F" { 99_999 } else { 1 }).unwrap().to_string();
        let terminated = json!({ "exitCode": 1, "finishedAt": ended });
        let mut pod = json!({ "metadata": {}, "status": { "phase": phase, "containerStatuses": [{
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": if phase == "Running" { json!({}) } else { json!({ "terminated": terminated }) },
        }] } });
        if !index.is_empty() {
            pod["metadata"]["annotations"] = json!({ COMPLETION_INDEX: index });
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_new_job_starts_its_pod() {
        check(json!({}), "", "Running +[new] -0");
    }

    #[test]
    fn a_job_with_enough_successes_is_complete() {
        check(json!({ "completions": 2 }), "s s", "Complete +[] -0");
    }

    #[test]
    fn no_more_pods_run_than_completions_are_open() {
        check(json!({ "completions": 3, "parallelism": 3 }), "s s", "Running +[new] -0");
    }

    #[test]
    fn a_failed_pod_is_followed_by_another_after_the_backoff() {
        check(json!({}), "F", "Running +[] -0");
        check(json!({}), "f", "Running +[new] -0");
    }

    #[test]
    fn too_many_failures_end_the_job_and_its_other_pods() {
        check(
            json!({ "backoffLimit": 0, "parallelism": 2, "completions": 2 }),
            "f r",
            "BackoffLimitExceeded +[] -1",
        );
    }

    #[test]
    fn an_indexed_job_starts_the_indices_that_are_missing() {
        let spec = json!({ "completionMode": "Indexed", "completions": 4, "parallelism": 3 });
        check(spec, "s0 r2", "Running +[1 3] -0");
    }

    #[test]
    fn a_suspended_job_stops_its_pods() {
        check(json!({ "suspend": true }), "r", "Suspended +[] -1");
    }

    #[test]
    fn a_work_queue_is_done_when_one_succeeded_and_the_rest_ended() {
        check(json!({ "completions": null, "parallelism": 2 }), "s r", "Running +[] -0");
        check(json!({ "completions": null, "parallelism": 2 }), "s s", "Complete +[] -0");
    }
}
