//! Containers that run get other resources, in place or, where their policy says so, by starting anew.
//!
//! The pod's specification says what is wanted, a track what the present run has. Start at [`Worker::resize`].

use std::time::Instant;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use super::events::Tone;
use super::images::chain;
use super::spec;
use super::track::roles;
use super::worker::{RETRY_MAX, Worker};

impl Worker {
    /// What a container that the daemon finds running was told last: as the API has it, or else as it is wanted.
    pub(super) fn known_resources(&self, name: &str) -> Option<ResourceRequirements> {
        let status = self.pod.status.as_ref();
        let lists = status.map(|s| s.init_container_statuses.iter().chain(&s.container_statuses).flatten());
        let known = lists.into_iter().flatten().find(|c| c.name == name).and_then(|c| c.resources.clone());
        known.or_else(|| Some(self.container(name)?.resources.unwrap_or_default()))
    }

    /// Takes over what containers are to have; nothing else of a specification changes.
    pub(super) fn take_resources(&mut self, pod: &Pod) {
        let Some(wanted) = &pod.spec else { return };
        let lists = [
            (Some(&mut self.spec.containers), Some(&wanted.containers)),
            (self.spec.init_containers.as_mut(), wanted.init_containers.as_ref()),
        ];
        for (ours, theirs) in lists {
            for container in ours.into_iter().flatten() {
                let found = theirs.into_iter().flatten().find(|one| one.name == container.name);
                if let Some(found) = found {
                    container.resources.clone_from(&found.resources);
                    container.resize_policy.clone_from(&found.resize_policy);
                }
            }
        }
    }

    /// Gives each running container what it is to have, if it has something else.
    pub(super) async fn resize(&mut self) {
        if self.deleting() || self.finished {
            return;
        }
        let mut failed = None;
        for container in self.outgrown() {
            let name = container.name.clone();
            let wanted = container.resources.clone().unwrap_or_default();
            let Some(track) = self.tracks.get_mut(&name) else { continue };
            let Some(id) = track.running().map(|running| running.id.clone()) else { continue };
            if starts_anew(&container, track.resources.as_ref(), &wanted) {
                let why = format!("Container {name} resize requires restart");
                self.event(Some(&name), Tone::Normal, "Killing", why);
                self.stop(&name, None);
                continue;
            }
            match self.cx.node.resize_container(&id, spec::resources(&self.pod, &container)).await {
                Ok(()) => track.resources = Some(wanted),
                Err(error) => failed = Some((name, chain(&error))),
            }
        }
        if let Some((name, why)) = &failed {
            if self.unresized.as_ref() != Some(why) {
                self.event(Some(name), Tone::Warning, "ResizeError", why.clone());
            }
            self.retry_at = Some(Instant::now() + RETRY_MAX);
        }
        self.unresized = failed.map(|(_, why)| why);
    }

    fn outgrown(&self) -> Vec<Container> {
        let running = roles(&self.spec).map(|(container, _)| container).filter(|container| {
            let track = self.tracks.get(&container.name);
            track.filter(|track| track.running().is_some_and(|running| !running.stopping)).is_some_and(
                |track| {
                    let has = track.resources.as_ref();
                    has.is_some_and(|has| *has != container.resources.clone().unwrap_or_default())
                },
            )
        });
        running.cloned().collect()
    }
}

/// Whether what changes can only change with a restart.
fn starts_anew(
    container: &Container,
    has: Option<&ResourceRequirements>,
    wanted: &ResourceRequirements,
) -> bool {
    let amounts = |resources: &ResourceRequirements, name: &str| {
        [&resources.limits, &resources.requests]
            .map(|side| side.as_ref().and_then(|side| side.get(name)).cloned())
    };
    let changed = |name: &str| has.is_some_and(|has| amounts(has, name) != amounts(wanted, name));
    let policies = container.resize_policy.iter().flatten();
    policies
        .filter(|policy| policy.restart_policy == "RestartContainer")
        .any(|policy| changed(&policy.resource_name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(policy: Value, wanted: Value, expect: bool) {
        let read = |value: Value| serde_json::from_value::<ResourceRequirements>(value).unwrap();
        let container = json!({ "name": "c", "resizePolicy": policy });
        let has = read(json!({ "limits": { "cpu": "1", "memory": "1Gi" } }));
        let container: Container = serde_json::from_value(container).unwrap();
        assert_eq!(starts_anew(&container, Some(&has), &read(wanted)), expect);
    }

    #[test]
    fn only_a_change_whose_policy_says_so_restarts() {
        let memory = || {
            json!([{ "resourceName": "cpu", "restartPolicy": "NotRequired" },
            { "resourceName": "memory", "restartPolicy": "RestartContainer" }])
        };
        check(memory(), json!({ "limits": { "cpu": "2", "memory": "1Gi" } }), false);
        check(memory(), json!({ "limits": { "cpu": "1", "memory": "2Gi" } }), true);
        check(json!([]), json!({ "limits": { "cpu": "1", "memory": "2Gi" } }), false);
    }
}
