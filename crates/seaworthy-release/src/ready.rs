//! Is an object what its chart wants it to be? The rules of kstatus, with a reason a person can use.
//!
//! Source of the rules: sigs.k8s.io/cli-utils `pkg/kstatus/status`. Pure: an object in, a judgement out.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Not yet; why.
    Waiting(String),
    /// Never, without a change; why.
    Failed(String),
}

use Readiness::{Failed, Ready, Waiting};

/// Judges one object as the cluster shows it.
pub fn readiness(object: &Value) -> Readiness {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Waiting("it is being deleted".into());
    }
    let generation = &object["metadata"]["generation"];
    let observed = &object["status"]["observedGeneration"];
    if observed.is_number() && generation.is_number() && observed.as_i64() < generation.as_i64() {
        return Waiting("its controller has not seen the change yet".into());
    }
    match (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default()) {
        ("apps/v1", "Deployment") => deployment(object),
        ("apps/v1", "StatefulSet") => stateful_set(object),
        ("apps/v1", "DaemonSet") => daemon_set(object),
        ("apps/v1", "ReplicaSet") => counted(object, "readyReplicas", "ready"),
        ("batch/v1", "Job") => job(object),
        ("v1", "Pod") => pod(object),
        ("v1", "PersistentVolumeClaim") => claim(object),
        ("v1", "Service") => service(object),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => definition(object),
        _ => conditions(object),
    }
}

/// What a wait takes as ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Jobs must complete; otherwise it is enough that they exist.
    pub jobs: bool,
    /// As Helm 3: a Deployment may lack `maxUnavailable` of its pods, and custom kinds are not looked at.
    pub legacy: bool,
}

/// Kinds that are ready as soon as they exist.
const AT_ONCE: [&str; 27] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "ControllerRevision",
    "CronJob",
    "CSIDriver",
    "EndpointSlice",
    "Endpoints",
    "HorizontalPodAutoscaler",
    "Ingress",
    "IngressClass",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolume",
    "PodDisruptionBudget",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "RuntimeClass",
    "Secret",
    "ServiceAccount",
    "StorageClass",
    "ValidatingWebhookConfiguration",
];

impl Rules {
    /// Whether there is anything to wait for; looks at the object as it is wanted.
    pub fn judges(self, wanted: &Value) -> bool {
        match wanted["kind"].as_str().unwrap_or_default() {
            "Job" => self.jobs,
            "Service" => wanted["spec"]["type"] == "LoadBalancer",
            "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "Pod"
            | "PersistentVolumeClaim"
            | "CustomResourceDefinition" => true,
            kind => !self.legacy && !AT_ONCE.contains(&kind),
        }
    }

    /// Judges one object as the cluster shows it.
    pub fn readiness(self, object: &Value) -> Readiness {
        match readiness(object) {
            Waiting(_) if self.legacy && object["kind"] == "Deployment" && has_enough(object) => Ready,
            judged => judged,
        }
    }
}

/// As many pods of the new version are ready as a rolling update must keep.
fn has_enough(deployment: &Value) -> bool {
    let generation = &deployment["metadata"]["generation"];
    let wanted = wanted(deployment);
    let unavailable = &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
    let unavailable = match (unavailable.as_i64(), unavailable.as_str()) {
        (Some(number), _) => number,
        (None, Some(share)) => {
            share.trim_end_matches('%').parse::<i64>().map_or(0, |share| wanted * share / 100)
        }
        (None, None) => 0,
    };
    deployment["status"]["observedGeneration"].as_i64() >= generation.as_i64()
        && count(deployment, "updatedReplicas") > 0
        && count(deployment, "readyReplicas") >= wanted - unavailable
}

fn count(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

fn wanted(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == name)
}

fn message(condition: &Value) -> String {
    let text = condition["message"].as_str().filter(|text| !text.is_empty());
    text.or(condition["reason"].as_str()).unwrap_or("no reason given").to_owned()
}

fn unseen(object: &Value) -> bool {
    !object["status"]["observedGeneration"].is_number()
}

fn deployment(object: &Value) -> Readiness {
    if let Some(progressing) = condition(object, "Progressing")
        && progressing["reason"] == "ProgressDeadlineExceeded"
    {
        return Failed(message(progressing));
    }
    let wanted = wanted(object);
    if unseen(object) {
        return Waiting(format!("0 of {wanted} ready"));
    }
    let (updated, total, ready) =
        (count(object, "updatedReplicas"), count(object, "replicas"), count(object, "readyReplicas"));
    if updated < wanted {
        return Waiting(format!("{updated} of {wanted} updated"));
    }
    if total > updated {
        return Waiting(format!("{} of the old version still run", total - updated));
    }
    if ready < wanted || count(object, "availableReplicas") < updated {
        return Waiting(format!("{ready} of {wanted} ready"));
    }
    match condition(object, "Available") {
        Some(available) if available["status"] != "True" => Waiting(message(available)),
        _ => Ready,
    }
}

