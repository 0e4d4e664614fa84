//! Why is a workload not ready? Its pods' own words: states, exit codes, events, last log lines.
//!
//! [`trouble`] is pure and decides which pod tells most and whether waiting is of any use; [`evidence`] asks the cluster
//! for what only it has.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt};

/// A container that ended this often right after its start will end again.
const HOPELESS_RESTARTS: i32 = 3;
/// Fewer are enough when everything else is ready: nothing is left that it could be waiting for.
const HOPELESS_RESTARTS_ALONE: i32 = 2;
/// A pod that found no place for this long will not find one by itself; claims and nodes need a moment to appear.
const UNSCHEDULABLE_S: i64 = 15;
const LOG_LINES: i64 = 8;
/// Pods of one hook whose logs are shown; a Job retries.
const MAX_PODS: usize = 3;
/// How long a log may take to come.
const LOG_WAIT: Duration = Duration::from_secs(5);
/// Of one container's log, when all of it is wanted.
const MAX_LOG_BYTES: i64 = 4 << 20;

/// What a pod's status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub pod: String,
    pub container: Option<String>,
    pub why: String,
    /// Waiting longer cannot help.
    pub is_hopeless: bool,
    /// The container's last run is over, so its log is the previous one.
    pub has_ended: bool,
}

/// The worst trouble among `pods`; `alone` when everything else of the release is ready.
pub(crate) fn trouble<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    alone: bool,
    now: Timestamp,
) -> Option<Trouble> {
    let mut troubles: Vec<Trouble> = pods.into_iter().filter_map(|pod| trouble_of(pod, alone, now)).collect();
    troubles.sort_by_key(|trouble| (!trouble.is_hopeless, !trouble.has_ended, trouble.container.is_none()));
    troubles.into_iter().next()
}

fn trouble_of(pod: &Pod, alone: bool, now: Timestamp) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() || is_ready(pod) {
        return None;
    }
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let containers = init.chain(status.container_statuses.iter().flatten());
    let of_container = containers
        .filter(|container| !container.ready)
        .find_map(|container| of_container(pod, container, alone));
    of_container.or_else(|| of_conditions(pod, now))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn of_container(pod: &Pod, container: &ContainerStatus, alone: bool) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0).or(last);
    let waiting = state.waiting.as_ref();
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    if state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0)
        || (waiting.is_none() && ended.is_none())
    {
        return None;
    }
    let why = match (ended, waiting) {
        (Some(ended), _) => {
            let how = match ended.reason.as_deref() {
                Some("OOMKilled") => "was killed: it used more memory than its limit".to_owned(),
                _ => format!("exited with code {}", ended.exit_code),
            };
            format!("container `{}` {how}, restarted {} times", container.name, container.restart_count)
        }
        (None, Some(waiting)) => {
            let message = waiting.message.as_deref().unwrap_or_default();
            format!("container `{}` waits: {reason} {message}", container.name).trim_end().to_owned()
        }
        (None, None) => return None,
    };
    let crashes = if alone { HOPELESS_RESTARTS_ALONE } else { HOPELESS_RESTARTS };
    let no_image = matches!(reason, "ErrImageNeverPull" | "InvalidImageName" | "ImagePullBackOff");
    let is_hopeless = no_image || (ended.is_some() && container.restart_count >= crashes);
    Some(Trouble {
        pod: pod.name_any(),
        container: Some(container.name.clone()),
        why,
        is_hopeless,
        has_ended: ended.is_some(),
    })
}

fn of_conditions(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unmet = conditions.into_iter().find(|condition| condition.status == "False")?;
    let why = unmet
        .message
        .clone()
        .or_else(|| unmet.reason.clone())
        .unwrap_or_else(|| format!("{} is false", unmet.type_));
    let since_s = unmet.last_transition_time.as_ref().map(|time| now.as_second() - time.0.as_second());
    let is_hopeless = unmet.type_ == "PodScheduled"
        && unmet.reason.as_deref() == Some("Unschedulable")
        && since_s.is_some_and(|since_s| since_s > UNSCHEDULABLE_S);
    Some(Trouble { pod: pod.name_any(), container: None, why, is_hopeless, has_ended: false })
}

/// What the cluster adds to a trouble: the last warning about the pod, and the end of its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub event: Option<String>,
    pub log: Vec<String>,
}

/// Asks for it. What cannot be had is left out: the trouble itself has been told already.
pub(crate) async fn evidence(client: &Client, namespace: &str, trouble: &Trouble) -> Evidence {
    Evidence {
        event: last_warning(client, namespace, &trouble.pod).await,
        log: log(client, namespace, trouble).await,
    }
}

async fn last_warning(client: &Client, namespace: &str, pod: &str) -> Option<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let selector = format!("involvedObject.kind=Pod,involvedObject.name={pod},type=Warning");
    let mut found = events.list(&ListParams::default().fields(&selector)).await.ok()?.items;
    found.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    let last = found.pop()?;
    Some(format!("{}: {}", last.reason.unwrap_or_default(), last.message.unwrap_or_default()))
}

