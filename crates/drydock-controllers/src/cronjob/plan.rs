//! Which Job to start, which to forget, and when to look again. Pure: start at [`plan`].

use std::sync::Arc;
use std::time::Duration;

use drydock_kinds::schedule::{Schedule, ScheduleError};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

use super::Observed;
use crate::job::ended_as;
use crate::key::Key;
use crate::owner;

const SUCCESSFUL_KEPT: i32 = 3;
const FAILED_KEPT: i32 = 1;
/// More missed starts than this are worth a warning; only the latest is made up for anyway.
const MANY_MISSED: usize = 100;

/// What one pass intends to change.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// When the Job to start now was due.
    pub start: Option<Timestamp>,
    pub skip: Option<Skip>,
    pub too_many_missed: bool,
    /// Unfinished Jobs that stay, except one that is started now.
    pub active: Vec<Arc<Job>>,
    /// Unfinished Jobs that make way for the one that is started now.
    pub replaced: Vec<Arc<Job>>,
    /// Finished Jobs beyond the history that is kept.
    pub expired: Vec<Arc<Job>>,
    /// Jobs that were active at the last look and have ended.
    pub ended: Vec<Arc<Job>>,
    /// Names of Jobs that were active at the last look and are gone.
    pub missing: Vec<String>,
    pub look_again: Option<Duration>,
}

/// Why a Job that is due is not started.
#[derive(Debug, PartialEq)]
pub enum Skip {
    Unparseable(ScheduleError),
    StillRunning,
}

pub fn plan(observed: &Observed, zone: &TimeZone) -> Plan {
    let mut plan = Plan {
        active: active(observed),
        expired: expired(observed),
        ended: ended(observed),
        missing: missing(observed),
        ..Plan::default()
    };
    if observed.spec.suspend == Some(true) {
        return plan;
    }
    let schedule = match Schedule::parse(&observed.spec.schedule) {
        Ok(schedule) => schedule,
        Err(error) => return Plan { skip: Some(Skip::Unparseable(error)), ..plan },
    };
    plan.look_again = schedule.next(observed.now, zone).map(|next| until(observed.now, next));
    let (due, missed) = latest_due(observed, &schedule, zone);
    plan.too_many_missed = missed > MANY_MISSED;
    if let Some(due) = due.filter(|due| !was_started(observed, *due)) {
        decide(observed, due, &mut plan);
    }
    plan
}

fn decide(observed: &Observed, due: Timestamp, plan: &mut Plan) {
    match observed.spec.concurrency_policy.as_deref() {
        Some("Forbid") if !plan.active.is_empty() => {
            plan.skip = Some(Skip::StillRunning);
            return;
        }
        Some("Replace") => plan.replaced = std::mem::take(&mut plan.active),
        _ => {}
    }
    plan.start = Some(due);
}

fn until(now: Timestamp, next: Timestamp) -> Duration {
    // A little late is right, a little early is one pass for nothing.
    Duration::try_from(next.duration_since(now)).unwrap_or_default() + Duration::from_millis(20)
}

/// The latest time the schedule has passed since the last start, and how many it has passed in all.
fn latest_due(observed: &Observed, schedule: &Schedule, zone: &TimeZone) -> (Option<Timestamp>, usize) {
    let Some(mut since) = since(observed) else { return (None, 0) };
    let (mut due, mut missed) = (None, 0);
    let mut step = |from: Timestamp| {
        let next = schedule.next(from, zone).filter(|next| *next <= observed.now)?;
        due = Some(next);
        missed += 1;
        Some(next)
    };
    while let Some(next) = step(since) {
        since = next;
        if let Some(later) = leap(since, observed.now, schedule, zone) {
            since = later;
        }
    }
    (due, missed)
}

/// After a long sleep there is no need to walk through every time that was missed.
fn leap(since: Timestamp, now: Timestamp, schedule: &Schedule, zone: &TimeZone) -> Option<Timestamp> {
    let period = schedule.next(since, zone)?.duration_since(since);
    let landing = now - period.checked_mul(MANY_MISSED as i32)?;
    // A schedule with gaps may have nothing so close to now: then the walk goes on step by step.
    schedule.next(landing, zone).filter(|next| landing > since && *next <= now).map(|_| landing)
}

/// From where on starts may be due: the last one, the creation, or as far back as the deadline reaches.
fn since(observed: &Observed) -> Option<Timestamp> {
    let last = observed.cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let known = last.or(observed.cron.metadata.creation_timestamp.as_ref())?.0;
    let reach = observed.spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    Some(reach.map_or(known, |reach| known.max(observed.now - reach)))
}

fn was_started(observed: &Observed, due: Timestamp) -> bool {
    let last = observed.cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    last.is_some_and(|last| last.0 >= due)
}

fn active(observed: &Observed) -> Vec<Arc<Job>> {
    observed
        .jobs
        .iter()
        .filter(|job| ended_as(job).is_none() && !owner::is_deleting(&job.metadata))
        .cloned()
        .collect()
}

fn was_active(observed: &Observed) -> impl Iterator<Item = (&str, &str)> {
    let status = observed.cron.status.as_ref();
    let active = status.and_then(|status| status.active.as_ref()).into_iter().flatten();
    active
        .map(|active| (active.uid.as_deref().unwrap_or_default(), active.name.as_deref().unwrap_or_default()))
}

fn ended(observed: &Observed) -> Vec<Arc<Job>> {
    let was_active = |job: &&Arc<Job>| was_active(observed).any(|(uid, _)| uid == owner::uid(&job.metadata));
    observed.jobs.iter().filter(|job| ended_as(job).is_some()).filter(was_active).cloned().collect()
}

