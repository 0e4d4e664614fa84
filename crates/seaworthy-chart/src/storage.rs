//! What is mounted into a container, and what the cluster has to make for it.
//!
//! A StatefulSet owns the claims of volumes that only it uses. Volumes that several services share, or that a
//! Deployment uses, are claims of the app. Paths that must be writable although the root is not are emptyDirs.

use std::collections::BTreeSet;

use seaworthy_app::{App, FileMount, FileSource, Mount, Service, Volume, WorkloadKind, known_image};

use crate::component::Component;

const DEFAULT_SIZE_BYTES: u64 = 1 << 30;

#[derive(Debug, Default, PartialEq)]
pub struct Storage<'a> {
    /// Claims made from a template of the StatefulSet.
    pub own: Vec<Claimed<'a>>,
    /// Claims of the app.
    pub shared: Vec<Claimed<'a>>,
    pub empty: Vec<Empty>,
    pub configs: Vec<&'a FileMount>,
    pub secrets: Vec<&'a FileMount>,
    /// Paths of the host, which no cluster has.
    pub left_out: Vec<&'a str>,
}

#[derive(Debug, PartialEq)]
pub struct Claimed<'a> {
    pub volume: &'a Volume,
    pub target: &'a str,
    pub read_only: bool,
    pub sub_path: Option<&'a str>,
}

#[derive(Debug, PartialEq)]
pub struct Empty {
    /// Name of the pod's volume.
    pub name: String,
    pub target: String,
    /// Memory instead of the node's disk.
    pub in_memory: bool,
    pub size_bytes: Option<u64>,
}

pub fn decide<'a>(app: &'a App, service: &'a Service, read_only_root: bool) -> Storage<'a> {
    let mut storage = Storage::default();
    for mount in &service.mounts {
        match mount {
            Mount::Volume { volume, target, read_only, sub_path } => {
                let Some(volume) = app.volume(volume) else { continue };
                let claimed =
                    Claimed { volume, target, read_only: *read_only, sub_path: sub_path.as_deref() };
                if owns(app, service, volume) {
                    storage.own.push(claimed)
                } else {
                    storage.shared.push(claimed)
                }
            }
            Mount::Anonymous { target } => storage.empty(target, false, None),
            Mount::Tmpfs { target, size_bytes } => storage.empty(target, true, *size_bytes),
            Mount::Bind { target, .. } => storage.left_out.push(target),
        }
    }
    for path in writable_paths(service, read_only_root) {
        if !service.mounts.iter().any(|mount| covers(mount.target(), path)) {
            storage.empty(path, false, None);
        }
    }
    for file in &service.files {
        match file.source {
            FileSource::Config(_) => storage.configs.push(file),
            FileSource::Secret(_) => storage.secrets.push(file),
        }
    }
    storage
}

impl Storage<'_> {
    fn empty(&mut self, target: &str, in_memory: bool, size_bytes: Option<u64>) {
        let name = volume_name(target);
        self.empty.push(Empty { name, target: target.to_owned(), in_memory, size_bytes });
    }
}

fn owns(app: &App, service: &Service, volume: &Volume) -> bool {
    let uses = |other: &&Service| {
        other
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Volume { volume: name, .. } if *name == volume.name))
    };
    service.workload.kind == WorkloadKind::StatefulSet
        && volume.external.is_none()
        && app.services.iter().filter(uses).count() == 1
}

/// What an image with a read-only root still writes. A data store without a volume loses its data with its pod.
fn writable_paths(service: &Service, read_only_root: bool) -> Vec<&'static str> {
    match service.foreign_image().and_then(known_image) {
        Some(known) => known.writable.iter().copied().chain([known.data_dir]).collect(),
        None if read_only_root => vec!["/tmp"],
        None => Vec::new(),
    }
}

fn covers(target: &str, path: &str) -> bool {
    let target = target.trim_end_matches('/');
    path == target || path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
}

/// `/var/run/postgresql` as `var-run-postgresql`.
pub fn volume_name(path: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut name: String = path.trim_matches('/').chars().map(safe).collect();
    name.truncate(50);
    let name = name.trim_matches('-');
    if name.is_empty() { "root".to_owned() } else { name.to_owned() }
}

/// Volumes that become claims of the app, each once.
pub fn shared_claims<'a>(app: &'a App, components: &[Component<'a>]) -> Vec<&'a Volume> {
    let used: BTreeSet<&str> = components
        .iter()
        .flat_map(|component| component.storage.shared.iter().map(|claimed| claimed.volume.name.as_str()))
        .collect();
    app.volumes
        .iter()
        .filter(|volume| volume.external.is_none() && used.contains(volume.name.as_str()))
        .collect()
}

/// The name of the claim that holds a volume of the app.
pub fn claim_name(volume: &Volume) -> &str {
    volume.external.as_deref().unwrap_or(&volume.name)
}

pub fn size(volume: &Volume) -> String {
    crate::limits::memory(volume.size_bytes.unwrap_or(DEFAULT_SIZE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_covers_itself_and_what_lies_below() {
        assert!(covers("/data", "/data") && covers("/var/lib/", "/var/lib/x"));
        assert!(!covers("/dat", "/data"));
    }

    #[test]
    fn paths_become_names_of_volumes() {
        assert_eq!(volume_name("/var/run/postgresql"), "var-run-postgresql");
        assert_eq!(volume_name("/"), "root");
        assert_eq!(volume_name("/My_Files/"), "my-files");
    }
}
