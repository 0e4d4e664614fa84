//! From a pod and its image to what the node is asked to run. Pure.
//!
//! Start at [`sandbox`] and [`container`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::expand::expand;
use super::images::ReadyImage;
use super::objects::ConfigError;
use super::quantity;
use super::status::qos_class;
use super::volumes::Ready;
use crate::protocol::{
    ContainerSpec, DnsConfig, HostEntry, Mount, MountSource, Resources, Rootfs, SandboxSpec, Seccomp,
    Security, UserSpec,
};

pub const LABEL_UID: &str = "io.kubernetes.pod.uid";
pub const LABEL_CONTAINER: &str = "io.kubernetes.container.name";
pub const LABEL_ATTEMPT: &str = "io.kubernetes.container.restartCount";
pub const LABEL_IMAGE: &str = "dev.seaworthy.image.digest";
pub const LABEL_IMAGE_NAME: &str = "dev.seaworthy.image.name";
pub const LABEL_STOP_SIGNAL: &str = "dev.seaworthy.image.stop-signal";
const LABEL_POD: &str = "io.kubernetes.pod.name";
const LABEL_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// How the cluster resolves names.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterDns {
    pub server: Ipv4Addr,
    /// Usually `cluster.local`.
    pub domain: String,
}

/// One run of a container: `attempt` 0 is the first.
pub fn container_id(uid: &str, container: &str, attempt: i32) -> String {
    format!("{uid}.{container}.{attempt}")
}

/// The pod's uid in a container's id.
pub fn pod_of(container_id: &str) -> &str {
    container_id.split('.').next().unwrap_or_default()
}

/// Log file of one run: `<dir>/logs/<namespace>_<pod>_<uid>/<container>/<attempt>.log`.
pub fn log_path(dir: &Path, pod: &Pod, container: &str, attempt: i32) -> PathBuf {
    log_dir(dir, pod).join(container).join(format!("{attempt}.log"))
}

pub fn log_dir(dir: &Path, pod: &Pod) -> PathBuf {
    let meta = &pod.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    dir.join("logs").join(format!("{}_{}_{}", part(&meta.namespace), part(&meta.name), part(&meta.uid)))
}

/// Private directory of one run: upper and work of its root, its termination message.
pub fn run_dir(dir: &Path, uid: &str, container: &str, attempt: i32) -> PathBuf {
    dir.join("pods").join(uid).join("containers").join(container).join(attempt.to_string())
}

pub fn message_file(dir: &Path, uid: &str, container: &str, attempt: i32) -> PathBuf {
    run_dir(dir, uid, container, attempt).join("termination-log")
}

pub fn sandbox(pod: &Pod, dns: &ClusterDns) -> SandboxSpec {
    let meta = &pod.metadata;
    let spec = pod.spec.clone().unwrap_or_default();
    let name = meta.name.clone().unwrap_or_default();
    let namespace = meta.namespace.clone().unwrap_or_default();
    let hostname: String = spec.hostname.clone().unwrap_or_else(|| name.clone()).chars().take(63).collect();
    let own_names = match &spec.subdomain {
        Some(subdomain) => vec![format!("{hostname}.{subdomain}.{namespace}.svc.{}", dns.domain)],
        None => vec![],
    };
    let hosts = spec.host_aliases.iter().flatten().filter_map(|alias| {
        Some(HostEntry { ip: alias.ip.parse().ok()?, names: alias.hostnames.clone().unwrap_or_default() })
    });
    let context = spec.security_context.clone().unwrap_or_default();
    SandboxSpec {
        id: meta.uid.clone().unwrap_or_default(),
        hostname,
        ip: None,
        dns: dns_config(&spec, &namespace, dns),
        hosts: hosts.collect(),
        own_names,
        sysctls: context.sysctls.into_iter().flatten().map(|s| (s.name, s.value)).collect(),
        share_pid: spec.share_process_namespace == Some(true),
        host_network: spec.host_network == Some(true),
        labels: BTreeMap::from([
            (LABEL_UID.to_owned(), meta.uid.clone().unwrap_or_default()),
            (LABEL_POD.to_owned(), name),
            (LABEL_NAMESPACE.to_owned(), namespace),
        ]),
    }
}