fn missing(observed: &Observed) -> Vec<String> {
    let exists = |uid: &str| observed.jobs.iter().any(|job| owner::uid(&job.metadata) == uid);
    was_active(observed).filter(|(uid, _)| !exists(uid)).map(|(_, name)| name.to_owned()).collect()
}

/// The oldest finished Jobs, as many as there are too many of each outcome.
fn expired(observed: &Observed) -> Vec<Arc<Job>> {
    let spec = &observed.spec;
    let mut expired =
        beyond(observed, "Complete", spec.successful_jobs_history_limit.unwrap_or(SUCCESSFUL_KEPT));
    expired.extend(beyond(observed, "Failed", spec.failed_jobs_history_limit.unwrap_or(FAILED_KEPT)));
    expired
}

fn beyond(observed: &Observed, outcome: &str, kept: i32) -> Vec<Arc<Job>> {
    let mut jobs: Vec<Arc<Job>> = observed
        .jobs
        .iter()
        .filter(|job| ended_as(job) == Some(outcome) && !owner::is_deleting(&job.metadata))
        .cloned()
        .collect();
    jobs.sort_by_key(|job| {
        let started = job.status.as_ref().and_then(|status| status.start_time.clone());
        (started.map(|time| time.0), Key::of(&job.metadata))
    });
    let surplus = jobs.len().saturating_sub(usize::try_from(kept).unwrap_or(0));
    jobs.truncate(surplus);
    jobs
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::CronJob;
    use serde_json::{Value, json};

    use super::*;

    /// A CronJob made at 00:00 that runs every ten minutes. `jobs`: `name:a`ctive, `:c`omplete or `:f`ailed.
    #[track_caller]
    fn check(spec: Value, last: Option<&str>, now: &str, jobs: &str, expect: &str) {
        let mut cron = json!({
            "metadata": {"name": "tick", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"schedule": "*/10 * * * *", "jobTemplate": {}},
            "status": {"lastScheduleTime": last.map(at)},
        });
        spec.as_object().unwrap().iter().for_each(|(key, value)| cron["spec"][key] = value.clone());
        let cron: CronJob = serde_json::from_value(cron).unwrap();
        let jobs = jobs.split_whitespace().map(job).collect();
        let spec = cron.spec.clone();
        let observed = Observed { cron: Arc::new(cron), spec, jobs, now: at(now).parse().unwrap() };
        let plan = plan(&observed, &TimeZone::UTC);
        let names = |jobs: &[Arc<Job>]| {
            jobs.iter().map(|job| Key::of(&job.metadata).name).collect::<Vec<_>>().join(",")
        };
        let start = plan.start.map_or("-".to_owned(), |due| due.strftime("%H:%M").to_string());
        let skip = match plan.skip {
            Some(Skip::StillRunning) => " still running",
            Some(Skip::Unparseable(_)) => " unparseable",
            None => "",
        };
        let mut shown = format!("start {start}{skip}");
        for (word, jobs) in [("replace", names(&plan.replaced)), ("expire", names(&plan.expired))] {
            if !jobs.is_empty() {
                shown.push_str(&format!(" {word} {jobs}"));
            }
        }
        if plan.too_many_missed {
            shown.push_str(" many missed");
        }
        assert_eq!(shown, expect);
    }

    fn at(clock: &str) -> String {
        format!("2026-01-01T{clock}Z")
    }

    fn job(text: &str) -> Arc<Job> {
        let (name, state) = text.split_once(':').unwrap();
        let condition = if state == "c" { "Complete" } else { "Failed" };
        let mut job =
            json!({"metadata": {"name": name}, "status": {"startTime": at(&format!("00:00:{name:0>2}"))}});
        if state != "a" {
            job["status"]["conditions"] = json!([{"type": condition, "status": "True"}]);
        }
        Arc::new(serde_json::from_value(job).unwrap())
    }

    #[test]
    fn a_job_starts_when_it_is_due_and_only_once() {
        check(json!({}), None, "00:09:59", "", "start -");
        check(json!({}), None, "00:10:00", "", "start 00:10");
        check(json!({}), Some("00:10:00"), "00:10:01", "", "start -");
    }

    #[test]
    fn of_many_missed_starts_only_the_latest_is_made_up_for() {
        check(json!({}), Some("00:10:00"), "00:45:00", "", "start 00:40");
        check(json!({"schedule": "* * * * *"}), None, "23:59:30", "", "start 23:59 many missed");
    }

    #[test]
    fn a_start_that_is_too_late_is_not_made_up_for() {
        check(json!({"startingDeadlineSeconds": 60}), None, "00:10:50", "", "start 00:10");
        check(json!({"startingDeadlineSeconds": 60}), None, "00:15:00", "", "start -");
    }

    #[test]
    fn the_concurrency_policy_decides_while_one_still_runs() {
        check(json!({}), None, "00:10:00", "1:a", "start 00:10");
        check(json!({"concurrencyPolicy": "Forbid"}), None, "00:10:00", "1:a", "start - still running");
        check(json!({"concurrencyPolicy": "Replace"}), None, "00:10:00", "1:a", "start 00:10 replace 1");
    }

    #[test]
    fn a_suspended_cron_job_starts_nothing_and_still_tidies_up() {
        check(json!({"suspend": true}), None, "00:10:00", "1:c 2:c 3:c 4:c 5:f 6:f", "start - expire 1,5");
        check(
            json!({"suspend": true, "successfulJobsHistoryLimit": 0}),
            None,
            "00:10:00",
            "1:c",
            "start - expire 1",
        );
    }

    #[test]
    fn a_schedule_nobody_can_read_is_reported() {
        check(json!({"schedule": "often"}), None, "00:10:00", "", "start - unparseable");
    }
}
