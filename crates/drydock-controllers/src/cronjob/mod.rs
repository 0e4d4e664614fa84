//! Starts a CronJob's Jobs when they are due, and tidies up the ones that have ended.
//!
//! Reads: CronJob, Job. Writes: Job (create, delete), CronJob status.
//! A Job's name is made of the time it was due, so that a start that is tried twice happens once.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure.

mod plan;

use std::sync::Arc;

use drydock_kinds::zone::time_zone;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PropagationPolicy;

use self::plan::{Plan, Skip, plan};
use crate::controller::{Controller, Next};
use crate::cx::{Cx, time};
use crate::job::{ended_as, ended_at};
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner;
use crate::watches::Watches;

const NAME: &str = "cronjob-controller";
const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 2,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    watches.own(&watches.cx.kinds.cron_jobs);
    watches.owned_by("CronJob", &watches.cx.kinds.jobs);
}

/// One CronJob with the Jobs it manages.
pub struct Observed {
    pub cron: Arc<CronJob>,
    pub spec: CronJobSpec,
    pub jobs: Vec<Arc<Job>>,
    pub now: Timestamp,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(observed) = observe(cx, key) else { return Ok(Next::WaitForChange) };
    let zone = match zone(&observed.spec) {
        Ok(zone) => zone,
        Err(name) => {
            let message = format!("invalid timeZone: {name:?}: unknown time zone {name}");
            cx.recorder.warning(NAME, &*observed.cron, "UnknownTimeZone", message);
            return Ok(Next::WaitForChange);
        }
    };
    let plan = plan(&observed, &zone);
    tell(cx, &observed, &plan);
    tidy(cx, &observed, &plan).await?;
    let started = start(cx, &observed, &plan, &zone).await?;
    write_status(cx, &observed, &plan, started).await?;
    Ok(Next::after(plan.look_again))
}

fn observe(cx: &Cx, key: &Key) -> Option<Observed> {
    let cron = cx.kinds.cron_jobs.get(key).filter(|cron| !owner::is_deleting(&cron.metadata))?;
    let spec = cron.spec.clone();
    let mut jobs = cx.kinds.jobs.cache.in_namespace(&key.namespace);
    jobs.retain(|job| owner::is_controlled_by(&job.metadata, owner::uid(&cron.metadata)));
    Some(Observed { cron, spec, jobs, now: cx.now() })
}

/// The zone that the schedule is read in; without one that is the engine's own.
fn zone(spec: &CronJobSpec) -> Result<TimeZone, &str> {
    match spec.time_zone.as_deref() {
        Some(name) => time_zone(name).ok_or(name),
        None => Ok(TimeZone::system()),
    }
}

fn tell(cx: &Cx, observed: &Observed, plan: &Plan) {
    let cron = &*observed.cron;
    for job in &plan.ended {
        let how = ended_as(job).unwrap_or_default();
        let message = format!("Saw completed job: {}, condition: {how}", Key::of(&job.metadata).name);
        cx.recorder.normal(NAME, cron, "SawCompletedJob", message);
    }
    for name in &plan.missing {
        cx.recorder.normal(NAME, cron, "MissingJob", format!("Active job went missing: {name}"));
    }
    match &plan.skip {
        Some(Skip::Unparseable(error)) => {
            let schedule = &observed.spec.schedule;
            let message = format!("unparseable schedule: {schedule:?} : {error}");
            cx.recorder.warning(NAME, cron, "UnparseableSchedule", message);
        }
        Some(Skip::StillRunning) => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            cx.recorder.normal(NAME, cron, "JobAlreadyActive", message.to_owned());
        }
        None => {}
    }
    if plan.too_many_missed {
        let message =
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        cx.recorder.warning(NAME, cron, "TooManyMissedTimes", message.to_owned());
    }
}

async fn tidy(cx: &Cx, observed: &Observed, plan: &Plan) -> Result<(), WriteError> {
    for job in plan.expired.iter().chain(&plan.replaced) {
        cx.kinds.jobs.delete_with(&job.metadata, Some(PropagationPolicy::Background)).await?;
        let message = format!("Deleted job {}", Key::of(&job.metadata).name);
        cx.recorder.normal(NAME, &*observed.cron, "SuccessfulDelete", message);
    }
    Ok(())
}

async fn start(
    cx: &Cx,
    observed: &Observed,
    plan: &Plan,
    zone: &TimeZone,
) -> Result<Option<Arc<Job>>, WriteError> {
    let Some(due) = plan.start else { return Ok(None) };
    let wanted = job(observed, due, zone);
    let key = Key::of(&wanted.metadata);
    let cron = &*observed.cron;
    match cx.kinds.jobs.create(&wanted).await {
        Ok(job) => {
            cx.recorder.normal(NAME, cron, "SuccessfulCreate", format!("Created job {}", key.name));
            Ok(Some(job))
        }
        // Started by an earlier pass whose status was not written.
        Err(error) if error.is_already_exists() => {
            let ours = |job: &Job| owner::is_controlled_by(&job.metadata, owner::uid(&cron.metadata));
            Ok(cx.kinds.jobs.fetch(&key).await?.filter(ours).map(Arc::new))
        }
        Err(error) => {
            let message = format!("Error creating job: {}", error.detail());
            cx.recorder.warning(NAME, cron, "FailedCreate", message);
            Err(error)
        }
    }
}

fn job(observed: &Observed, due: Timestamp, zone: &TimeZone) -> Job {
    let key = Key::of(&observed.cron.metadata);
    let template = observed.spec.job_template.clone();
    let metadata = template.metadata.unwrap_or_default();
    let mut annotations = metadata.annotations.unwrap_or_default();
    let shown = due.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    annotations.insert(SCHEDULED_AT.into(), shown.replace("+00:00", "Z"));
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", key.name, due.as_second() / 60)),
            namespace: Some(key.namespace),
            labels: metadata.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner::reference(&*observed.cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

async fn write_status(
    cx: &Cx,
    observed: &Observed,
    plan: &Plan,
    started: Option<Arc<Job>>,
) -> Result<(), WriteError> {
    let old = observed.cron.status.clone().unwrap_or_default();
    let succeeded = observed.jobs.iter().filter(|job| ended_as(job) == Some("Complete"));
    let latest_success = succeeded.filter_map(|job| ended_at(job)).chain(old.last_successful_time).max();
    let active: Vec<ObjectReference> = plan.active.iter().chain(&started).map(|job| refer(job)).collect();
    let wanted = CronJobStatus {
        active: (!active.is_empty()).then_some(active),
        last_schedule_time: plan.start.filter(|_| started.is_some()).map(time).or(old.last_schedule_time),
        last_successful_time: latest_success,
    };
    if observed.cron.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    cx.kinds.cron_jobs.replace_status(&CronJob { status: Some(wanted), ..(*observed.cron).clone() }).await?;
    Ok(())
}

fn refer(job: &Job) -> ObjectReference {
    let key = Key::of(&job.metadata);
    ObjectReference {
        api_version: Some("batch/v1".into()),
        kind: Some("Job".into()),
        name: Some(key.name),
        namespace: Some(key.namespace),
        resource_version: job.metadata.resource_version.clone(),
        uid: job.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
