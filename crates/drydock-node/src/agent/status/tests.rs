//! What a person sees of a pod in each situation.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::track::{Running, recall};
use super::*;

fn pod(spec: Value) -> Pod {
    let meta = json!({"name": "web-0", "namespace": "shop", "uid": "u1", "generation": 3});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

fn exited(code: i32) -> Phase {
    Phase::Exited(Exited {
        id: "u1.a.0".into(),
        code,
        signal: None,
        reason: if code == 0 { "Completed" } else { "Error" }.into(),
        message: None,
        started_at: Some(Timestamp::UNIX_EPOCH),
        finished_at: Timestamp::UNIX_EPOCH,
    })
}

fn running() -> Phase {
    Phase::Running(Running { id: "u1.a.0".into(), started_at: Timestamp::UNIX_EPOCH, stopping: false })
}

fn view<'a>(pod: &'a Pod, tracks: &'a Tracks) -> View<'a> {
    View {
        pod,
        tracks,
        ip: Some(Ipv4Addr::new(10, 244, 0, 9)),
        host_ip: Ipv4Addr::new(10, 244, 0, 1),
        deleting: false,
        sandbox: true,
        unresized: None,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
        instant: Instant::now(),
    }
}

/// Shows `phase ready/containers restarts waiting-reason`, as `kubectl get pods` would.
#[track_caller]
fn check(spec: Value, change: impl Fn(&mut Tracks), expect: &str) {
    let pod = pod(spec);
    let mut tracks = recall(&pod);
    change(&mut tracks);
    let status = compute(&view(&pod, &tracks));
    let containers = status.container_statuses.unwrap_or_default();
    let ready = containers.iter().filter(|c| c.ready).count();
    let restarts: i32 = containers.iter().map(|c| c.restart_count).sum();
    let reason = containers
        .iter()
        .find_map(|c| c.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .unwrap_or_default();
    let conditions: String = status.conditions.unwrap().iter().map(|c| &c.status[..1]).collect();
    let shown =
        format!("{} {ready}/{} {restarts} {reason} {conditions}", status.phase.unwrap(), containers.len());
    assert_eq!(shown, expect);
}

fn set(tracks: &mut Tracks, name: &str, phase: Phase) {
    let track = tracks.get_mut(name).unwrap();
    track.runs = if matches!(phase, Phase::Waiting { .. }) { 0 } else { 1 };
    track.phase = phase;
}

// The five letters are PodReadyToStartContainers, Initialized, Ready, ContainersReady, PodScheduled.

#[test]
fn a_new_pod_is_being_created() {
    check(json!({"containers": [{"name": "a"}]}), |_| {}, "Pending 0/1 0 ContainerCreating TTFFT");
}

#[test]
fn a_pod_with_init_containers_is_initializing() {
    let spec = json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]});
    check(spec, |t| set(t, "i", running()), "Pending 0/1 0 PodInitializing TFFFT");
}

#[test]
fn a_running_container_counts_as_ready_only_when_it_is() {
    let spec = json!({"containers": [{"name": "a"}]});
    check(spec.clone(), |t| set(t, "a", running()), "Running 0/1 0  TTFFT");
    let ready = |t: &mut Tracks| {
        set(t, "a", running());
        t.get_mut("a").unwrap().ready = true;
    };
    check(spec, ready, "Running 1/1 0  TTTTT");
}

#[test]
fn a_failing_image_is_named() {
    let hold = |t: &mut Tracks| t.get_mut("a").unwrap().hold("ImagePullBackOff", "no".into(), None);
    check(json!({"containers": [{"name": "a"}]}), hold, "Pending 0/1 0 ImagePullBackOff TTFFT");
}

#[test]
fn a_crashing_container_backs_off() {
    let crash = |t: &mut Tracks| {
        set(t, "a", exited(1));
        let track = t.get_mut("a").unwrap();
        track.runs = 3;
        track.retry_at = Some(Instant::now() + Duration::from_secs(10));
    };
    check(json!({"containers": [{"name": "a"}]}), crash, "Running 0/1 2 CrashLoopBackOff TTFFT");
}

#[test]
fn a_pod_that_has_done_its_work_has_succeeded() {
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "a"}]});
    check(spec.clone(), |t| set(t, "a", exited(0)), "Succeeded 0/1 0  TTFFT");
    check(spec, |t| set(t, "a", exited(3)), "Failed 0/1 0  TTFFT");
}

#[test]
fn a_closed_readiness_gate_keeps_the_pod_unready() {
    let ready = |t: &mut Tracks| {
        set(t, "a", running());
        t.get_mut("a").unwrap().ready = true;
    };
    let spec = json!({"readinessGates": [{"conditionType": "x/y"}], "containers": [{"name": "a"}]});
    check(spec, ready, "Running 1/1 0  TTFTT");
}

#[test]
fn transition_times_change_only_with_the_condition() {
    let mut pod = pod(json!({"containers": [{"name": "a"}]}));
    let tracks = recall(&pod);
    let first = compute(&view(&pod, &tracks));
    pod.status = Some(first.clone());
    let mut later = view(&pod, &tracks);
    later.now = Timestamp::from_second(1_800_000_100).unwrap();
    assert_eq!(compute(&later), first);
}

#[test]
fn status_survives_a_restart_of_the_daemon() {
    let mut pod = pod(json!({"containers": [{"name": "a"}]}));
    let mut tracks = recall(&pod);
    set(&mut tracks, "a", exited(1));
    tracks.get_mut("a").unwrap().runs = 4;
    pod.status = Some(compute(&view(&pod, &tracks)));
    let recalled = recall(&pod);
    assert_eq!((recalled["a"].runs, recalled["a"].exited().map(|e| e.code)), (4, Some(1)));
}

#[test]
fn quality_of_service_follows_requests_and_limits() {
    let class =
        |resources: Value| qos_class(&pod(json!({"containers": [{"name": "a", "resources": resources}]})));
    assert_eq!(class(json!({})), "BestEffort");
    assert_eq!(class(json!({"requests": {"cpu": "1"}})), "Burstable");
    assert_eq!(class(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), "Guaranteed");
    assert_eq!(
        class(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})),
        "Burstable"
    );
}
