//! How many replicas one metric asks for. Pure: start at [`recommend`].
//!
//! Pods that are not ready, or have no sample yet, are counted so that they only ever damp a change and never turn
//! its direction.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use crate::owner::is_deleting;
use crate::pods;

/// A ratio this close to one changes nothing.
pub const TOLERANCE: f64 = 0.1;
/// While a pod is this young, its processor use says more about its start than about its load.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_mins(5);
/// A pod that became unready within this time of its start was never ready.
const READINESS_DELAY: SignedDuration = SignedDuration::from_secs(30);

/// One pod's use, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub value: i128,
    pub at: Timestamp,
    pub window: SignedDuration,
}

/// What a metric is held against, in thousandths.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Use per pod.
    Average(i128),
    /// Percent of what the pods request.
    Utilization(i32),
}

/// Everything that decides.
pub struct Question<'a> {
    pub pods: &'a [Arc<Pod>],
    pub samples: BTreeMap<String, Sample>,
    /// What each pod requests; used by [`Target::Utilization`] only.
    pub requests: BTreeMap<String, i128>,
    pub target: Target,
    pub is_cpu: bool,
    pub current: i32,
    /// How much below and above one the ratio may be without effect.
    pub tolerance: (f64, f64),
    pub now: Timestamp,
}

/// A size, and the load it was found from.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub replicas: i32,
    pub average: i128,
    pub utilization: Option<i32>,
}

struct Groups {
    ready: usize,
    unready: Vec<String>,
    missing: Vec<String>,
}

pub fn recommend(question: Question<'_>) -> Result<Answer, String> {
    if question.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".into());
    }
    let groups = group(&question);
    let mut samples = question.samples.clone();
    samples.retain(|name, _| {
        let alive = question.pods.iter().any(|pod| name_of(pod) == name && !is_ignored(pod));
        alive && !groups.unready.contains(name)
    });
    if samples.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".into());
    }
    let load = load(&question, &samples)?;
    let answer = |replicas| Answer { replicas, average: load.average, utilization: load.utilization };
    let up_with_unready = !groups.unready.is_empty() && load.ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        let replicas = (load.ratio * groups.ready as f64).ceil() as i32;
        return Ok(answer(if is_near(&question, load.ratio) { question.current } else { replicas }));
    }
    for name in &groups.missing {
        samples.insert(name.clone(), assumed(&question, name, load.ratio));
    }
    for name in groups.unready.iter().filter(|_| up_with_unready) {
        samples.insert(name.clone(), Sample { value: 0, at: question.now, window: SignedDuration::ZERO });
    }
    let damped = self::load(&question, &samples)?.ratio;
    let replicas = (damped * samples.len() as f64).ceil() as i32;
    let turned = (load.ratio < 1.0 && (damped > 1.0 || replicas > question.current))
        || (load.ratio > 1.0 && (damped < 1.0 || replicas < question.current));
    Ok(answer(if turned || is_near(&question, damped) { question.current } else { replicas }))
}

/// A pod without a sample is taken to use what speaks against the change.
fn assumed(question: &Question<'_>, name: &str, ratio: f64) -> Sample {
    let value = match question.target {
        _ if ratio >= 1.0 => 0,
        Target::Average(target) => target,
        Target::Utilization(percent) => {
            question.requests.get(name).copied().unwrap_or(0) * i128::from(percent.max(100)) / 100
        }
    };
    Sample { value, at: question.now, window: SignedDuration::ZERO }
}

fn is_near(question: &Question<'_>, ratio: f64) -> bool {
    let (below, above) = question.tolerance;
    (1.0 - below..=1.0 + above).contains(&ratio)
}

struct Load {
    /// Use by target.
    ratio: f64,
    average: i128,
    utilization: Option<i32>,
}

fn load(question: &Question<'_>, samples: &BTreeMap<String, Sample>) -> Result<Load, String> {
    let total: i128 = samples.values().map(|sample| sample.value).sum();
    let average = total / samples.len().max(1) as i128;
    match question.target {
        Target::Average(target) => {
            Ok(Load { ratio: average as f64 / target as f64, average, utilization: None })
        }
        Target::Utilization(percent) => {
            let requested: i128 = samples.keys().filter_map(|name| question.requests.get(name)).sum();
            if requested == 0 {
                return Err("no metrics returned matched known pods".into());
            }
            let utilization = i32::try_from(total * 100 / requested).unwrap_or(i32::MAX);
            let ratio = f64::from(utilization) / f64::from(percent);
            Ok(Load { ratio, average, utilization: Some(utilization) })
        }
    }
}