fn stateful_set(object: &Value) -> Readiness {
    let wanted = wanted(object);
    if unseen(object) {
        return Waiting(format!("0 of {wanted} ready"));
    }
    let (ready, total) = (count(object, "readyReplicas"), count(object, "replicas"));
    if total < wanted || ready < wanted {
        return Waiting(format!("{ready} of {wanted} ready"));
    }
    if total > wanted {
        return Waiting(format!("{} too many still run", total - wanted));
    }
    let status = &object["status"];
    let partition = object["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    if partition == 0
        && status["updateRevision"].is_string()
        && status["updateRevision"] != status["currentRevision"]
    {
        return Waiting(format!("{} of {wanted} updated", count(object, "updatedReplicas")));
    }
    Ready
}

fn daemon_set(object: &Value) -> Readiness {
    let wanted = count(object, "desiredNumberScheduled");
    if unseen(object) {
        return Waiting("not seen by its controller yet".into());
    }
    match (count(object, "updatedNumberScheduled"), count(object, "numberReady")) {
        (updated, _) if updated < wanted => Waiting(format!("{updated} of {wanted} updated")),
        (_, ready) if ready < wanted => Waiting(format!("{ready} of {wanted} ready")),
        _ => Ready,
    }
}

fn counted(object: &Value, field: &str, what: &str) -> Readiness {
    let (have, wanted) = (count(object, field), wanted(object));
    if have < wanted { Waiting(format!("{have} of {wanted} {what}")) } else { Ready }
}

fn job(object: &Value) -> Readiness {
    let is_true = |name| condition(object, name).filter(|condition| condition["status"] == "True");
    if let Some(failed) = is_true("Failed") {
        return Failed(message(failed));
    }
    if is_true("Complete").is_some() {
        return Ready;
    }
    Waiting(format!(
        "{} of {} completed",
        count(object, "succeeded"),
        object["spec"]["completions"].as_i64().unwrap_or(1)
    ))
}

fn pod(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str().unwrap_or("Pending") {
        "Succeeded" => Ready,
        "Failed" => Failed(object["status"]["message"].as_str().unwrap_or("it failed").to_owned()),
        _ => match condition(object, "Ready") {
            Some(ready) if ready["status"] == "True" => Ready,
            Some(ready) => Waiting(message(ready)),
            None => Waiting("it has not started".into()),
        },
    }
}

fn claim(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str().unwrap_or("Pending") {
        "Bound" => Ready,
        phase => Waiting(format!("its volume is {phase}")),
    }
}

fn service(object: &Value) -> Readiness {
    let is_balanced = object["spec"]["type"] == "LoadBalancer";
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array();
    if is_balanced && ingress.is_none_or(Vec::is_empty) {
        Waiting("it has no external address yet".into())
    } else {
        Ready
    }
}

fn definition(object: &Value) -> Readiness {
    let is = |name, status: &str| condition(object, name).filter(|condition| condition["status"] == status);
    match (is("NamesAccepted", "False"), is("Established", "True")) {
        (Some(refused), _) => Failed(message(refused)),
        (None, Some(_)) => Ready,
        (None, None) => Waiting("it is not established yet".into()),
    }
}

fn conditions(object: &Value) -> Readiness {
    let set = |name, status: &str| condition(object, name).filter(|condition| condition["status"] == status);
    if let Some(stalled) = set("Stalled", "True") {
        return Failed(message(stalled));
    }
    if let Some(unready) = set("Ready", "False").or_else(|| set("Reconciling", "True")) {
        return Waiting(message(unready));
    }
    Ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(kind: (&str, &str), spec: Value, status: Value, expect: Readiness) {
        let object = json!({ "apiVersion": kind.0, "kind": kind.1, "metadata": { "generation": 2 }, "spec": spec, "status": status });
        assert_eq!(readiness(&object), expect);
    }

    const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");
    const STATEFUL_SET: (&str, &str) = ("apps/v1", "StatefulSet");

    #[test]
    fn a_change_that_was_not_observed_is_waited_for() {
        let expect = Waiting("its controller has not seen the change yet".into());
        check(DEPLOYMENT, json!({}), json!({ "observedGeneration": 1 }), expect);
    }

    #[test]
    fn a_deployment_is_ready_with_all_replicas_new_and_available() {
        let status = json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "conditions": [{ "type": "Available", "status": "True" }] });
        check(DEPLOYMENT, json!({ "replicas": 2 }), status, Ready);
    }

    #[test]
    fn a_deployment_with_old_replicas_is_not() {
        let status = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3, "availableReplicas": 3 });
        check(DEPLOYMENT, json!({ "replicas": 2 }), status, Waiting("1 of the old version still run".into()));
    }

    #[test]
    fn a_passed_deadline_is_a_failure() {
        let condition =
            json!({ "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out" });
        check(DEPLOYMENT, json!({}), json!({ "conditions": [condition] }), Failed("timed out".into()));
    }

    #[test]
    fn a_stateful_set_waits_for_its_new_revision() {
        let status = json!({ "observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updateRevision": "b", "currentRevision": "a" });
        check(STATEFUL_SET, json!({}), status, Waiting("0 of 1 updated".into()));
    }

    #[test]
    fn a_scaled_down_workload_is_ready() {
        check(STATEFUL_SET, json!({ "replicas": 0 }), json!({ "observedGeneration": 2 }), Ready);
    }

    #[test]
    fn a_failed_job_says_why() {
        let condition =
            json!({ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "" });
        check(
            ("batch/v1", "Job"),
            json!({}),
            json!({ "conditions": [condition] }),
            Failed("BackoffLimitExceeded".into()),
        );
    }

    #[test]
    fn an_older_wait_is_content_with_fewer_pods() {
        let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "generation": 1 },
            "spec": { "replicas": 4, "strategy": { "rollingUpdate": { "maxUnavailable": "25%" } } },
            "status": { "observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 3, "availableReplicas": 3 } });
        assert_eq!(Rules { legacy: true, jobs: false }.readiness(&object), Ready);
        assert_eq!(Rules::default().readiness(&object), Waiting("3 of 4 ready".into()));
    }

    #[test]
    fn jobs_are_waited_for_only_when_asked() {
        let job = json!({ "kind": "Job" });
        assert!(!Rules::default().judges(&job) && Rules { jobs: true, legacy: false }.judges(&job));
    }

    #[test]
    fn an_unknown_kind_without_conditions_is_ready() {
        check(("example.com/v1", "Thing"), json!({}), json!({}), Ready);
    }
}