/// `Default` means the host's resolvers, which pods cannot reach; the cluster's forwards to them.
fn dns_config(spec: &PodSpec, namespace: &str, dns: &ClusterDns) -> DnsConfig {
    let domain = &dns.domain;
    let mut config = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "None" => DnsConfig::default(),
        "Default" => DnsConfig { nameservers: vec![dns.server], searches: vec![], options: vec![] },
        _ => DnsConfig {
            nameservers: vec![dns.server],
            searches: vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()],
            options: vec!["ndots:5".to_owned()],
        },
    };
    let Some(more) = &spec.dns_config else { return config };
    config.nameservers.extend(more.nameservers.iter().flatten().filter_map(|ip| ip.parse::<Ipv4Addr>().ok()));
    config.searches.extend(more.searches.iter().flatten().cloned());
    for option in more.options.iter().flatten() {
        let name = option.name.clone().unwrap_or_default();
        config.options.retain(|known| known.split(':').next() != Some(&name));
        config.options.push(match &option.value {
            Some(value) => format!("{name}:{value}"),
            None => name,
        });
    }
    config
}

/// What a run of a container is made of.
pub struct Run<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub image: &'a ReadyImage,
    pub env: Vec<(String, String)>,
    pub volumes: &'a BTreeMap<String, Ready>,
    pub dir: &'a Path,
    pub attempt: i32,
}

pub fn container(run: &Run<'_>) -> Result<ContainerSpec, ConfigError> {
    let Run { pod, container, image, dir, attempt, .. } = run;
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let run_dir = run_dir(dir, &uid, &container.name, *attempt);
    let context = container.security_context.clone().unwrap_or_default();
    let args = args(run);
    if args.is_empty() {
        return Err(ConfigError::Invalid(format!("no command specified: image {} names none", image.name)));
    }
    let cwd = container.working_dir.clone().filter(|dir| !dir.is_empty()).map(PathBuf::from);
    Ok(ContainerSpec {
        id: container_id(&uid, &container.name, *attempt),
        sandbox: uid.clone(),
        rootfs: Rootfs {
            layers: image.layers.clone(),
            upper: run_dir.join("upper"),
            work: run_dir.join("work"),
        },
        args,
        env: run.env.clone(),
        cwd: cwd.or_else(|| image.working_dir.clone()),
        user: user(run)?,
        mounts: mounts(run)?,
        read_only_root: context.read_only_root_filesystem == Some(true),
        security: security(run),
        resources: resources(run.pod, run.container),
        share_pid_with: target(run),
        tty: container.tty == Some(true),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        log_path: Some(log_path(dir, pod, &container.name, *attempt)),
        labels: BTreeMap::from([
            (LABEL_UID.to_owned(), uid),
            (LABEL_CONTAINER.to_owned(), container.name.clone()),
            (LABEL_ATTEMPT.to_owned(), attempt.to_string()),
            (LABEL_IMAGE.to_owned(), image.digest.clone()),
            (LABEL_IMAGE_NAME.to_owned(), image.name.clone()),
            (LABEL_STOP_SIGNAL.to_owned(), image.stop_signal.clone().unwrap_or_default()),
        ]),
    })
}

/// The running container whose processes an ephemeral one shall see.
fn target(run: &Run<'_>) -> Option<String> {
    let mut added = run.pod.spec.as_ref()?.ephemeral_containers.iter().flatten();
    let target = added.find(|one| one.name == run.container.name)?.target_container_name.as_deref()?;
    super::Agent::container_id(run.pod, target)
}

/// `command` replaces entrypoint and default arguments, `args` the default arguments only.
fn args(run: &Run<'_>) -> Vec<String> {
    let lookup = |name: &str| run.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let expanded = |list: &Vec<String>| list.iter().map(|text| expand(text, lookup)).collect::<Vec<_>>();
    let command = run.container.command.as_ref().filter(|list| !list.is_empty()).map(expanded);
    let given = run.container.args.as_ref().filter(|list| !list.is_empty()).map(expanded);
    match (command, given) {
        (Some(command), given) => [command, given.unwrap_or_default()].concat(),
        (None, Some(given)) => [run.image.entrypoint.clone(), given].concat(),
        (None, None) => [run.image.entrypoint.clone(), run.image.cmd.clone()].concat(),
    }
}

