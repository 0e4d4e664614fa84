//! The baseline: no known way out of a container.

use serde_json::Value;

use super::pod::{Pod, Values, containers, name, plural, quoted, texts};
use super::{Form, Rule, Violation};

const fn rule(name: &'static str, forms: &'static [(u32, Form)]) -> Rule {
    Rule { name, forms, replaces: "" }
}

/// In the order in which clusters name them.
pub(super) const RULES: &[Rule] = &[
    rule("appArmorProfile", &[(0, app_armor)]),
    rule("capabilities_baseline", &[(0, capabilities)]),
    rule("hostNamespaces", &[(0, host_namespaces)]),
    rule("hostPathVolumes", &[(0, host_paths)]),
    rule("hostPorts", &[(0, host_ports)]),
    rule("hostProbesAndHostLifecycle", &[(34, probe_hosts)]),
    rule("privileged", &[(0, privileged)]),
    rule("procMount", &[(0, proc_mount), (35, proc_mount_unless_own_users)]),
    rule("seLinuxOptions", &[(0, selinux), (31, selinux_with_engines)]),
    rule("seccompProfile_baseline", &[(0, seccomp_annotations), (19, seccomp)]),
    rule(
        "sysctls",
        &[
            (0, |pod| sysctls(pod, 0)),
            (27, |pod| sysctls(pod, 27)),
            (29, |pod| sysctls(pod, 29)),
            (32, |pod| sysctls(pod, 32)),
        ],
    ),
    rule("windowsHostProcess", &[(0, host_process)]),
];

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// With the version since when each is allowed.
const SYSCTLS: &[(u32, &str)] = &[
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

fn found(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = Values::default();
    let setters = pod.setters(|context| {
        let kind = context["appArmorProfile"]["type"].as_str();
        kind.is_some_and(|kind| bad.note(kind, matches!(kind, "RuntimeDefault" | "Localhost")))
    });
    let mut annotations: Vec<String> = pod
        .annotations()
        .filter(|(key, value)| {
            let is_allowed = matches!(*value, "" | "runtime/default") || value.starts_with("localhost/");
            key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !is_allowed
        })
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    annotations.sort_unstable();
    let noun = plural("annotation", "annotations", annotations.len());
    let setters: Vec<String> =
        setters.into_iter().chain((!annotations.is_empty()).then(|| noun.to_owned())).collect();
    if setters.is_empty() {
        return None;
    }
    let values: Vec<String> = bad.0.into_iter().chain(annotations).collect();
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len());
    found(
        reason,
        format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(values)),
    )
}

fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = Values::default();
    let names = pod.named(|container| {
        let added = texts(&container["securityContext"]["capabilities"]["add"]);
        added.filter(|one| bad.note(one, CAPABILITIES.contains(one))).count() > 0
    });
    let (who, what) = (containers(&names), quoted(bad.0));
    let detail = format!("{who} must not include {what} in securityContext.capabilities.add");
    (!names.is_empty()).then(|| found("non-default capabilities", detail)).flatten()
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.spec[*field] == true);
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    (!shared.is_empty()).then(|| found("host namespaces", shared.join(", "))).flatten()
}

fn host_paths(pod: &Pod<'_>) -> Option<Violation> {
    let names: Vec<String> =
        pod.volumes().filter(|volume| volume["hostPath"].is_object()).map(name).collect();
    let detail = format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names));
    (!names.is_empty()).then(|| found("hostPath volumes", detail)).flatten()
}

fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = Values::default();
    let names = pod.named(|container| {
        let ports = container["ports"].as_array().into_iter().flatten();
        let taken = ports.filter_map(|port| port["hostPort"].as_u64().filter(|port| *port != 0));
        taken.filter(|port| bad.note(&port.to_string(), false)).count() > 0
    });
    let detail = format!(
        "{} {} {} {}",
        containers(&names),
        plural("uses", "use", names.len()),
        plural("hostPort", "hostPorts", bad.0.len()),
        bad.0.into_iter().collect::<Vec<_>>().join(", ")
    );
    (!names.is_empty()).then(|| found("hostPort", detail)).flatten()
}

fn probe_hosts(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = Values::default();
    let mut names = pod.named(|container| {
        let lifecycle = &container["lifecycle"];
        let handlers = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| &container[probe]);
        let handlers = handlers.into_iter().chain([&lifecycle["postStart"], &lifecycle["preStop"]]);
        let hosts = handlers.flat_map(|handler| {
            ["httpGet", "tcpSocket"].into_iter().filter_map(|way| handler[way]["host"].as_str())
        });
        hosts.filter(|host| !host.is_empty() && bad.note(host, false)).count() > 0
    });
    names.sort_unstable();
    names.dedup();
    let detail = format!(
        "{} {} {} {}",
        containers(&names),
        plural("uses", "use", names.len()),
        plural("probe or lifecycle host", "probe or lifecycle hosts", bad.0.len()),
        quoted(bad.0)
    );
    (!names.is_empty()).then(|| found("probe or lifecycle host", detail)).flatten()
}

fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.named(|container| container["securityContext"]["privileged"] == true);
    let detail = format!("{} must not set securityContext.privileged=true", containers(&names));
    (!names.is_empty()).then(|| found("privileged", detail)).flatten()
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = Values::default();
    let names = pod.named(|container| {
        let kind = container["securityContext"]["procMount"].as_str();
        kind.is_some_and(|kind| bad.note(kind, kind == "Default"))
    });
    let detail =
        format!("{} must not set securityContext.procMount to {}", containers(&names), quoted(bad.0));
    (!names.is_empty()).then(|| found("procMount", detail)).flatten()
}

fn proc_mount_unless_own_users(pod: &Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() { None } else { proc_mount(pod) }
}

fn selinux(pod: &Pod<'_>) -> Option<Violation> {
    selinux_of(pod, &["", "container_t", "container_init_t", "container_kvm_t"])
}

fn selinux_with_engines(pod: &Pod<'_>) -> Option<Violation> {
    selinux_of(pod, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn selinux_of(pod: &Pod<'_>, allowed: &[&str]) -> Option<Violation> {
    let (mut types, mut user, mut role) = (Values::default(), false, false);
    let setters = pod.setters(|context| {
        let options = &context["seLinuxOptions"];
        if !options.is_object() {
            return false;
        }
        let text = |field: &str| options[field].as_str().unwrap_or("").to_owned();
        let (sets_user, sets_role) = (!text("user").is_empty(), !text("role").is_empty());
        (user, role) = (user || sets_user, role || sets_role);
        let kind = text("type");
        types.note(&kind, allowed.contains(&kind.as_str())) || sets_user || sets_role
    })?;
    let noun = plural("type", "types", types.0.len());
    let listed = (!types.0.is_empty()).then(|| format!("{noun} {}", quoted(&types.0)));
    let told: Vec<String> = listed
        .into_iter()
        .chain(user.then(|| "user may not be set".to_owned()))
        .chain(role.then(|| "role may not be set".to_owned()))
        .collect();
    found(
        "seLinuxOptions",
        format!("{setters} set forbidden securityContext.seLinuxOptions: {}", told.join("; ")),
    )
}

fn seccomp_annotations(pod: &Pod<'_>) -> Option<Violation> {
    const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let names: Vec<String> = pod.containers().map(name).collect();
    let mut bad: Vec<String> = pod
        .annotations()
        .filter(|(key, value)| {
            let is_read = *key == POD
                || key.strip_prefix(CONTAINER).is_some_and(|name| names.iter().any(|known| known == name));
            let is_allowed = matches!(*value, "runtime/default" | "docker/default");
            is_read && !is_allowed && !value.starts_with("localhost/")
        })
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    bad.sort_unstable();
    let detail = format!("forbidden {} {}", plural("annotation", "annotations", bad.len()), bad.join(", "));
    (!bad.is_empty()).then(|| found("seccompProfile", detail)).flatten()
}

pub(super) fn is_sound_seccomp(kind: &str) -> bool {
    matches!(kind, "Localhost" | "RuntimeDefault")
}

/// The type of a seccomp profile, when there is one.
pub(super) fn seccomp_of(context: &Value) -> Option<&str> {
    let profile = &context["seccompProfile"];
    profile.is_object().then(|| profile["type"].as_str().unwrap_or(""))
}

pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    let mut bad = Values::default();
    let setters = pod
        .setters(|context| seccomp_of(context).is_some_and(|kind| bad.note(kind, is_sound_seccomp(kind))))?;
    found(
        "seccompProfile",
        format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(bad.0)),
    )
}

fn sysctls(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    let all = pod.spec["securityContext"]["sysctls"].as_array().into_iter().flatten().map(name);
    let allowed = |name: &String| SYSCTLS.iter().any(|(since, known)| *since <= minor && known == name);
    let bad: Vec<String> = all.filter(|name| !allowed(name)).collect();
    (!bad.is_empty()).then(|| found("forbidden sysctls", bad.join(", "))).flatten()
}

fn host_process(pod: &Pod<'_>) -> Option<Violation> {
    let setters = pod.setters(|context| context["windowsOptions"]["hostProcess"] == true)?;
    found("hostProcess", format!("{setters} must not set securityContext.windowsOptions.hostProcess=true"))
}
