//! What to do next for a pod. Pure: all judgement about a pod's life is here.
//!
//! One step at a time: the worker does it, and asks again. Start at [`next`].

use std::time::Instant;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::track::{Phase, Role, Track, Tracks, roles};

/// What one look at a pod found.
pub struct View<'a> {
    pub spec: &'a PodSpec,
    pub tracks: &'a Tracks,
    pub deleting: bool,
    /// Sandbox and volumes are there.
    pub set_up: bool,
    /// No new try to set up before.
    pub set_up_retry_at: Option<Instant>,
    pub now: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make sandbox and volumes.
    SetUp,
    /// Get the image of a container, in the background.
    Pull(String),
    Start(String),
    /// Begin to stop a container gracefully.
    Stop(String),
    /// Everything has ended and must not start again: remove the sandbox.
    Finish,
    /// Nothing can be done until something happens, or this moment comes.
    Wait(Option<Instant>),
}

/// How a pod that will do nothing more has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
}

pub fn next(view: &View<'_>) -> Step {
    if view.deleting || outcome(view.spec, view.tracks).is_some() {
        return wind_down(view);
    }
    let mut wake = None;
    if let Some(step) = pull(view, &mut wake) {
        return step;
    }
    if !view.set_up {
        return match view.set_up_retry_at.filter(|at| *at > view.now) {
            Some(at) => Step::Wait(earlier(wake, at)),
            None => Step::SetUp,
        };
    }
    if let Some(step) = look_inside(view, &mut wake) {
        return step;
    }
    start(view, wake)
}

/// Ephemeral containers run once, as soon as their image is there, whatever the others do.
fn look_inside(view: &View<'_>, wake: &mut Option<Instant>) -> Option<Step> {
    let idle = |track: &Track| {
        track.role == Role::Ephemeral && track.runs == 0 && matches!(track.phase, Phase::Waiting { .. })
    };
    for (name, track) in view.tracks.iter().filter(|(_, track)| idle(track) && !track.pulling) {
        if track.is_due(view.now) {
            let fetched = track.image.is_some();
            return Some(if fetched { Step::Start(name.clone()) } else { Step::Pull(name.clone()) });
        }
        *wake = track.retry_at.map_or(*wake, |at| earlier(*wake, at));
    }
    None
}

/// The end of the pod, once its containers and restart policy leave nothing to do.
pub fn outcome(spec: &PodSpec, tracks: &Tracks) -> Option<Outcome> {
    let mut failed = false;
    for (container, role) in roles(spec) {
        let track = tracks.get(&container.name)?;
        match (role, &track.phase) {
            (Role::Sidecar, _) => {}
            (Role::Init, Phase::Exited(exited)) if exited.code == 0 => {}
            (Role::Init, Phase::Exited(_)) if policy(spec, container) == "Never" => {
                return Some(Outcome::Failed);
            }
            (Role::Init, _) => return None,
            (Role::Main, Phase::Exited(exited)) => {
                if restarts(policy(spec, container), exited.code) {
                    return None;
                }
                failed |= exited.code != 0;
            }
            (Role::Main, _) => return None,
            (Role::Ephemeral, _) => {}
        }
    }
    Some(if failed { Outcome::Failed } else { Outcome::Succeeded })
}

fn policy<'a>(spec: &'a PodSpec, container: &'a Container) -> &'a str {
    container.restart_policy.as_deref().or(spec.restart_policy.as_deref()).unwrap_or("Always")
}

fn restarts(policy: &str, code: i32) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

/// Main containers stop together, sidecars after them, the last declared first.
fn wind_down(view: &View<'_>) -> Step {
    let mut sidecars = Vec::new();
    let mut waiting = false;
    for (container, role) in roles(view.spec) {
        let Some(running) = view.tracks.get(&container.name).and_then(Track::running) else { continue };
        if role == Role::Sidecar {
            sidecars.push((container, running));
        } else if running.stopping {
            waiting = true;
        } else {
            return Step::Stop(container.name.clone());
        }
    }
    match sidecars.pop() {
        _ if waiting => Step::Wait(None),
        Some((container, running)) if !running.stopping => Step::Stop(container.name.clone()),
        Some(_) => Step::Wait(None),
        None => Step::Finish,
    }
}

/// Images are fetched early and side by side; they are needed one after the other.
fn pull(view: &View<'_>, wake: &mut Option<Instant>) -> Option<Step> {
    for (container, _) in roles(view.spec) {
        let Some(track) = view.tracks.get(&container.name) else { continue };
        let idle = matches!(track.phase, Phase::Waiting { .. });
        if !idle || track.image.is_some() || track.pulling {
            continue;
        }
        if track.is_due(view.now) {
            return Some(Step::Pull(container.name.clone()));
        }
        *wake = track.retry_at.map_or(*wake, |at| earlier(*wake, at));
    }
    None
}

