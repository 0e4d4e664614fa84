//! Moves the replicas of a workload with its load, as its HorizontalPodAutoscaler says.
//!
//! Reads: HorizontalPodAutoscaler, the target's scale, its pods, `metrics.k8s.io`. Writes: the target's scale, the
//! autoscaler's status. Looks again every [`PERIOD`]; load makes no events.
//! Metrics of `Pods`, `Object` and `External` sources need an adapter that serves `custom.metrics.k8s.io` or
//! `external.metrics.k8s.io`; none is asked yet, and the condition `ScalingActive` says so.
//!
//! Start at [`reconcile`]. `recommend` finds a size for one metric and `limit` how far to go there; both are pure.

mod limits;
mod metrics;
mod recommend;
mod status;
mod target;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricStatus};

use self::limits::{Allowed, History, Limited, limit};
use self::metrics::{Proposal, Refusal, propose};
use self::status::Report;
use self::target::{Scaled, Target};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::watches::Watches;

const NAME: &str = "horizontal-pod-autoscaler";
const PERIOD: Duration = Duration::from_secs(15);

/// What every autoscaler recommended and did of late.
#[derive(Default)]
pub struct Histories(Mutex<HashMap<Key, History>>);

impl Histories {
    fn with<T>(&self, key: &Key, work: impl FnOnce(&mut History) -> T) -> T {
        work(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default())
    }

    fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 1,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    watches.on(&watches.cx.kinds.autoscalers, |_, queue, old, new| {
        let is_news = old.map(|old| &old.spec) != new.map(|new| &new.spec);
        if let Some(autoscaler) = new.or(old).filter(|_| is_news) {
            queue.add(Key::of(&autoscaler.metadata));
        }
    });
}

/// One autoscaler while it is decided about.
struct Subject {
    autoscaler: Arc<HorizontalPodAutoscaler>,
    key: Key,
    now: Timestamp,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(autoscaler) = cx.kinds.autoscalers.get(key) else {
        cx.histories.forget(key);
        return Ok(Next::WaitForChange);
    };
    let subject = Subject { autoscaler, key: key.clone(), now: cx.now() };
    let mut report = Report::of(&subject.autoscaler, subject.now);
    scale(cx, &subject, &mut report).await;
    write_status(cx, &subject, report).await?;
    Ok(Next::After(PERIOD))
}

/// One decision. What goes wrong is told in the report and by an event: the next period tries again.
async fn scale(cx: &Cx, subject: &Subject, report: &mut Report) {
    let scaled = match target::find(cx, subject).await {
        Ok(scaled) => scaled,
        Err(message) => {
            let shown = format!("the HPA controller was unable to get the target's current scale: {message}");
            report.unable("FailedGetScale", &shown);
            return cx.recorder.warning(NAME, &*subject.autoscaler, "FailedGetScale", message);
        }
    };
    report.able("SucceededGetScale", "the HPA controller was able to get the target's current scale");
    report.replicas(scaled.current);
    cx.histories.with(&subject.key, |history| history.begin(scaled.current, subject.now));
    let Some((wanted, reason)) = decide(cx, subject, &scaled, report).await else { return };
    report.desired(wanted);
    if wanted != scaled.current {
        move_to(cx, subject, &scaled.target, (scaled.current, wanted), &reason, report).await;
    }
}

