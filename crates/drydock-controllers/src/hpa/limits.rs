//! How far and how fast a recommendation may move the replicas: stabilisation windows and rates. Pure.
//!
//! Start at [`limit`]. [`History`] is what has to be remembered between passes; it is lost with the process, which
//! only means that a scale-down waits for a full window again.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// How long a scale-down looks back for higher recommendations when nothing else is said.
const DOWN_WINDOW_S: i32 = 300;
/// Longer than any window or period the API accepts.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// Without rules a target may double, and always reach this many.
const FIRST_STEP: i32 = 4;

/// Recent recommendations and changes of one autoscaler.
#[derive(Debug, Default)]
pub struct History {
    recommendations: VecDeque<(Timestamp, i32)>,
    /// Positive for pods added.
    changes: VecDeque<(Timestamp, i32)>,
}

impl History {
    /// The size that was found before anything was recommended counts as the first recommendation.
    pub fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push_back((now, current));
        }
    }

    pub fn scaled(&mut self, by: i32, now: Timestamp) {
        self.changes.push_back((now, by));
    }

    fn forget(&mut self, now: Timestamp) {
        for list in [&mut self.recommendations, &mut self.changes] {
            while list.front().is_some_and(|(at, _)| *at + REMEMBERED < now) {
                list.pop_front();
            }
        }
    }

    fn recommended(&self, window_s: i32, now: Timestamp) -> impl Iterator<Item = i32> {
        recent(&self.recommendations, window_s, now)
    }

    /// What the replicas were when the period began.
    fn at_start(&self, current: i32, period_s: i32, now: Timestamp) -> i32 {
        current - recent(&self.changes, period_s, now).sum::<i32>()
    }
}

fn recent(list: &VecDeque<(Timestamp, i32)>, window_s: i32, now: Timestamp) -> impl Iterator<Item = i32> {
    let cutoff = now - SignedDuration::from_secs(window_s.into());
    list.iter().filter(move |(at, _)| *at > cutoff).map(|(_, value)| *value)
}

/// The size to go to, and why it is not the one that was recommended.
#[derive(Debug, PartialEq)]
pub struct Limited {
    pub replicas: i32,
    /// Reason and message for `AbleToScale`.
    pub stabilized: (&'static str, &'static str),
    /// Whether `ScalingLimited` is true, its reason and message.
    pub limited: (bool, &'static str, &'static str),
}

/// What an autoscaler allows.
pub struct Allowed<'a> {
    pub least: i32,
    pub most: i32,
    pub behavior: Option<&'a HorizontalPodAutoscalerBehavior>,
}

pub fn limit(
    history: &mut History,
    allowed: &Allowed<'_>,
    current: i32,
    recommended: i32,
    now: Timestamp,
) -> Limited {
    history.forget(now);
    let stable = stabilize(history, allowed, current, recommended, now);
    history.recommendations.push_back((now, recommended));
    let stabilized = if stable == recommended {
        ("ReadyForNewScale", "recommended size matches current size")
    } else if recommended >= current {
        (
            "ScaleUpStabilized",
            "recent recommendations were lower than current one, applying the lowest recent recommendation",
        )
    } else {
        (
            "ScaleDownStabilized",
            "recent recommendations were higher than current one, applying the highest recent recommendation",
        )
    };
    let (replicas, reason, message) = bound(history, allowed, current, stable, now);
    Limited { replicas, stabilized, limited: (replicas != stable, reason, message) }
}

fn stabilize(
    history: &History,
    allowed: &Allowed<'_>,
    current: i32,
    recommended: i32,
    now: Timestamp,
) -> i32 {
    let window = |rules: Option<&HPAScalingRules>, default| {
        rules.and_then(|rules| rules.stabilization_window_seconds).unwrap_or(default)
    };
    let up = window(allowed.behavior.and_then(|b| b.scale_up.as_ref()), 0);
    let down = window(allowed.behavior.and_then(|b| b.scale_down.as_ref()), DOWN_WINDOW_S);
    let lowest = history.recommended(up, now).fold(recommended, i32::min);
    let highest = history.recommended(down, now).fold(recommended, i32::max);
    current.max(lowest).min(highest)
}

fn bound(
    history: &History,
    allowed: &Allowed<'_>,
    current: i32,
    wanted: i32,
    now: Timestamp,
) -> (i32, &'static str, &'static str) {
    let fast = up_limit(history, allowed, current, now).max(current);
    let slow = down_limit(history, allowed, current, now).min(current);
    if wanted > allowed.most.min(fast) && (wanted > current || wanted > allowed.most) {
        if fast < allowed.most {
            let message = "the desired replica count is increasing faster than the maximum scale rate";
            return (fast, "ScaleUpLimit", message);
        }
        let message = "the desired replica count is more than the maximum replica count";
        return (allowed.most, "TooManyReplicas", message);
    }
    if wanted < allowed.least.max(slow) && (wanted < current || wanted < allowed.least) {
        if slow > allowed.least {
            let message = "the desired replica count is decreasing faster than the maximum scale rate";
            return (slow, "ScaleDownLimit", message);
        }
        let message = "the desired replica count is less than the minimum replica count";
        return (allowed.least, "TooFewReplicas", message);
    }
    (wanted, "DesiredWithinRange", "the desired count is within the acceptable range")
}