fn start(view: &View<'_>, mut wake: Option<Instant>) -> Step {
    let initialized = is_initialized(view.spec, view.tracks);
    for (container, role) in roles(view.spec) {
        let Some(track) = view.tracks.get(&container.name) else { continue };
        if role == Role::Main && !initialized {
            break;
        }
        let (may_start, passes) = match (&track.phase, role) {
            (Phase::Running(_), Role::Sidecar) => (false, track.started),
            (Phase::Running(_), _) => (false, role == Role::Main),
            (Phase::Exited(exited), Role::Init) => (exited.code != 0, exited.code == 0),
            (Phase::Exited(exited), Role::Main) => {
                (restarts(policy(view.spec, container), exited.code), true)
            }
            (Phase::Exited(_), Role::Sidecar) => (true, initialized),
            (Phase::Waiting { .. }, _) => (true, role == Role::Main || initialized),
            // Never among the declared ones; see `look_inside`.
            (Phase::Exited(_), Role::Ephemeral) => (false, true),
        };
        // An init container that has done its work is not done again while others restart.
        let may_start = may_start && !(role == Role::Init && initialized);
        if may_start && track.image.is_none() {
            // Waiting ones are being pulled; an adopted container that ended needs its image again.
            if !track.pulling && track.is_due(view.now) {
                return Step::Pull(container.name.clone());
            }
            wake = track.retry_at.map_or(wake, |at| earlier(wake, at));
        } else if may_start && track.is_due(view.now) {
            return Step::Start(container.name.clone());
        } else if may_start {
            wake = track.retry_at.map_or(wake, |at| earlier(wake, at));
        }
        if !passes {
            break;
        }
    }
    Step::Wait(wake)
}

/// All init containers have ended well and all sidecars have been seen started.
pub fn is_initialized(spec: &PodSpec, tracks: &Tracks) -> bool {
    let main_ran = spec.containers.iter().any(|c| tracks.get(&c.name).is_some_and(|t| t.runs > 0));
    main_ran
        || roles(spec).all(|(container, role)| {
            let track = tracks.get(&container.name);
            match role {
                Role::Init => track.and_then(Track::exited).is_some_and(|e| e.code == 0),
                Role::Sidecar => track.is_some_and(|t| t.running().is_some() && t.started),
                Role::Main | Role::Ephemeral => true,
            }
        })
}

