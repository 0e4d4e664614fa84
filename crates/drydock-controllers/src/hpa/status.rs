//! What an autoscaler reports, as `kubectl describe` reads it. Pure: start at [`Report::of`].

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus,
};

use crate::cx::time;

/// The status of one pass while it is filled in.
pub struct Report {
    status: HorizontalPodAutoscalerStatus,
    now: Timestamp,
}

impl Report {
    pub fn of(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Report {
        let mut status = autoscaler.status.clone().unwrap_or_default();
        status.observed_generation = autoscaler.metadata.generation;
        Report { status, now }
    }

    pub fn status(self) -> HorizontalPodAutoscalerStatus {
        self.status
    }

    /// What the target has; also what is wanted until something else is decided.
    pub fn replicas(&mut self, current: i32) {
        self.status.current_replicas = Some(current);
    }

    pub fn desired(&mut self, replicas: i32) {
        self.status.desired_replicas = replicas;
    }

    pub fn metrics(&mut self, current: Vec<MetricStatus>) {
        self.status.current_metrics = Some(current);
    }

    pub fn rescaled(&mut self) {
        self.status.last_scale_time = Some(time(self.now));
    }

    pub fn able(&mut self, reason: &str, message: &str) {
        self.set("AbleToScale", true, reason, message);
    }

    pub fn unable(&mut self, reason: &str, message: &str) {
        self.set("AbleToScale", false, reason, message);
    }

    pub fn active(&mut self, metric: &str) {
        let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
        self.set("ScalingActive", true, "ValidMetricFound", &message);
    }

    pub fn inactive(&mut self, reason: &str, message: &str) {
        self.set("ScalingActive", false, reason, message);
    }

    pub fn limited(&mut self, (limited, reason, message): (bool, &str, &str)) {
        self.set("ScalingLimited", limited, reason, message);
    }

    fn set(&mut self, type_: &str, value: bool, reason: &str, message: &str) {
        let status = if value { "True" } else { "False" };
        let conditions = self.status.conditions.get_or_insert_default();
        let old = conditions.iter().position(|condition| condition.type_ == type_);
        let since = old.map(|at| &conditions[at]).filter(|old| old.status == status);
        let since = since.and_then(|old| old.last_transition_time.clone());
        let condition = HorizontalPodAutoscalerCondition {
            type_: type_.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_transition_time: Some(since.unwrap_or_else(|| time(self.now))),
        };
        match old {
            Some(at) => conditions[at] = condition,
            None => conditions.push(condition),
        }
    }
}
