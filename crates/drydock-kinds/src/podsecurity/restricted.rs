//! The restricted level: what hardening asks of a pod beyond the baseline.

use super::baseline::{is_sound_seccomp, proc_mount, seccomp, seccomp_of};
use super::pod::{Pod, Values, containers, name, plural, quoted, texts};
use super::{Rule, Violation};

/// In the order in which clusters name them.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "allowPrivilegeEscalation",
        forms: &[(8, escalation), (25, |pod| unless_windows(pod, escalation))],
        replaces: "",
    },
    Rule {
        name: "capabilities_restricted",
        forms: &[(22, capabilities), (25, |pod| unless_windows(pod, capabilities))],
        replaces: "capabilities_baseline",
    },
    Rule { name: "procMount_restricted", forms: &[(35, proc_mount)], replaces: "procMount" },
    Rule { name: "restrictedVolumes", forms: &[(0, volumes)], replaces: "hostPathVolumes" },
    Rule {
        name: "runAsNonRoot",
        forms: &[(0, non_root), (35, |pod| unless_own_users(pod, non_root))],
        replaces: "",
    },
    Rule { name: "runAsUser", forms: &[(23, user), (35, |pod| unless_own_users(pod, user))], replaces: "" },
    Rule {
        name: "seccompProfile_restricted",
        forms: &[(19, profiles), (25, |pod| unless_windows(pod, profiles))],
        replaces: "seccompProfile_baseline",
    },
];

/// What volumes may be.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What they may not be, in the order in which they are looked for.
const OTHER_VOLUMES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn unless_windows(pod: &Pod<'_>, rule: fn(&Pod<'_>) -> Option<Violation>) -> Option<Violation> {
    if pod.is_of_windows() { None } else { rule(pod) }
}

fn unless_own_users(pod: &Pod<'_>, rule: fn(&Pod<'_>) -> Option<Violation>) -> Option<Violation> {
    if pod.has_own_users() { None } else { rule(pod) }
}

fn escalation(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.named(|container| container["securityContext"]["allowPrivilegeEscalation"] != false);
    (!names.is_empty()).then(|| Violation {
        reason: "allowPrivilegeEscalation != false",
        detail: format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&names)),
    })
}

fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let keeping = pod.named(|container| {
        !texts(&container["securityContext"]["capabilities"]["drop"]).any(|dropped| dropped == "ALL")
    });
    let mut bad = Values::default();
    let adding = pod.named(|container| {
        let added = texts(&container["securityContext"]["capabilities"]["add"]);
        added.filter(|one| bad.note(one, *one == "NET_BIND_SERVICE")).count() > 0
    });
    let keeps = (!keeping.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    let adds = (!adding.is_empty()).then(|| {
        let (who, what) = (containers(&adding), quoted(bad.0));
        format!("{who} must not include {what} in securityContext.capabilities.add")
    });
    let told: Vec<String> = keeps.into_iter().chain(adds).collect();
    (!told.is_empty()).then(|| Violation { reason: "unrestricted capabilities", detail: told.join("; ") })
}

fn volumes(pod: &Pod<'_>) -> Option<Violation> {
    let (mut names, mut kinds) = (Vec::new(), Values::default());
    for volume in pod.volumes() {
        if !VOLUMES.iter().any(|kind| volume[*kind].is_object()) {
            names.push(name(volume));
            let kind = OTHER_VOLUMES.iter().find(|kind| volume[**kind].is_object());
            kinds.note(kind.unwrap_or(&"unknown"), false);
        }
    }
    (!names.is_empty()).then(|| Violation {
        reason: "restricted volume types",
        detail: format!(
            "{} {} {} {} {}",
            plural("volume", "volumes", names.len()),
            quoted(&names),
            plural("uses", "use", names.len()),
            plural("restricted volume type", "restricted volume types", kinds.0.len()),
            quoted(kinds.0)
        ),
    })
}

fn non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if let Some(setters) = pod.setters(|context| context["runAsNonRoot"] == false) {
        let detail = format!("{setters} must not set securityContext.runAsNonRoot=false");
        return Some(Violation { reason: REASON, detail });
    }
    let of_pod = pod.spec["securityContext"]["runAsNonRoot"] == true;
    let names = pod.named(|container| !of_pod && container["securityContext"]["runAsNonRoot"] != true);
    (!names.is_empty()).then(|| Violation {
        reason: REASON,
        detail: format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&names)),
    })
}

fn user(pod: &Pod<'_>) -> Option<Violation> {
    let setters = pod.setters(|context| context["runAsUser"] == 0)?;
    Some(Violation { reason: "runAsUser=0", detail: format!("{setters} must not set runAsUser=0") })
}

fn profiles(pod: &Pod<'_>) -> Option<Violation> {
    if let Some(violation) = seccomp(pod) {
        return Some(violation);
    }
    let of_pod = seccomp_of(&pod.spec["securityContext"]).is_some_and(is_sound_seccomp);
    let names = pod.named(|container| !of_pod && seccomp_of(&container["securityContext"]).is_none());
    (!names.is_empty()).then(|| Violation {
        reason: "seccompProfile",
        detail: format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&names)
        ),
    })
}
