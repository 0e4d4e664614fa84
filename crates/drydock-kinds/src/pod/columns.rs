//! The table of pods. STATUS tells in one word what a person would want to know first.

use jiff::Timestamp;
use serde_json::Value;

use super::{is_sidecar, is_started};
use crate::cells::or_none;
use crate::column::{Column, age};
use crate::read::{flag, has_condition, list, number, text};

pub(super) const COLUMNS: &[Column] = &[
    Column::compute("Ready", |pod, _| {
        let summary = summary(pod);
        Value::from(format!("{}/{}", summary.ready, summary.total))
    })
    .describe("How many containers are ready, of how many."),
    Column::compute("Status", |pod, _| Value::from(summary(pod).status)),
    Column::compute("Restarts", restarts),
    Column::age(),
    Column::compute("IP", |pod, _| or_none(text(pod, "/status/podIP"))).wide(),
    Column::compute("Node", |pod, _| or_none(text(pod, "/spec/nodeName"))).wide(),
    Column::compute("Nominated Node", |pod, _| or_none(text(pod, "/status/nominatedNodeName"))).wide(),
    Column::compute("Readiness Gates", |pod, _| readiness_gates(pod)).wide(),
];

#[derive(Debug, Default)]
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Value>,
    status: String,
}

fn restarts(pod: &Value, now: Timestamp) -> Value {
    let summary = summary(pod);
    Value::from(match summary.last_restart {
        Some(stamp) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, age(Some(&stamp), now))
        }
        _ => summary.restarts.to_string(),
    })
}

fn summary(pod: &Value) -> Summary {
    let init = list(pod, "/spec/initContainers");
    let sidecars = init.iter().filter(|container| is_sidecar(container)).count();
    let mut summary = Summary { total: list(pod, "/spec/containers").len() + sidecars, ..Summary::default() };
    summary.status = phase(pod).to_owned();
    let initializing = init_containers(pod, init, &mut summary);
    if !initializing || has_condition(pod, "Initialized") {
        if !initializing {
            count_sidecar_restarts(pod, init, &mut summary);
        }
        main_containers(pod, &mut summary);
    }
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        summary.status = deleted(pod, summary.status);
    }
    summary
}

fn phase(pod: &Value) -> &str {
    let gated = list(pod, "/status/conditions").iter().any(|condition| {
        text(condition, "/type") == "PodScheduled" && text(condition, "/reason") == "SchedulingGated"
    });
    match (gated, text(pod, "/status/reason")) {
        (true, _) => "SchedulingGated",
        (false, "") => text(pod, "/status/phase"),
        (false, reason) => reason,
    }
}

fn deleted(pod: &Value, status: String) -> String {
    match (text(pod, "/status/reason"), text(pod, "/status/phase")) {
        ("NodeLost", _) => "Unknown".to_owned(),
        (_, "Succeeded" | "Failed") => status,
        _ => "Terminating".to_owned(),
    }
}

/// Returns whether the pod still waits for an init container, and says which in the status.
fn init_containers(pod: &Value, specs: &[Value], summary: &mut Summary) -> bool {
    for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        count_restarts(status, summary);
        let sidecar = specs.iter().any(|spec| spec["name"] == status["name"] && is_sidecar(spec));
        let ended = status.pointer("/state/terminated");
        let waiting = text(status, "/state/waiting/reason");
        match ended {
            Some(ended) if number(ended, "/exitCode") == 0 => continue,
            _ if sidecar && is_started(status) => {
                summary.ready += usize::from(flag(status, "/ready"));
                continue;
            }
            Some(ended) => summary.status = format!("Init:{}", end_reason(ended)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                summary.status = format!("Init:{waiting}");
            }
            None => summary.status = format!("Init:{index}/{}", specs.len()),
        }
        return true;
    }
    false
}

/// Once a pod runs, restarts of finished init containers no longer count.
fn count_sidecar_restarts(pod: &Value, specs: &[Value], summary: &mut Summary) {
    (summary.restarts, summary.last_restart) = (0, None);
    for status in list(pod, "/status/initContainerStatuses") {
        if specs.iter().any(|spec| spec["name"] == status["name"] && is_sidecar(spec)) {
            count_restarts(status, summary);
        }
    }
}

