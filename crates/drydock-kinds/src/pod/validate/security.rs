//! Checks of security contexts: users, groups, profiles, and what contradicts itself.

use serde_json::{Value, json};

use super::choice;
use super::volume::inner_path;
use crate::field::{FieldError, Path};
use crate::read::{flag, list, text, texts};

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

pub(super) fn pod(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let context = &spec["securityContext"];
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        errors.extend(id(&context[field], &path.child(field)));
    }
    for (index, group) in list(context, "/supplementalGroups").iter().enumerate() {
        errors.extend(id(group, &path.child("supplementalGroups").index(index)));
    }
    if flag(spec, "/shareProcessNamespace") && flag(spec, "/hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&path.child("shareProcessNamespace"), true, detail));
    }
    errors.extend(sysctls(context, &path.child("sysctls")));
    errors.extend(choice(context, path, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]));
    errors.extend(profile(context, "seccompProfile", "seccomp", path));
    errors.extend(profile(context, "appArmorProfile", "appArmor", path));
    errors
}

pub(super) fn container(container: &Value, path: &Path) -> Vec<FieldError> {
    let Some(context) = container.get("securityContext") else { return Vec::new() };
    let mut errors = Vec::new();
    for field in ["runAsUser", "runAsGroup"] {
        errors.extend(id(&context[field], &path.child(field)));
    }
    errors.extend(choice(context, path, "procMount", &["Default", "Unmasked"]));
    errors.extend(profile(context, "seccompProfile", "seccomp", path));
    if context.get("allowPrivilegeEscalation").is_some_and(|allowed| allowed == false) {
        if flag(context, "/privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path, shown(context), detail));
        }
        if texts(context, "/capabilities/add").any(|name| name == "CAP_SYS_ADMIN") {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path, shown(context), detail));
        }
    }
    errors.extend(profile(context, "appArmorProfile", "appArmor", path));
    errors
}

/// The context as a real cluster prints it in this error: all fields, by their internal names.
fn shown(context: &Value) -> Value {
    json!({
        "AllowPrivilegeEscalation": context["allowPrivilegeEscalation"], "AppArmorProfile": context["appArmorProfile"],
        "Capabilities": context["capabilities"], "Privileged": context["privileged"], "ProcMount": context["procMount"],
        "ReadOnlyRootFilesystem": context["readOnlyRootFilesystem"], "RunAsGroup": context["runAsGroup"],
        "RunAsNonRoot": context["runAsNonRoot"], "RunAsUser": context["runAsUser"],
        "SELinuxOptions": context["seLinuxOptions"], "SeccompProfile": context["seccompProfile"],
        "WindowsOptions": context["windowsOptions"],
    })
}

fn id(value: &Value, path: &Path) -> Option<FieldError> {
    let id = value.as_i64()?;
    let detail = "must be between 0 and 2147483647, inclusive";
    (!(0..=i64::from(i32::MAX)).contains(&id)).then(|| FieldError::invalid(path, id, detail))
}

fn sysctls(context: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, sysctl) in list(context, "/sysctls").iter().enumerate() {
        let at = path.index(index).child("name");
        let name = text(sysctl, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if !is_sysctl(name) {
            let detail = "must have at most 253 characters and match regex \
                          ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(&at, name, detail));
        }
    }
    errors
}

fn is_sysctl(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let sound = |part: &str| {
        let bytes = part.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
    };
    name.len() <= 253 && name.split(['.', '/']).all(sound)
}

fn profile(context: &Value, field: &str, word: &str, path: &Path) -> Vec<FieldError> {
    let Some(profile) = context.get(field) else { return Vec::new() };
    let at = path.child(field);
    let (kind, local) = (text(profile, "/type"), text(profile, "/localhostProfile"));
    let mut errors = Vec::new();
    if kind.is_empty() {
        errors.push(FieldError::required(&at.child("type"), "type is required when seccompProfile is set"));
    } else if !PROFILES.contains(&kind) {
        errors.push(FieldError::not_supported(&at.child("type"), kind, &PROFILES));
    }
    let named = profile.get("localhostProfile").is_some();
    let place = at.child("localhostProfile");
    match (kind == "Localhost", named) {
        (true, false) => {
            let detail = format!("must be set when {word} type is Localhost");
            errors.push(FieldError::required(&place, detail));
        }
        (true, true) => errors.extend(inner_path(local, &place)),
        (false, true) => {
            let detail = format!("can only be set when {word} type is Localhost");
            let shown = json!({ "LocalhostProfile": local, "Type": kind });
            errors.push(FieldError::invalid(&place, shown, detail));
        }
        (false, false) => {}
    }
    errors
}
