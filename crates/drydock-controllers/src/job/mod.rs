//! Runs a Job's pods until enough of them have succeeded, or too many have failed.
//!
//! Reads: Job, Pod. Writes: pods (create, delete while the Job is unfinished), Job status, and the
//! Job itself when its time to live is over. Counts come from the pods that exist: a finished pod
//! that somebody deletes early is forgotten, so a Job never claims a success nobody can look at.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure.

mod plan;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::api::PropagationPolicy;

use self::plan::{Plan, plan};
pub use self::plan::{ended_as, ended_at};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner;
use crate::pods;
use crate::watches::Watches;

const NAME: &str = "job-controller";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 2,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    watches.own(&watches.cx.kinds.jobs);
    watches.owned_by("Job", &watches.cx.kinds.pods);
}

/// One Job with the pods it manages.
pub struct Observed {
    pub job: Arc<Job>,
    pub spec: JobSpec,
    pub pods: Vec<Arc<Pod>>,
    pub now: Timestamp,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(observed) = observe(cx, key) else { return Ok(Next::WaitForChange) };
    let plan = plan(&observed);
    act(cx, &observed, &plan).await?;
    write_status(cx, &observed, &plan).await?;
    Ok(Next::after(plan.look_again))
}

fn observe(cx: &Cx, key: &Key) -> Option<Observed> {
    let job = cx.kinds.jobs.get(key).filter(|job| !owner::is_deleting(&job.metadata))?;
    let spec = job.spec.clone()?;
    Some(Observed { pods: pods_of(cx, &job, key), job, spec, now: cx.now() })
}

/// Jobs select by their own uid, so ownership alone is exact.
fn pods_of(cx: &Cx, job: &Job, key: &Key) -> Vec<Arc<Pod>> {
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| owner::is_controlled_by(&pod.metadata, owner::uid(&job.metadata)));
    pods
}

async fn act(cx: &Cx, observed: &Observed, plan: &Plan) -> Result<(), WriteError> {
    let job = &observed.job;
    for pod in &plan.delete {
        cx.kinds.pods.delete(&pod.metadata).await?;
        let message = format!("Deleted pod: {}", Key::of(&pod.metadata).name);
        cx.recorder.normal(NAME, &**job, "SuccessfulDelete", message);
    }
    for index in &plan.create {
        match cx.kinds.pods.create(&pod(observed, *index)).await {
            Ok(pod) => {
                let message = format!("Created pod: {}", Key::of(&pod.metadata).name);
                cx.recorder.normal(NAME, &**job, "SuccessfulCreate", message);
            }
            Err(error) => {
                cx.recorder.warning(
                    NAME,
                    &**job,
                    "FailedCreate",
                    format!("Error creating: {}", error.detail()),
                );
                return Err(error);
            }
        }
    }
    if plan.expire {
        cx.kinds.jobs.delete_with(&job.metadata, Some(PropagationPolicy::Foreground)).await?;
    }
    Ok(())
}

fn pod(observed: &Observed, index: Option<i32>) -> Pod {
    let job = &observed.job;
    let key = Key::of(&job.metadata);
    let mut pod = pods::from_template(&observed.spec.template, &key.namespace, owner::reference(&**job));
    let labels = pod.metadata.labels.get_or_insert_default();
    for (label, value) in [(JOB_NAME, key.name.as_str()), (CONTROLLER_UID, owner::uid(&job.metadata))] {
        labels.insert(label.into(), value.to_owned());
        // The names from before the prefix are still what many people select by.
        labels.insert(label.trim_start_matches("batch.kubernetes.io/").into(), value.to_owned());
    }
    pod.metadata.generate_name = Some(format!("{}-", key.name));
    if let Some(index) = index {
        pod.metadata.generate_name = Some(format!("{}-{index}-", key.name));
        let text = index.to_string();
        pod.metadata.labels.get_or_insert_default().insert(COMPLETION_INDEX.into(), text.clone());
        pod.metadata.annotations.get_or_insert_default().insert(COMPLETION_INDEX.into(), text.clone());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(format!("{}-{index}", key.name));
        for container in &mut spec.containers {
            let env = container.env.get_or_insert_default();
            env.push(EnvVar {
                name: "JOB_COMPLETION_INDEX".into(),
                value: Some(text.clone()),
                value_from: None,
            });
        }
    }
    pod
}

async fn write_status(cx: &Cx, observed: &Observed, plan: &Plan) -> Result<(), WriteError> {
    let key = Key::of(&observed.job.metadata);
    let Some(job) = cx.kinds.jobs.get(&key).filter(|_| !plan.expire) else { return Ok(()) };
    let after = Observed { pods: pods_of(cx, &job, &key), spec: observed.spec.clone(), job, now: cx.now() };
    let wanted = status::status(&after, &plan.verdict);
    if after.job.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let just_ended = ended_as(&after.job).is_none();
    cx.kinds.jobs.replace_status(&Job { status: Some(wanted), ..(*after.job).clone() }).await?;
    match &plan.verdict {
        plan::Verdict::Complete if just_ended => {
            cx.recorder.normal(NAME, &*after.job, "Completed", "Job completed".into());
        }
        plan::Verdict::Failed { reason, message } if just_ended => {
            cx.recorder.warning(NAME, &*after.job, reason, message.clone());
        }
        _ => {}
    }
    Ok(())
}