/// The size to go to and why; `None` when there is nothing to decide by.
async fn decide(cx: &Cx, subject: &Subject, scaled: &Scaled, report: &mut Report) -> Option<(i32, String)> {
    let (least, most) =
        (subject.autoscaler.spec.min_replicas.unwrap_or(1), subject.autoscaler.spec.max_replicas);
    if scaled.current == 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        report.inactive("ScalingDisabled", message);
        return Some((0, String::new()));
    }
    if scaled.current > most {
        return Some((most, "Current number of replicas above Spec.MaxReplicas".into()));
    }
    if scaled.current < least {
        return Some((least, "Current number of replicas below Spec.MinReplicas".into()));
    }
    let proposal = compute(cx, subject, scaled, report).await?;
    let reason = match proposal.replicas {
        wanted if wanted > scaled.current => format!("{} above target", proposal.metric),
        _ => "All metrics below target".to_owned(),
    };
    let allowed = Allowed { least, most, behavior: subject.autoscaler.spec.behavior.as_ref() };
    let limited: Limited = cx.histories.with(&subject.key, |history| {
        limit(history, &allowed, scaled.current, proposal.replicas, subject.now)
    });
    report.able(limited.stabilized.0, limited.stabilized.1);
    report.limited(limited.limited);
    Some((limited.replicas, reason))
}

/// The largest size any metric asks for. Metrics that cannot be had forbid a scale-down.
async fn compute(cx: &Cx, subject: &Subject, scaled: &Scaled, report: &mut Report) -> Option<Proposal> {
    if scaled.selector.is_empty() {
        report.inactive("InvalidSelector", "the HPA target's scale is missing a selector");
        cx.recorder.warning(NAME, &*subject.autoscaler, "SelectorRequired", "selector is required".into());
        return None;
    }
    let specs = subject.autoscaler.spec.metrics.as_deref().unwrap_or_default();
    let (mut best, mut refused): (Option<Proposal>, Vec<Refusal>) = (None, Vec::new());
    let mut current: Vec<MetricStatus> = Vec::new();
    for spec in specs {
        match propose(cx, subject, scaled, spec).await {
            Ok(proposal) => {
                current.push(proposal.status.clone());
                if best.as_ref().is_none_or(|best| proposal.replicas > best.replicas) {
                    best = Some(proposal);
                }
            }
            Err(refusal) => {
                cx.recorder.warning(NAME, &*subject.autoscaler, refusal.reason, refusal.message.clone());
                refused.push(refusal);
            }
        }
    }
    report.metrics(current);
    let best = best.filter(|best| refused.is_empty() || best.replicas >= scaled.current);
    match (&best, refused.first()) {
        (Some(best), _) => report.active(&best.metric),
        (None, Some(first)) => {
            let message = format!("the HPA was unable to compute the replica count: {}", first.message);
            report.inactive(first.reason, &message);
            let message = format!(
                "invalid metrics ({} invalid out of {}), first error is: {}",
                refused.len(),
                specs.len(),
                first.message
            );
            cx.recorder.warning(NAME, &*subject.autoscaler, "FailedComputeMetricsReplicas", message);
        }
        (None, None) => {}
    }
    best
}

async fn move_to(
    cx: &Cx,
    subject: &Subject,
    target: &Target,
    (current, wanted): (i32, i32),
    reason: &str,
    report: &mut Report,
) {
    let autoscaler = &*subject.autoscaler;
    if let Err(error) = target.scale(wanted).await {
        let message = format!("the HPA controller was unable to update the target scale: {error}");
        report.unable("FailedUpdateScale", &message);
        let message = format!("New size: {wanted}; reason: {reason}; error: {error}");
        return cx.recorder.warning(NAME, autoscaler, "FailedRescale", message);
    }
    let message = format!("the HPA controller was able to update the target scale to {wanted}");
    report.able("SucceededRescale", &message);
    report.rescaled();
    cx.histories.with(&subject.key, |history| history.scaled(wanted - current, subject.now));
    let message = format!("New size: {wanted}; reason: {reason}");
    cx.recorder.normal(NAME, autoscaler, "SuccessfulRescale", message);
}

async fn write_status(cx: &Cx, subject: &Subject, report: Report) -> Result<(), WriteError> {
    let wanted = Some(report.status());
    if subject.autoscaler.status == wanted {
        return Ok(());
    }
    let updated = HorizontalPodAutoscaler { status: wanted, ..(*subject.autoscaler).clone() };
    cx.kinds.autoscalers.replace_status(&updated).await?;
    Ok(())
}