fn main_containers(pod: &Value, summary: &mut Summary) {
    let (mut running, mut failure) = (false, None);
    for status in list(pod, "/status/containerStatuses").iter().rev() {
        count_restarts(status, summary);
        let waiting = text(status, "/state/waiting/reason");
        let ended = status.pointer("/state/terminated");
        if !waiting.is_empty() {
            summary.status = waiting.to_owned();
        } else if let Some(ended) = ended {
            summary.status = end_reason(ended);
            if number(ended, "/exitCode") != 0 {
                failure = Some(summary.status.clone());
            }
        } else if flag(status, "/ready") && status.pointer("/state/running").is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.status == "Completed" {
        let ready = has_condition(pod, "Ready");
        summary.status = match (running, ready, failure) {
            (true, true, _) => "Running".to_owned(),
            (_, _, Some(failure)) => failure,
            (true, false, None) => "NotReady".to_owned(),
            (false, _, None) => "Completed".to_owned(),
        };
    }
}

fn count_restarts(status: &Value, summary: &mut Summary) {
    summary.restarts += number(status, "/restartCount");
    let finished = status.pointer("/lastState/terminated/finishedAt");
    // Times in one format and zone compare as texts.
    let later =
        |stamp: &&Value| summary.last_restart.as_ref().is_none_or(|known| known.as_str() < stamp.as_str());
    if let Some(stamp) = finished.filter(later) {
        summary.last_restart = Some(stamp.clone());
    }
}

fn end_reason(ended: &Value) -> String {
    match (text(ended, "/reason"), number(ended, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(ended, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return or_none("");
    }
    let open = gates.iter().filter(|gate| has_condition(pod, text(gate, "/conditionType"))).count();
    Value::from(format!("{open}/{}", gates.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pod: Value, expect: &str) {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().expect("a time");
        let cells: Vec<String> = COLUMNS[..3]
            .iter()
            .map(|column| column.value(&pod, now).as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(cells.join(" | "), expect);
    }

    fn pod(status: Value) -> Value {
        json!({"spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "j"}]}, "status": status})
    }

    #[test]
    fn a_new_pod_is_pending() {
        check(pod(json!({"phase": "Pending"})), "0/1 | Pending | 0");
    }

    #[test]
    fn a_ready_pod_is_running() {
        check(
            pod(
                json!({"phase": "Running", "containerStatuses": [{"ready": true, "state": {"running": {}}, "restartCount": 0}]}),
            ),
            "1/1 | Running | 0",
        );
    }

    #[test]
    fn an_unfinished_init_container_is_counted() {
        check(
            pod(json!({"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "state": {"terminated": {"exitCode": 0}}}, {"name": "j", "state": {"running": {}}}]})),
            "0/1 | Init:1/2 | 0",
        );
    }

    #[test]
    fn a_failed_init_container_tells_why() {
        check(
            pod(json!({"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})),
            "0/1 | Init:CrashLoopBackOff | 2",
        );
    }

    #[test]
    fn a_crashing_container_shows_when_it_last_restarted() {
        check(
            pod(json!({"phase": "Running", "containerStatuses": [{"restartCount": 3,
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:59:30Z"}},
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})),
            "0/1 | CrashLoopBackOff | 3 (30s ago)",
        );
    }

    #[test]
    fn a_finished_pod_is_completed_and_a_failed_one_says_its_reason() {
        let ended = |code: i64, reason: &str| {
            pod(json!({"phase": "Succeeded", "containerStatuses": [
                {"state": {"terminated": {"exitCode": code, "reason": reason}}}]}))
        };
        check(ended(0, "Completed"), "0/1 | Completed | 0");
        check(ended(1, "Error"), "0/1 | Error | 0");
        check(ended(3, ""), "0/1 | ExitCode:3 | 0");
    }

    #[test]
    fn a_deleted_pod_is_terminating() {
        let mut deleted = pod(json!({"phase": "Running"}));
        deleted["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        check(deleted, "0/1 | Terminating | 0");
    }
}