fn group(question: &Question<'_>) -> Groups {
    let mut groups = Groups { ready: 0, unready: Vec::new(), missing: Vec::new() };
    for pod in question.pods.iter().filter(|pod| !is_ignored(pod)) {
        let name = name_of(pod);
        let sample = question.samples.get(name);
        match sample {
            _ if matches!(pods::phase(pod), "Pending" | "") => groups.unready.push(name.to_owned()),
            None => groups.missing.push(name.to_owned()),
            Some(sample) if question.is_cpu && is_starting(pod, sample, question.now) => {
                groups.unready.push(name.to_owned());
            }
            Some(_) => groups.ready += 1,
        }
    }
    groups
}

fn is_ignored(pod: &Pod) -> bool {
    is_deleting(&pod.metadata) || pods::phase(pod) == "Failed"
}

/// Whether the sample may tell of the start of the pod instead of its work.
fn is_starting(pod: &Pod, sample: &Sample, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let (Some(ready), Some(started)) = (pods::condition(pod, "Ready"), started) else { return true };
    let is_unready = ready.status == "False";
    let changed = ready.last_transition_time.as_ref().map_or(started.0, |time| time.0);
    if started.0 + CPU_INITIALIZATION > now {
        return is_unready || sample.at < changed + sample.window;
    }
    is_unready && started.0 + READINESS_DELAY > changed
}

fn name_of(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `pods`: `name:use` in thousandths; `name:-` has no sample, `name:!` is pending, `name:~` is being deleted.
    /// Every pod requests 1000.
    #[track_caller]
    fn check(pods: &str, target: Target, expect: Result<(i32, i128), &str>) {
        let now = Timestamp::from_second(100_000).unwrap();
        let mut samples = BTreeMap::new();
        let mut requests = BTreeMap::new();
        let mut all = Vec::new();
        for (name, state) in pods.split_whitespace().map(|pod| pod.split_once(':').unwrap()) {
            let mut pod = json!({
                "metadata": { "name": name },
                "status": { "phase": if state == "!" { "Pending" } else { "Running" }, "startTime": "1970-01-01T00:00:00Z",
                    "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:01:00Z" }] },
            });
            if state == "~" {
                pod["metadata"]["deletionTimestamp"] = json!("1970-01-02T00:00:00Z");
            }
            if let Ok(value) = state.parse() {
                samples.insert(name.to_owned(), Sample { value, at: now, window: SignedDuration::ZERO });
            }
            requests.insert(name.to_owned(), 1000);
            all.push(Arc::new(serde_json::from_value(pod).unwrap()));
        }
        let current = all.len() as i32;
        let tolerance = (TOLERANCE, TOLERANCE);
        let question =
            Question { pods: &all, samples, requests, target, is_cpu: true, current, tolerance, now };
        let answer = recommend(question);
        assert_eq!(
            answer.as_ref().map(|answer| (answer.replicas, answer.average)).map_err(String::as_str),
            expect
        );
    }

    #[test]
    fn the_replicas_follow_the_load() {
        check("a:900 b:700", Target::Utilization(40), Ok((4, 800)));
        check("a:200 b:200", Target::Utilization(80), Ok((1, 200)));
        check("a:3000 b:5000", Target::Average(2000), Ok((4, 4000)));
    }

    #[test]
    fn a_load_near_the_target_changes_nothing() {
        check("a:850 b:850", Target::Utilization(80), Ok((2, 850)));
    }

    #[test]
    fn pods_without_a_sample_damp_the_change() {
        check("a:1600 b:-", Target::Utilization(80), Ok((2, 1600)));
        check("a:3200 b:-", Target::Utilization(80), Ok((4, 3200)));
        check("a:100 b:-", Target::Utilization(80), Ok((2, 100)));
    }

    #[test]
    fn pods_that_are_not_up_yet_count_as_idle_when_the_load_is_high() {
        check("a:1600 b:!", Target::Utilization(80), Ok((2, 1600)));
        check("a:900 b:900 c:~", Target::Utilization(30), Ok((6, 900)));
    }

    #[test]
    fn without_any_sample_there_is_no_answer() {
        let message = "did not receive metrics for targeted pods (pods might be unready)";
        check("a:- b:-", Target::Utilization(80), Err(message));
        check("", Target::Average(1), Err("no pods returned by selector while calculating replica count"));
    }
}