fn user(run: &Run<'_>) -> Result<UserSpec, ConfigError> {
    let pod = run.pod.spec.as_ref().and_then(|s| s.security_context.clone()).unwrap_or_default();
    let own = run.container.security_context.clone().unwrap_or_default();
    let id = |own: Option<i64>, pod: Option<i64>| own.or(pod).and_then(|id| u32::try_from(id).ok());
    let uid = id(own.run_as_user, pod.run_as_user);
    let must_not_be_root = own.run_as_non_root.or(pod.run_as_non_root) == Some(true);
    if must_not_be_root && uid == Some(0) {
        let text = "container's runAsUser breaks non-root policy";
        return Err(ConfigError::Invalid(format!("{text} (container: {})", run.container.name)));
    }
    let image_is_root = matches!(run.image.user.as_deref(), None | Some("0" | "root"))
        || run.image.user.as_deref().is_some_and(|u| u.starts_with("0:") || u.starts_with("root:"));
    if must_not_be_root && uid.is_none() && image_is_root {
        let text = "container has runAsNonRoot and image will run as root";
        return Err(ConfigError::Invalid(format!("{text} (container: {})", run.container.name)));
    }
    let groups = pod.supplemental_groups.into_iter().flatten().chain(pod.fs_group);
    Ok(UserSpec {
        user: run.image.user.clone(),
        uid,
        gid: id(own.run_as_group, pod.run_as_group),
        extra_groups: groups.filter_map(|g| u32::try_from(g).ok()).collect(),
        must_not_be_root,
    })
}

fn mounts(run: &Run<'_>) -> Result<Vec<Mount>, ConfigError> {
    let mut mounts = Vec::new();
    let lookup = |name: &str| run.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    for mount in run.container.volume_mounts.iter().flatten() {
        let Some(volume) = run.volumes.get(&mount.name) else {
            return Err(ConfigError::Invalid(format!(
                "volume \"{}\" is mounted and not declared",
                mount.name
            )));
        };
        let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
            (_, Some(text)) if !text.is_empty() => Some(expand(text, lookup)),
            (Some(text), _) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        mounts.push(Mount {
            target: absolute(&mount.mount_path),
            source: MountSource::Bind { path: volume.path.clone(), sub_path },
            read_only: volume.read_only || mount.read_only == Some(true),
        });
    }
    let uid = run.pod.metadata.uid.as_deref().unwrap_or_default();
    let message = message_file(run.dir, uid, &run.container.name, run.attempt);
    mounts.push(Mount {
        target: absolute(message_path(run.container)),
        source: MountSource::Bind { path: message, sub_path: None },
        read_only: false,
    });
    // Outer mounts before the ones inside them.
    mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(mounts)
}

pub fn message_path(container: &Container) -> &str {
    container.termination_message_path.as_deref().filter(|p| !p.is_empty()).unwrap_or(DEFAULT_MESSAGE_PATH)
}

fn absolute(path: &str) -> PathBuf {
    Path::new("/").join(path)
}

