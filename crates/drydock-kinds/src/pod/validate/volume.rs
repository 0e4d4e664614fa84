//! Checks of volumes and their sources.

use std::collections::HashSet;

use kubernetes_quantity::Quantity;
use serde_json::Value;

use super::choice;
use super::container::resource_field;
use crate::field::{FieldError, Path};
use crate::persistentvolumeclaim;
use crate::read::{entries, list, number, text};
use crate::rules::{self, check, check_required};

const MAX_MODE: i64 = 0o777;
const SHORTEST_TOKEN_S: i64 = 600;
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// Fields of a pod that a file may show.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

pub(super) fn all(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        let at = path.index(index);
        let name = text(volume, "/name");
        let broken = source(volume, &at);
        let bad = check_required(rules::label, volume, "name", &at);
        // A volume that is wrong otherwise does not take its name.
        let is_sound = broken.is_empty() && bad.is_empty();
        errors.extend(broken.into_iter().chain(bad));
        if seen.contains(name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        } else if is_sound {
            seen.insert(name);
        }
    }
    errors
}

fn source(volume: &Value, path: &Path) -> Vec<FieldError> {
    let sources: Vec<&String> =
        entries(volume, "").map(|(key, _)| key).filter(|key| *key != "name").collect();
    match sources.as_slice() {
        [] => vec![FieldError::required(path, "must specify a volume type")],
        [one] => one_source(one, &volume[one.as_str()], &path.child(one)),
        [_, second, ..] => {
            vec![FieldError::forbidden(&path.child(second), "may not specify more than 1 volume type")]
        }
    }
}

/// The source of a pod's volume or of a PersistentVolume, as far as they are alike.
pub(crate) fn one_source(kind: &str, source: &Value, path: &Path) -> Vec<FieldError> {
    let needed = |fields: &[&str]| -> Vec<FieldError> {
        let missing = fields.iter().filter(|field| text(source, &format!("/{field}")).is_empty());
        missing.map(|field| FieldError::required(&path.child(field), "")).collect()
    };
    match kind {
        "emptyDir" => {
            let limit = text(source, "/sizeLimit");
            let negative = Quantity::parse(limit).is_some_and(|limit| limit < Quantity::ZERO);
            let detail = "SizeLimit field must be a valid resource quantity";
            negative.then(|| FieldError::forbidden(&path.child("sizeLimit"), detail)).into_iter().collect()
        }
        "hostPath" => host_path(source, path),
        "secret" => [needed(&["secretName"]), files(source, path)].concat(),
        "configMap" => [needed(&["name"]), files(source, path)].concat(),
        "persistentVolumeClaim" => needed(&["claimName"]),
        "projected" => projected(source, path),
        "downwardAPI" => [mode(source, path), downward(source, path)].concat(),
        "nfs" => {
            let mut errors = needed(&["server", "path"]);
            let place = text(source, "/path");
            if !place.is_empty() && !place.starts_with('/') {
                errors.push(FieldError::invalid(&path.child("path"), place, "must be an absolute path"));
            }
            errors
        }
        "csi" => needed(&["driver"]),
        "iscsi" => iscsi(source, path),
        "ephemeral" => match source.get("volumeClaimTemplate") {
            None => vec![FieldError::required(&path.child("volumeClaimTemplate"), "")],
            Some(template) => persistentvolumeclaim::check_spec(
                &template["spec"],
                &path.child("volumeClaimTemplate").child("spec"),
            ),
        },
        _ => Vec::new(),
    }
}

fn host_path(source: &Value, path: &Path) -> Vec<FieldError> {
    let place = text(source, "/path");
    if place.is_empty() {
        return vec![FieldError::required(&path.child("path"), "")];
    }
    let mut errors: Vec<FieldError> = climbs(place, &path.child("path")).into_iter().collect();
    errors.extend(choice(source, path, "type", &HOST_PATH_TYPES));
    errors
}

fn iscsi(source: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(source, "/targetPortal").is_empty() {
        errors.push(FieldError::required(&path.child("targetPortal"), ""));
    }
    let name = text(source, "/iqn");
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("iqn"), ""));
    } else if !["iqn", "eui", "naa"].iter().any(|start| name.starts_with(start)) {
        let detail = "must be valid format starting with iqn, eui, or naa";
        errors.push(FieldError::invalid(&path.child("iqn"), name, detail));
    }
    errors
}

