//! The hook and the probes of a running container, and what their results mean for its pod.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

use super::events::Tone;
use super::handler::{Handler, Place};
use super::probe::{Kind, Timing, Verdict};
use super::tasks::{Prober, post_start};
use super::track::{Role, Track};
use super::worker::Worker;

impl Worker {
    /// Begins hook and probes of a run that has just started or was adopted.
    pub(super) fn watch_run(&mut self, name: &str, started_at: Timestamp) {
        let (Some(container), Some(place)) = (self.container(name), self.place(name)) else { return };
        let Some(track) = self.tracks.get_mut(name) else { return };
        let hook = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref());
        let fresh = !track.started;
        if let (true, Some(hook)) = (fresh, hook) {
            let handler = Handler::of_hook(hook, &container);
            let task = self.tasks.spawn(post_start(handler, name.to_owned(), place, self.news.clone()));
            self.of_run.entry(name.to_owned()).or_default().push(task);
            return;
        }
        self.after_hook(name, &container, started_at);
    }

    /// The hook is done: startup first, then the other probes.
    fn after_hook(&mut self, name: &str, container: &Container, started_at: Timestamp) {
        let Some(track) = self.tracks.get_mut(name) else { return };
        if matches!(track.role, Role::Init | Role::Ephemeral) {
            return;
        }
        match &container.startup_probe {
            Some(probe) if !track.started => self.probe(name, container, Kind::Startup, probe, started_at),
            _ => {
                track.started = true;
                self.probe_started(name, container, started_at);
            }
        }
    }

    fn probe_started(&mut self, name: &str, container: &Container, started_at: Timestamp) {
        match &container.readiness_probe {
            Some(probe) => self.probe(name, container, Kind::Readiness, probe, started_at),
            None => {
                if let Some(track) = self.tracks.get_mut(name) {
                    track.ready = true;
                }
            }
        }
        if let Some(probe) = &container.liveness_probe {
            self.probe(name, container, Kind::Liveness, probe, started_at);
        }
    }

    fn probe(&mut self, name: &str, container: &Container, kind: Kind, probe: &Probe, started_at: Timestamp) {
        let Some(place) = self.place(name) else { return };
        let age_ms = Timestamp::now().as_millisecond() - started_at.as_millisecond();
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        let prober = Prober {
            container: name.to_owned(),
            kind,
            timing: Timing::of(probe),
            handler: Handler::of_probe(probe, container),
            place,
            since: Instant::now().checked_sub(age).unwrap_or_else(Instant::now),
            news: self.news.clone(),
        };
        let task = self.tasks.spawn(prober.run());
        self.of_run.entry(name.to_owned()).or_default().push(task);
    }

    pub(super) fn place(&self, name: &str) -> Option<Place> {
        let running = self.tracks.get(name)?.running()?;
        Some(Place { node: self.cx.node.clone(), container_id: running.id.clone(), pod_ip: self.ip? })
    }

    pub(super) fn take_post_start(&mut self, name: &str, id: &str, result: Result<(), String>) {
        let Some(container) = self.container(name) else { return };
        let Some(running) = self.tracks.get(name).and_then(Track::running).filter(|r| r.id == id) else {
            return;
        };
        let started_at = running.started_at;
        match result {
            Ok(()) => self.after_hook(name, &container, started_at),
            Err(failure) => {
                self.event(
                    Some(name),
                    Tone::Warning,
                    "FailedPostStartHook",
                    format!("PostStartHook failed: {failure}"),
                );
                self.event(Some(name), Tone::Normal, "Killing", "FailedPostStartHook".to_owned());
                self.stop(name, None);
            }
        }
    }

    pub(super) fn take_probe(
        &mut self,
        name: &str,
        id: &str,
        kind: Kind,
        verdict: Verdict,
        failure: Option<String>,
    ) {
        let Some(container) = self.container(name) else { return };
        let Some(track) = self.tracks.get_mut(name) else { return };
        let Some(running) = track.running().filter(|r| r.id == id).cloned() else { return };
        if let Some(failure) = &failure {
            let message = format!("{} probe failed: {failure}", kind.title());
            self.cx.events.pod(&self.pod, Some(name), Tone::Warning, "Unhealthy", message);
        }
        match (kind, verdict) {
            (Kind::Readiness, Verdict::Success) => track.ready = true,
            (Kind::Readiness, Verdict::Failure) => track.ready = false,
            (Kind::Startup, Verdict::Success) if !track.started => {
                track.started = true;
                self.probe_started(name, &container, running.started_at);
            }
            (Kind::Startup | Kind::Liveness, Verdict::Failure) if !running.stopping && !self.deleting() => {
                let kind_name = kind.title().to_ascii_lowercase();
                let message = format!("Container {name} failed {kind_name} probe, will be restarted");
                self.event(Some(name), Tone::Normal, "Killing", message);
                let probe =
                    if kind == Kind::Startup { &container.startup_probe } else { &container.liveness_probe };
                let grace = probe.as_ref().and_then(|p| p.termination_grace_period_seconds);
                self.stop(name, Some(grace.unwrap_or_else(|| self.spec_grace())));
            }
            _ => {}
        }
    }
}