fn security(run: &Run<'_>) -> Security {
    let own = run.container.security_context.clone().unwrap_or_default();
    let pod = run.pod.spec.as_ref().and_then(|s| s.security_context.clone()).unwrap_or_default();
    let capabilities = own.capabilities.unwrap_or_default();
    let profile = own.seccomp_profile.or(pod.seccomp_profile).map(|p| p.type_);
    Security {
        add_capabilities: capabilities.add.unwrap_or_default(),
        drop_capabilities: capabilities.drop.unwrap_or_default(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        seccomp: if profile.as_deref() == Some("Unconfined") {
            Seccomp::Unconfined
        } else {
            Seccomp::RuntimeDefault
        },
        privileged: own.privileged == Some(true),
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    }
}

/// What a container of a pod may use, as the node is told.
pub fn resources(pod: &Pod, container: &Container) -> Resources {
    let stated = container.resources.clone().unwrap_or_default();
    let limit = |name: &str| stated.limits.as_ref().and_then(|l| l.get(name));
    let request = |name: &str| stated.requests.as_ref().and_then(|l| l.get(name)).or(limit(name));
    Resources {
        memory_bytes: limit("memory").and_then(quantity::units).filter(|n| *n > 0),
        cpu_limit_millis: limit("cpu").and_then(quantity::millis).filter(|n| *n > 0),
        cpu_request_millis: request("cpu").and_then(quantity::millis),
        pids: None,
        // Who asked for nothing goes first when the machine runs out of memory.
        oom_score_adj: match qos_class(pod) {
            "BestEffort" => Some(1000),
            "Burstable" => Some(500),
            _ => None,
        },
        rlimits: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn build(spec: Value, image_user: Option<&str>) -> Result<ContainerSpec, ConfigError> {
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "web-0", "namespace": "shop", "uid": "u1"}, "spec": spec}),
        )
        .unwrap();
        let image = ReadyImage {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            user: image_user.map(str::to_owned),
            ..ReadyImage::default()
        };
        let volumes =
            BTreeMap::from([("data".to_owned(), Ready { path: "/v/data".into(), read_only: false })]);
        let run = Run {
            container: &pod.spec.as_ref().unwrap().containers[0],
            pod: &pod,
            image: &image,
            env: vec![("PORT".into(), "80".into())],
            volumes: &volumes,
            dir: Path::new("/n"),
            attempt: 2,
        };
        container(&run)
    }

    #[track_caller]
    fn check_args(container: Value, expect: &[&str]) {
        let mut container = container;
        container["name"] = json!("c");
        assert_eq!(build(json!({"containers": [container]}), None).unwrap().args, expect);
    }

    #[test]
    fn command_and_args_replace_what_the_image_says() {
        check_args(json!({}), &["/entry", "serve"]);
        check_args(json!({"args": ["run", "$(PORT)"]}), &["/entry", "run", "80"]);
        check_args(json!({"command": ["sh"]}), &["sh"]);
        check_args(json!({"command": ["sh"], "args": ["-c", "$$(PORT)"]}), &["sh", "-c", "$(PORT)"]);
    }

    #[track_caller]
    fn check_root(pod: Value, image_user: Option<&str>, expect_error: Option<&str>) {
        let spec = json!({"securityContext": pod, "containers": [{"name": "c"}]});
        let error = build(spec, image_user).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), expect_error);
    }

    #[test]
    fn a_pod_that_must_not_be_root_is_refused_before_it_runs() {
        let root_image = Some("container has runAsNonRoot and image will run as root (container: c)");
        check_root(json!({"runAsNonRoot": true}), None, root_image);
        check_root(json!({"runAsNonRoot": true}), Some("0:0"), root_image);
        check_root(json!({"runAsNonRoot": true}), Some("1000"), None);
        check_root(json!({"runAsNonRoot": true, "runAsUser": 1000}), None, None);
        let asked = Some("container's runAsUser breaks non-root policy (container: c)");
        check_root(json!({"runAsNonRoot": true, "runAsUser": 0}), Some("1000"), asked);
    }

    #[test]
    fn mounts_are_ordered_outermost_first_and_keep_sub_paths() {
        let spec = json!({"containers": [{"name": "c", "volumeMounts": [
            {"name": "data", "mountPath": "/a/b/c/d", "subPath": "x"}, {"name": "data", "mountPath": "/a", "readOnly": true}]}]});
        let mounts = build(spec, None).unwrap().mounts;
        let targets: Vec<_> = mounts.iter().map(|m| (m.target.to_str().unwrap(), m.read_only)).collect();
        assert_eq!(targets, [("/a", true), ("/dev/termination-log", false), ("/a/b/c/d", false)]);
    }

    #[test]
    fn an_undeclared_volume_is_named() {
        let spec =
            json!({"containers": [{"name": "c", "volumeMounts": [{"name": "nope", "mountPath": "/a"}]}]});
        assert_eq!(build(spec, None).unwrap_err().to_string(), "volume \"nope\" is mounted and not declared");
    }

    #[test]
    fn one_run_has_one_id_and_one_log() {
        let spec = build(json!({"containers": [{"name": "c"}]}), None).unwrap();
        assert_eq!(spec.id, "u1.c.2");
        assert_eq!(pod_of(&spec.id), "u1");
        assert_eq!(spec.log_path.unwrap(), Path::new("/n/logs/shop_web-0_u1/c/2.log"));
    }

    #[test]
    fn names_are_searched_in_the_pods_own_namespace_first() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "db-0", "namespace": "shop", "uid": "u"},
            "spec": {"hostname": "db-0", "subdomain": "db", "containers": [],
                     "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}}}))
            .unwrap();
        let dns = ClusterDns { server: Ipv4Addr::new(10, 96, 0, 10), domain: "cluster.local".into() };
        let spec = sandbox(&pod, &dns);
        assert_eq!(spec.dns.searches, ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
        assert_eq!(spec.dns.options, ["ndots:2"]);
        assert_eq!(spec.own_names, ["db-0.db.shop.svc.cluster.local"]);
    }
}
