//! Telling the API how a pod is: one status patch per change, and none without.

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::status;
use super::worker::{RETRY_FIRST, Worker};

impl Worker {
    fn current_status(&self) -> PodStatus {
        status::compute(&status::View {
            pod: &self.pod,
            tracks: &self.tracks,
            ip: self.ip,
            host_ip: self.cx.host_ip,
            deleting: self.deleting(),
            sandbox: self.ip.is_some() && !self.finished,
            unresized: self.unresized.as_deref(),
            now: Timestamp::now(),
            instant: Instant::now(),
        })
    }

    /// Patches the status when it is not what was written last.
    pub(super) async fn write_status(&mut self) {
        let status = self.current_status();
        if self.written.as_ref() == Some(&status) {
            return;
        }
        let meta = &self.pod.metadata;
        let api = self.cx.pods(meta.namespace.as_deref().unwrap_or_default());
        let patch =
            json!({"metadata": {"uid": meta.uid}, "status": difference(self.written.as_ref(), &status)});
        let name = meta.name.as_deref().unwrap_or_default();
        match api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => {
                self.pod.status = Some(status.clone());
                self.written = Some(status);
            }
            // Deleted, or another pod has its name by now: the watch will say so.
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => {
                tracing::debug!(pod = name, %answer, "the pod's status was not taken");
                self.written = Some(status);
            }
            Err(error) => {
                tracing::debug!(pod = name, %error, "the pod's status could not be written, trying again");
                self.retry_at = Some(Instant::now() + RETRY_FIRST);
            }
        }
    }
}

/// The new status as a merge patch: what was there and is not any more becomes null.
fn difference(before: Option<&PodStatus>, after: &PodStatus) -> Value {
    let mut patch = serde_json::to_value(after).unwrap_or_default();
    let before = before.and_then(|s| serde_json::to_value(s).ok()).unwrap_or_default();
    if let (Some(patch), Some(before)) = (patch.as_object_mut(), before.as_object()) {
        for key in before.keys() {
            patch.entry(key.clone()).or_insert(Value::Null);
        }
    }
    patch
}