/// How much of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogOf {
    /// The last lines.
    End,
    /// Everything, within bounds.
    All,
}

/// A line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub pod: String,
    pub container: String,
    pub text: String,
}

/// The logs of the pods that `selector` finds, container by container: what a hook said.
pub(crate) async fn logs_of(
    client: &Client,
    namespace: &str,
    selector: &ListParams,
    much: LogOf,
) -> Vec<LogLine> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = pods.list(selector).await.map(|list| list.items).unwrap_or_default();
    let mut lines = Vec::new();
    for pod in found.iter().take(MAX_PODS) {
        let spec = pod.spec.iter();
        let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        for container in containers {
            let params = LogParams {
                container: Some(container.name.clone()),
                tail_lines: (much == LogOf::End).then_some(LOG_LINES),
                limit_bytes: Some(MAX_LOG_BYTES),
                ..Default::default()
            };
            let text = written(&pods, &pod.name_any(), &params).await;
            lines.extend(text.lines().map(|line| LogLine {
                pod: pod.name_any(),
                container: container.name.clone(),
                text: line.to_owned(),
            }));
        }
    }
    lines
}

/// A log, or nothing where it cannot be had soon: a node that is gone must not keep us from telling the rest.
async fn written(pods: &Api<Pod>, pod: &str, params: &LogParams) -> String {
    match tokio::time::timeout(LOG_WAIT, pods.logs(pod, params)).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            tracing::debug!(%error, pod, "no log");
            String::new()
        }
        Err(_) => {
            tracing::debug!(pod, "the log does not come");
            String::new()
        }
    }
}

async fn log(client: &Client, namespace: &str, trouble: &Trouble) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut params =
        LogParams { container: trouble.container.clone(), tail_lines: Some(LOG_LINES), ..Default::default() };
    let current = written(&pods, &trouble.pod, &params).await;
    let text = if current.trim().is_empty() && trouble.has_ended {
        params.previous = true;
        written(&pods, &trouble.pod, &params).await
    } else {
        current
    };
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, container: Value) -> Pod {
        let status = json!({ "containerStatuses": [container], "conditions": [{ "type": "Ready", "status": "False", "message": "not ready" }] });
        serde_json::from_value(json!({ "metadata": { "name": name }, "status": status })).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    fn unschedulable(since_s: i64) -> Pod {
        let since = Timestamp::from_second(1_000 - since_s).unwrap().to_string();
        serde_json::from_value(json!({ "metadata": { "name": "a" }, "status": { "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "no node has enough memory", "lastTransitionTime": since }] } }))
        .unwrap()
    }

    #[test]
    fn a_pod_without_a_place_is_hopeless_after_a_moment() {
        check(&[unschedulable(5)], false, "no node has enough memory", false);
        check(&[unschedulable(60)], false, "no node has enough memory", true);
    }

    fn crashing(restarts: i32) -> Value {
        json!({ "name": "web", "ready": false, "restartCount": restarts, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": { "terminated": { "exitCode": 3 } } })
    }

    #[track_caller]
    fn check(pods: &[Pod], alone: bool, expect: &str, hopeless: bool) {
        let found = trouble(pods, alone, now()).unwrap();
        assert_eq!((found.why.as_str(), found.is_hopeless), (expect, hopeless));
    }

    #[test]
    fn a_crash_names_container_and_exit_code() {
        check(
            &[pod("a", crashing(1))],
            false,
            "container `web` exited with code 3, restarted 1 times",
            false,
        );
    }

    #[test]
    fn repeated_crashes_are_hopeless_sooner_when_all_else_is_ready() {
        check(
            &[pod("a", crashing(2))],
            false,
            "container `web` exited with code 3, restarted 2 times",
            false,
        );
        check(&[pod("a", crashing(2))], true, "container `web` exited with code 3, restarted 2 times", true);
        check(&[pod("a", crashing(3))], false, "container `web` exited with code 3, restarted 3 times", true);
    }

    #[test]
    fn an_image_that_cannot_be_had_is_hopeless_at_once() {
        let container = json!({ "name": "web", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } } });
        check(&[pod("a", container)], false, "container `web` waits: ImagePullBackOff no such image", true);
    }

    #[test]
    fn the_pod_that_tells_most_is_chosen() {
        let starting = json!({ "name": "web", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "ContainerCreating" } } });
        let pods = [pod("a", starting), pod("b", crashing(3))];
        assert_eq!(trouble(&pods, false, now()).unwrap().pod, "b");
    }

    #[test]
    fn a_running_container_that_is_not_ready_is_told_by_its_condition() {
        let running = json!({ "name": "web", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": { "running": {} } });
        check(&[pod("a", running)], false, "not ready", false);
    }
}
