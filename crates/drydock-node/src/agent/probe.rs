//! When a probe runs and what its results add up to. Pure.
//!
//! Differs from the kubelet on purpose in one thing: the first probe runs at once, and until a container
//! is ready, startup and readiness are also asked between their periods (each 25 ms in the first half second,
//! then each 100 ms up to 2 s and each 250 ms up to 10 s; exec probes, which cost a process, four times as
//! rarely), because the time from start to ready is what a person waits for. Only failures at the probe's own
//! period count towards `failureThreshold`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    /// As events spell it.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Readiness => "Readiness",
            Kind::Liveness => "Liveness",
        }
    }
}

/// What the results so far mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unknown,
    Success,
    Failure,
}

/// The numbers of a probe with Kubernetes' defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
    pub exec: bool,
}

impl Timing {
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64, least: u64| {
            Duration::from_secs(
                value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v >= least).unwrap_or(default),
            )
        };
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        Timing {
            initial_delay: seconds(probe.initial_delay_seconds, 0, 0),
            period: seconds(probe.period_seconds, 10, 1),
            timeout: seconds(probe.timeout_seconds, 1, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
            exec: probe.exec.is_some(),
        }
    }
}

/// Counts results of one probe of one container run.
#[derive(Clone, Debug)]
pub struct Gauge {
    kind: Kind,
    timing: Timing,
    verdict: Verdict,
    successes: u32,
    failures: u32,
    /// When the next result counts as one of the probe's own period, since the container's start.
    next_counted: Duration,
}

impl Gauge {
    pub fn new(kind: Kind, timing: Timing) -> Self {
        let next_counted = timing.initial_delay;
        Gauge { kind, timing, verdict: Verdict::Unknown, successes: 0, failures: 0, next_counted }
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How long to wait at `age` (since the container's start) before probing again.
    pub fn wait(&self, age: Duration) -> Duration {
        let regular = self.next_counted.saturating_sub(age);
        let impatient = self.kind != Kind::Liveness && self.verdict != Verdict::Success;
        if !impatient || age < self.timing.initial_delay {
            return regular;
        }
        let base_ms = match age.saturating_sub(self.timing.initial_delay).as_millis() {
            0..500 => 25,
            500..2_000 => 100,
            2_000..10_000 => 250,
            _ => return regular,
        };
        regular.min(Duration::from_millis(if self.timing.exec { 4 * base_ms } else { base_ms }))
    }

    /// Takes the result of a probe that began at `age`. Returns whether it counted.
    pub fn take(&mut self, success: bool, age: Duration) -> bool {
        let counted = age >= self.next_counted;
        if counted {
            // From when it was due, not from when it ran, but never a burst to catch up.
            self.next_counted = (self.next_counted + self.timing.period).max(age + self.timing.period / 2);
        }
        if success {
            self.successes += 1;
            self.failures = 0;
            if self.successes >= self.timing.success_threshold {
                self.verdict = Verdict::Success;
            }
        } else if counted {
            self.failures += 1;
            self.successes = 0;
            if self.failures >= self.timing.failure_threshold {
                self.verdict = Verdict::Failure;
            }
        } else {
            self.successes = 0;
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
        exec: false,
    };

    /// Results are `(age in ms, success)`; expects the verdict after each as a letter.
    #[track_caller]
    fn check(kind: Kind, timing: Timing, results: &[(u64, bool)], expect: &str) {
        let mut gauge = Gauge::new(kind, timing);
        let letters: String = results
            .iter()
            .map(|(age_ms, success)| {
                gauge.take(*success, Duration::from_millis(*age_ms));
                match gauge.verdict() {
                    Verdict::Unknown => '?',
                    Verdict::Success => '+',
                    Verdict::Failure => '-',
                }
            })
            .collect();
        assert_eq!(letters, expect);
    }

    #[track_caller]
    fn check_wait(kind: Kind, timing: Timing, age_ms: u64, expect_ms: u128) {
        let mut gauge = Gauge::new(kind, timing);
        gauge.take(false, timing.initial_delay);
        assert_eq!(gauge.wait(Duration::from_millis(age_ms)).as_millis(), expect_ms);
    }

    #[test]
    fn three_failures_at_the_period_are_a_failure() {
        check(Kind::Liveness, TIMING, &[(0, false), (10_000, false), (20_000, false)], "??-");
    }
    #[test]
    fn impatient_failures_between_the_periods_do_not_count() {
        let burst: Vec<(u64, bool)> = (0..12).map(|n| (n * 100, false)).collect();
        check(Kind::Startup, TIMING, &burst, "????????????");
    }
    #[test]
    fn an_impatient_success_counts_at_once() {
        check(Kind::Readiness, TIMING, &[(0, false), (100, false), (200, true)], "??+");
    }
    #[test]
    fn a_success_clears_the_failures() {
        let results = [(0, false), (10_000, false), (20_000, true), (30_000, false), (40_000, false)];
        check(Kind::Readiness, TIMING, &results, "??+++");
    }
    #[test]
    fn a_success_threshold_needs_successes_in_a_row() {
        let timing = Timing { success_threshold: 2, ..TIMING };
        check(Kind::Readiness, timing, &[(0, true), (100, false), (200, true), (300, true)], "???+");
    }
    #[test]
    fn an_unready_container_is_asked_often_at_first() {
        check_wait(Kind::Readiness, TIMING, 50, 25);
        check_wait(Kind::Readiness, TIMING, 1_500, 100);
        check_wait(Kind::Readiness, TIMING, 5_000, 250);
        check_wait(Kind::Readiness, TIMING, 9_900, 100);
        check_wait(Kind::Startup, Timing { exec: true, ..TIMING }, 50, 100);
    }
    #[test]
    fn liveness_keeps_to_its_period() {
        check_wait(Kind::Liveness, TIMING, 50, 9_950);
    }
    #[test]
    fn the_initial_delay_is_kept() {
        let timing = Timing { initial_delay: Duration::from_secs(5), ..TIMING };
        assert_eq!(Gauge::new(Kind::Readiness, timing).wait(Duration::ZERO), Duration::from_secs(5));
    }
    #[test]
    fn defaults_are_those_of_kubernetes() {
        assert_eq!(Timing::of(&Probe::default()), TIMING);
    }
}