fn earlier(known: Option<Instant>, at: Instant) -> Option<Instant> {
    Some(known.map_or(at, |known| known.min(at)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::super::images::ReadyImage;
    use super::super::track::{Exited, Running};
    use super::*;

    /// Containers are `name:state`; a name with `i` in front is an init container, with `s` a sidecar,
    /// with `e` an ephemeral one. States:
    /// `new`, `pulling`, `image`, `run`, `up` (started), `stopping`, `exit<code>`, `crash<code>` (backing off).
    #[track_caller]
    fn check(policy: &str, containers: &str, deleting: bool, set_up: bool, expect: &str) {
        let now = Instant::now();
        let mut tracks = Tracks::new();
        let (mut init, mut mains) = (Vec::<Value>::new(), Vec::<Value>::new());
        for word in containers.split(' ') {
            let (name, state) = word.split_once(':').unwrap();
            let role = match &name[..1] {
                "i" => Role::Init,
                "s" => Role::Sidecar,
                "e" => Role::Ephemeral,
                _ => Role::Main,
            };
            match role {
                Role::Init => init.push(json!({"name": name})),
                Role::Sidecar => init.push(json!({"name": name, "restartPolicy": "Always"})),
                Role::Main => mains.push(json!({"name": name})),
                Role::Ephemeral => {}
            }
            tracks.insert(name.to_owned(), track(role, state, now));
        }
        let spec: PodSpec = serde_json::from_value(
            json!({"initContainers": init, "containers": mains, "restartPolicy": policy}),
        )
        .unwrap();
        let view = View { spec: &spec, tracks: &tracks, deleting, set_up, set_up_retry_at: None, now };
        let shown = match next(&view) {
            Step::SetUp => "set up".to_owned(),
            Step::Pull(name) => format!("pull {name}"),
            Step::Start(name) => format!("start {name}"),
            Step::Stop(name) => format!("stop {name}"),
            Step::Finish => "finish".to_owned(),
            Step::Wait(None) => "wait".to_owned(),
            Step::Wait(Some(at)) => format!("wait {} s", (at - now).as_secs()),
        };
        assert_eq!(shown, expect, "{containers}");
    }

    fn track(role: Role, state: &str, now: Instant) -> Track {
        let mut track = Track::new(role);
        track.image = Some(ReadyImage::default());
        let running = |stopping| {
            Phase::Running(Running { id: "x".into(), started_at: Timestamp::UNIX_EPOCH, stopping })
        };
        let ended = |code: &str| {
            Phase::Exited(Exited {
                id: "x".into(),
                code: code.parse().unwrap(),
                signal: None,
                reason: String::new(),
                message: None,
                started_at: None,
                finished_at: Timestamp::UNIX_EPOCH,
            })
        };
        match state {
            "new" => track.image = None,
            "pulling" => (track.image, track.pulling) = (None, true),
            "image" => {}
            "run" => (track.phase, track.runs) = (running(false), 1),
            "up" => (track.phase, track.runs, track.started) = (running(false), 1, true),
            "stopping" => (track.phase, track.runs) = (running(true), 1),
            other if other.starts_with("exit") => (track.phase, track.runs) = (ended(&other[4..]), 1),
            other => {
                (track.phase, track.runs) = (ended(&other[5..]), 1);
                track.retry_at = Some(now + Duration::from_secs(10));
            }
        }
        track
    }

    #[test]
    fn images_are_fetched_while_the_sandbox_is_made() {
        check("Always", "a:new b:new", false, false, "pull a");
        check("Always", "a:pulling b:new", false, false, "pull b");
        check("Always", "a:pulling b:pulling", false, false, "set up");
        check("Always", "a:pulling b:pulling", false, true, "wait");
    }
    #[test]
    fn main_containers_start_in_order() {
        check("Always", "a:image b:image", false, true, "start a");
        check("Always", "a:run b:image", false, true, "start b");
        check("Always", "a:run b:run", false, true, "wait");
        check("Always", "a:pulling b:image", false, true, "start b");
    }
    #[test]
    fn init_containers_run_one_after_the_other() {
        check("Always", "i1:image i2:image a:image", false, true, "start i1");
        check("Always", "i1:run i2:image a:image", false, true, "wait");
        check("Always", "i1:exit0 i2:image a:image", false, true, "start i2");
        check("Always", "i1:exit0 i2:exit0 a:image", false, true, "start a");
    }
    #[test]
    fn a_failed_init_container_is_tried_again_unless_never() {
        check("Always", "i1:crash1 a:image", false, true, "wait 10 s");
        check("Always", "i1:exit1 a:image", false, true, "start i1");
        check("Never", "i1:exit1 a:image", false, true, "finish");
    }
    #[test]
    fn a_sidecar_must_have_started_before_the_next_container() {
        check("Always", "s1:run a:image", false, true, "wait");
        check("Always", "s1:up a:image", false, true, "start a");
        check("Always", "s1:exit1 a:run", false, true, "start s1");
    }
    #[test]
    fn a_finished_init_container_is_not_run_again_when_the_main_one_restarts() {
        check("Always", "i1:exit0 a:exit1", false, true, "start a");
    }
    #[test]
    fn an_ephemeral_container_runs_once_and_nothing_depends_on_it() {
        check("Always", "a:run e:new", false, true, "pull e");
        check("Always", "a:run e:image", false, true, "start e");
        check("Always", "a:run e:exit1", false, true, "wait");
        check("Never", "a:exit0 e:run", false, true, "finish");
    }
    #[test]
    fn restart_follows_the_policy() {
        check("Always", "a:exit0", false, true, "start a");
        check("Always", "a:crash1", false, true, "wait 10 s");
        check("OnFailure", "a:exit1", false, true, "start a");
        check("OnFailure", "a:exit0", false, true, "finish");
        check("Never", "a:exit1", false, true, "finish");
        check("Never", "a:exit1 b:run", false, true, "wait");
    }
    #[test]
    fn deletion_stops_main_containers_together_and_sidecars_after_them() {
        check("Always", "s1:up s2:up a:run b:run", true, true, "stop a");
        check("Always", "s1:up s2:up a:stopping b:run", true, true, "stop b");
        check("Always", "s1:up s2:up a:stopping b:stopping", true, true, "wait");
        check("Always", "s1:up s2:up a:exit0 b:exit0", true, true, "stop s2");
        check("Always", "s1:up s2:exit0 a:exit0 b:exit0", true, true, "stop s1");
        check("Always", "s1:exit0 a:exit137", true, true, "finish");
    }
    #[test]
    fn a_deleted_pod_that_never_ran_is_finished_at_once() {
        check("Always", "a:new", true, false, "finish");
    }
    #[test]
    fn sidecars_end_with_the_work() {
        check("Never", "s1:up a:exit0", false, true, "stop s1");
    }
}