fn up_limit(history: &History, allowed: &Allowed<'_>, current: i32, now: Timestamp) -> i32 {
    let Some(behavior) = allowed.behavior else { return current.saturating_mul(2).max(FIRST_STEP) };
    let Some(rules) = &behavior.scale_up else { return i32::MAX };
    let reach = |policy: &HPAScalingPolicy| {
        let start = history.at_start(current, policy.period_seconds, now);
        match policy.type_.as_str() {
            "Pods" => start.saturating_add(policy.value),
            _ => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    };
    let reaches = rules.policies.iter().flatten().map(reach);
    match rules.select_policy.as_deref() {
        Some("Disabled") => current,
        Some("Min") => reaches.min().unwrap_or(i32::MAX),
        _ => reaches.max().unwrap_or(i32::MAX),
    }
}

fn down_limit(history: &History, allowed: &Allowed<'_>, current: i32, now: Timestamp) -> i32 {
    let Some(rules) = allowed.behavior.and_then(|behavior| behavior.scale_down.as_ref()) else { return 0 };
    let reach = |policy: &HPAScalingPolicy| {
        let start = history.at_start(current, policy.period_seconds, now);
        match policy.type_.as_str() {
            "Pods" => start.saturating_sub(policy.value),
            _ => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
        }
    };
    let reaches = rules.policies.iter().flatten().map(reach);
    match rules.select_policy.as_deref() {
        Some("Disabled") => current,
        Some("Min") => reaches.max().unwrap_or(0),
        _ => reaches.min().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Goes through `steps` of (second, current, recommended) with 1 to 10 replicas; the last one is what counts.
    #[track_caller]
    fn check(behavior: Value, steps: &[(i64, i32, i32)], expect: &str) {
        let behavior: Option<HorizontalPodAutoscalerBehavior> = serde_json::from_value(behavior).unwrap();
        let allowed = Allowed { least: 1, most: 10, behavior: behavior.as_ref() };
        let mut history = History::default();
        let mut shown = String::new();
        for (second, current, recommended) in steps {
            let now = Timestamp::from_second(10_000 + second).unwrap();
            history.begin(*current, now);
            let limited = limit(&mut history, &allowed, *current, *recommended, now);
            history.scaled(limited.replicas - current, now);
            shown = format!("{} {} {}", limited.replicas, limited.stabilized.0, limited.limited.1);
        }
        assert_eq!(shown, expect);
    }

    #[test]
    fn without_rules_a_target_doubles_at_most() {
        check(Value::Null, &[(0, 1, 9)], "4 ReadyForNewScale ScaleUpLimit");
        check(Value::Null, &[(0, 6, 9)], "9 ReadyForNewScale DesiredWithinRange");
        check(Value::Null, &[(0, 6, 20)], "10 ReadyForNewScale TooManyReplicas");
    }

    #[test]
    fn a_scale_down_waits_for_the_highest_recent_recommendation() {
        check(Value::Null, &[(0, 8, 8), (60, 8, 2)], "8 ScaleDownStabilized DesiredWithinRange");
        check(Value::Null, &[(0, 8, 8), (301, 8, 2)], "2 ReadyForNewScale DesiredWithinRange");
        check(Value::Null, &[(0, 8, 8), (301, 8, 0)], "1 ReadyForNewScale TooFewReplicas");
    }

    #[test]
    fn a_rate_counts_what_was_added_in_its_period() {
        let up = json!({ "scaleUp": { "stabilizationWindowSeconds": 0, "policies": [{ "type": "Pods", "value": 2, "periodSeconds": 60 }] } });
        check(up.clone(), &[(0, 2, 9)], "4 ReadyForNewScale ScaleUpLimit");
        check(up.clone(), &[(0, 2, 9), (30, 4, 9)], "4 ReadyForNewScale ScaleUpLimit");
        check(up, &[(0, 2, 9), (61, 4, 9)], "6 ReadyForNewScale ScaleUpLimit");
    }

    #[test]
    fn the_selected_policy_decides_and_disabled_forbids() {
        let down = |select: &str| {
            json!({ "scaleDown": { "stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": [
                { "type": "Pods", "value": 1, "periodSeconds": 60 }, { "type": "Percent", "value": 50, "periodSeconds": 60 },
            ] } })
        };
        check(down("Max"), &[(0, 8, 1)], "4 ReadyForNewScale ScaleDownLimit");
        check(down("Min"), &[(0, 8, 1)], "7 ReadyForNewScale ScaleDownLimit");
        check(down("Disabled"), &[(0, 8, 1)], "8 ReadyForNewScale ScaleDownLimit");
    }
}