fn mode(source: &Value, path: &Path) -> Vec<FieldError> {
    let found =
        source.get("defaultMode").and_then(Value::as_i64).filter(|mode| !(0..=MAX_MODE).contains(mode));
    let detail = "must be a number between 0 and 0777 (octal), both inclusive";
    found.map(|mode| FieldError::invalid(&path.child("defaultMode"), mode, detail)).into_iter().collect()
}

/// The default mode and the items of sources that become files.
fn files(source: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = mode(source, path);
    for (index, item) in list(source, "/items").iter().enumerate() {
        let at = path.child("items").index(index);
        if text(item, "/key").is_empty() {
            errors.push(FieldError::required(&at.child("key"), ""));
        }
        errors.extend(file_path(text(item, "/path"), &at.child("path")));
    }
    errors
}

fn file_path(place: &str, path: &Path) -> Vec<FieldError> {
    if place.is_empty() { vec![FieldError::required(path, "")] } else { inner_path(place, path) }
}

/// A path that stays below where it starts.
pub(crate) fn inner_path(place: &str, path: &Path) -> Vec<FieldError> {
    let absolute =
        place.starts_with('/').then(|| FieldError::invalid(path, place, "must be a relative path"));
    absolute.into_iter().chain(climbs(place, path)).collect()
}

fn climbs(place: &str, path: &Path) -> Option<FieldError> {
    let climbs = place.split('/').any(|part| part == "..");
    climbs.then(|| FieldError::invalid(path, place, "must not contain '..'"))
}

fn projected(source: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = mode(source, path);
    for (index, each) in list(source, "/sources").iter().enumerate() {
        let at = path.child("sources").index(index);
        let kinds: Vec<&String> = entries(each, "").map(|(kind, _)| kind).collect();
        if kinds.len() > 1 {
            let detail = "may not specify more than 1 volume type per source";
            errors.push(FieldError::forbidden(&at, detail));
            continue;
        }
        for kind in kinds {
            let (value, at) = (&each[kind.as_str()], at.child(kind));
            errors.extend(match kind.as_str() {
                "secret" | "configMap" => {
                    let mut errors = check_required(rules::any, value, "name", &at);
                    errors.extend(files(value, &at));
                    errors
                }
                "downwardAPI" => downward(value, &at),
                "serviceAccountToken" => token(value, &at),
                _ => Vec::new(),
            });
        }
    }
    errors
}

fn token(token: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let seconds = number(token, "/expirationSeconds");
    if seconds < SHORTEST_TOKEN_S {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    errors.extend(file_path(text(token, "/path"), &path.child("path")));
    errors
}

fn downward(source: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for item in list(source, "/items") {
        errors.extend(file_path(text(item, "/path"), &path.child("path")));
        match (item.get("fieldRef"), item.get("resourceFieldRef")) {
            (Some(field), _) => errors.extend(file_field(field, &path.child("fieldRef"))),
            (None, Some(resource)) => {
                errors.extend(resource_field(resource, &path.child("resourceFieldRef"), true));
            }
            (None, None) => {
                let detail = "one of fieldRef and resourceFieldRef is required";
                errors.push(FieldError::required(&path.child("fieldRef"), detail));
            }
        }
    }
    errors
}

fn file_field(field: &Value, path: &Path) -> Vec<FieldError> {
    let (at, name) = (path.child("fieldPath"), text(field, "/fieldPath"));
    if name.is_empty() {
        return vec![FieldError::required(&at, "")];
    }
    let by_key = ["metadata.labels['", "metadata.annotations['"].iter().any(|start| name.starts_with(start));
    match FILE_FIELDS.contains(&name) || by_key {
        true => Vec::new(),
        false => vec![FieldError::not_supported(&at, name, &FILE_FIELDS)],
    }
}

/// The name of a storage class or of a volume attributes class.
pub(crate) fn class(object: &Value, field: &str, path: &Path) -> Vec<FieldError> {
    let name = text(object, &format!("/{field}"));
    if name.is_empty() { Vec::new() } else { check(rules::subdomain, name, &path.child(field)) }
}
