//! One service of the file into a [`Service`] of the model.
//!
//! Start at [`convert`]; [`KEYS`] says what becomes of each key.

use std::path::PathBuf;

use seaworthy_app::{Build, Condition, Dependency, EnvVar, Image, Service, Workload};

use crate::error::{Fault, Problem, Result};
use crate::node::{Entry, Node, Value};
use crate::section::{Key, Section, bad_value, carried, dropped, text};
use crate::top::{Cx, defined};
use crate::variables::has_placeholder;
use crate::{dotenv, extension, files, health, mounts, ports, references, scalars, secrets};

const OWN_NETWORK: &str = "a pod has a network address of its own";
const NODE_MATTER: &str = "the cluster's node decides";
const IMAGE_STORE: &str = "the chart's `image.pullPolicy` decides";
const SET_RESOURCES: &str = "use `deploy.resources`";

const KEYS: &[Key] = &[
    carried("image"),
    carried("build"),
    carried("command"),
    carried("entrypoint"),
    carried("environment"),
    carried("env_file"),
    carried("ports"),
    carried("expose"),
    carried("volumes"),
    carried("tmpfs"),
    carried("healthcheck"),
    carried("depends_on"),
    carried("deploy"),
    carried("user"),
    carried("read_only"),
    carried("cap_add"),
    carried("cap_drop"),
    carried("stop_grace_period"),
    carried("stop_signal"),
    carried("networks"),
    carried("secrets"),
    carried("configs"),
    carried("restart"),
    carried("working_dir"),
    carried("profiles"),
    carried("labels"),
    carried("cpus"),
    carried("mem_limit"),
    carried("mem_reservation"),
    carried("scale"),
    carried("extends"),
    dropped("annotations", "annotations are not carried over"),
    dropped("attach", "logs are read with `seaworthy logs`"),
    dropped("blkio_config", NODE_MATTER),
    dropped("cgroup", NODE_MATTER),
    dropped("cgroup_parent", NODE_MATTER),
    dropped("container_name", "Kubernetes names the pods; the service's name stays"),
    dropped("cpu_count", SET_RESOURCES),
    dropped("cpu_percent", SET_RESOURCES),
    dropped("cpu_period", SET_RESOURCES),
    dropped("cpu_quota", SET_RESOURCES),
    dropped("cpu_rt_period", SET_RESOURCES),
    dropped("cpu_rt_runtime", SET_RESOURCES),
    dropped("cpu_shares", SET_RESOURCES),
    dropped("cpuset", NODE_MATTER),
    dropped("credential_spec", "Windows containers are not run"),
    dropped("develop", "it is for `docker compose watch`"),
    dropped("device_cgroup_rules", NODE_MATTER),
    dropped("devices", "a pod does not see the devices of this machine"),
    dropped("dns", "the cluster resolves names"),
    dropped("dns_opt", "the cluster resolves names"),
    dropped("dns_search", "the cluster resolves names"),
    dropped("domainname", OWN_NETWORK),
    dropped("external_links", "reach it by its address, in `environment`"),
    dropped("extra_hosts", "the cluster resolves names"),
    dropped("gpus", "a pod does not see the devices of this machine"),
    dropped("group_add", "the pod's group is set from `user`"),
    dropped("hostname", "the service's name is its host name"),
    dropped("init", "the container's first process must reap its children itself"),
    dropped("ipc", "pods do not share memory with this machine"),
    dropped("isolation", "Windows containers are not run"),
    dropped("label_file", "put labels into `labels`"),
    dropped("links", "every service reaches every other one by its name"),
    dropped("logging", "logs go to the cluster"),
    dropped("mac_address", OWN_NETWORK),
    dropped("mem_swappiness", NODE_MATTER),
    dropped("memswap_limit", "pods have no swap"),
    dropped("models", "models are not run by Seaworthy yet"),
    dropped("network_mode", OWN_NETWORK),
    dropped("oom_kill_disable", NODE_MATTER),
    dropped("oom_score_adj", NODE_MATTER),
    dropped("pid", "pods do not see the processes of this machine"),
    dropped("pids_limit", NODE_MATTER),
    dropped("platform", "the cluster's nodes decide"),
    dropped("post_start", "hooks are not carried over"),
    dropped("pre_stop", "hooks are not carried over"),
    dropped("privileged", "a chart with privileged pods is refused by most clusters"),
    dropped("provider", "providers are not run"),
    dropped("pull_policy", IMAGE_STORE),
    dropped("runtime", NODE_MATTER),
    dropped("security_opt", "the chart always forbids new privileges and uses the runtime's seccomp profile"),
    dropped("shm_size", "mount a tmpfs at `/dev/shm` instead"),
    dropped("stdin_open", "pods have no terminal"),
    dropped("storage_opt", NODE_MATTER),
    dropped("sysctls", NODE_MATTER),
    dropped("tty", "pods have no terminal"),
    dropped("ulimits", NODE_MATTER),
    dropped("use_api_socket", "there is no Docker in a cluster"),
    dropped("userns_mode", NODE_MATTER),
    dropped("uts", OWN_NETWORK),
    dropped("volumes_from", "mount the volume by its name"),
];

const BUILD_KEYS: &[Key] = &[
    carried("context"),
    carried("dockerfile"),
    carried("target"),
    carried("args"),
    dropped("additional_contexts", "builds have one context"),
    dropped("cache_from", "the local store is the cache"),
    dropped("cache_to", "the local store is the cache"),
    dropped("dockerfile_inline", "put it into a file"),
    dropped("entitlements", "builds have no privileges"),
    dropped("extra_hosts", "builds resolve names as this machine does"),
    dropped("isolation", "Windows containers are not built"),
    dropped("labels", "labels of images are not carried over"),
    dropped("network", "builds use the network of this machine"),
    dropped("no_cache", "use `seaworthy image build --no-cache`"),
    dropped("platforms", "images are built for this machine"),
    dropped("privileged", "builds have no privileges"),
    dropped("provenance", "provenance is not recorded yet"),
    dropped("pull", "the local store is asked first"),
    dropped("sbom", "no SBOM is recorded yet"),
    dropped("secrets", "builds get no secrets"),
    dropped("shm_size", NODE_MATTER),
    dropped("ssh", "builds get no keys"),
    dropped("tags", "use `image`"),
    dropped("ulimits", NODE_MATTER),
];

const DEPENDENCY_KEYS: &[Key] = &[
    carried("condition"),
    carried("required"),
    dropped("restart", "pods are not restarted together; readiness takes traffic away instead"),
];

pub fn convert(cx: &mut Cx<'_>, entry: &Entry) -> Result<Service> {
    let name = entry.key.as_str();
    check_name(entry)?;
    let own = Section::new(&entry.node, format!("services.{name}"))?;
    own.account(KEYS, cx.report)?;
    let mut service = Service::new(name);
    service.image = image(cx, &own, entry)?;
    service.command = command(&own, "command")?;
    service.entrypoint = command(&own, "entrypoint")?;
    service.working_dir = own.text("working_dir")?;
    service.environment = environment(cx, &own, name)?;
    service.files = secrets::files_of(cx, &own, name)?;
    service.ports = ports::read(cx, &own)?;
    mounts::read(cx, &own, &mut service)?;
    service.healthcheck = health::read(cx, &own)?;
    service.depends_on = depends_on(cx, &own)?;
    service.user = user(cx, &own)?;
    service.read_only = own.flag("read_only")?;
    service.cap_add = own.texts("cap_add")?;
    service.cap_drop = own.texts("cap_drop")?;
    service.stop_grace_period_s = own.duration_s("stop_grace_period")?.unwrap_or(service.stop_grace_period_s);
    service.stop_signal = own.text("stop_signal")?;
    service.runs_once = matches!(own.text("restart")?.as_deref(), Some("no" | "false"));
    service.labels = labels(cx, &own)?;
    let words = service.command.iter_mut().chain(&mut service.entrypoint).flatten();
    let mut referred: Vec<String> = words.flat_map(references::in_command).collect();
    referred.extend(service.healthcheck.as_mut().map(references::in_health_check).unwrap_or_default());
    references::give(cx, &mut service, referred, own.mark)?;
    networks(cx, &own, &mut service)?;
    service.replicas = own.number("scale")?.unwrap_or(service.replicas);
    health::resources(cx, &own, &mut service)?;
    extension::service(cx, &entry.node, &own, &mut service)?;
    if service.runs_once && service.ports.is_empty() && service.workload.reason.is_empty() {
        cx.report.warn(format!("`{name}` has `restart: no` and no port, so it becomes a Job"));
    }
    Ok(service)
}

fn labels(cx: &mut Cx<'_>, own: &Section<'_>) -> Result<Vec<(String, String)>> {
    let mut labels = Vec::new();
    for (entry, value) in own.pairs("labels")? {
        let value = value.unwrap_or_default();
        if has_placeholder(&value) {
            let path = own.below(&format!("labels.{}", entry.key));
            cx.report.drop_key(entry.key_mark, path, "everybody can read it, and it holds a secret");
        } else {
            labels.push((entry.key.clone(), value));
        }
    }
    Ok(labels)
}

fn check_name(entry: &Entry) -> Result<()> {
    if scalars::is_service_name(&entry.key) {
        return Ok(());
    }
    let hint = match scalars::dns_label(&entry.key) {
        label if scalars::is_service_name(&label) => format!("`{label}` would do"),
        _ => "use lower-case letters, digits and dashes, a letter first".to_owned(),
    };
    Fault::hinted(entry.key_mark, Problem::BadName { what: "a service", name: entry.key.clone() }, hint)
}

fn image(cx: &mut Cx<'_>, own: &Section<'_>, entry: &Entry) -> Result<Image> {
    let image = own.text("image")?;
    let Some(build) = own.section("build")? else {
        return match image {
            Some(reference) => Ok(Image::Reference(reference)),
            None => {
                let problem = Problem::NoImage { service: entry.key.clone() };
                Fault::hinted(entry.key_mark, problem, "add `image: name:tag`, or `build: folder`")
            }
        };
    };
    build.account(BUILD_KEYS, cx.report)?;
    let context = build.text("context")?.unwrap_or_else(|| ".".to_owned());
    let args = build.pairs("args")?.into_iter().map(|(entry, value)| (entry.key.clone(), value)).collect();
    Ok(Image::Build(Build {
        context: files::tidy(&cx.folder.join(context)),
        dockerfile: build.text("dockerfile")?.map(PathBuf::from),
        target: build.text("target")?,
        args,
        builder: None,
        image,
    }))
}

/// A list of words, or a line that is split as a shell would.
pub fn command(own: &Section<'_>, key: &str) -> Result<Option<Vec<String>>> {
    match own.get(key) {
        None => Ok(None),
        Some(node @ Node { value: Value::Scalar { text, .. }, .. }) => match scalars::words(text) {
            Some(words) => Ok(Some(words)),
            None => bad_value(node, own.below(key), "a command line with its quotes closed", text),
        },
        Some(_) => own.texts(key).map(Some),
    }
}

/// `env_file` under `environment`; secret values become references.
fn environment(cx: &mut Cx<'_>, own: &Section<'_>, service: &str) -> Result<Vec<EnvVar>> {
    let mut vars: Vec<EnvVar> = Vec::new();
    for (name, value) in env_files(cx, own)? {
        let value = secrets::env_value(cx, service, &name, &value);
        set(&mut vars, EnvVar { name, value });
    }
    for (entry, value) in own.pairs("environment")? {
        let name = entry.key.clone();
        let value = match value {
            Some(value) => Some(secrets::env_value(cx, service, &name, &value)),
            None => secrets::passed_on(cx, service, &name),
        };
        match value {
            Some(value) => set(&mut vars, EnvVar { name, value }),
            None => cx.report.warn(format!(
                "`{name}` of `{service}` has no value in the file, in `.env` or in the environment; it is left out"
            )),
        }
    }
    Ok(vars)
}

fn set(vars: &mut Vec<EnvVar>, var: EnvVar) {
    match vars.iter_mut().find(|known| known.name == var.name) {
        Some(known) => known.value = var.value,
        None => vars.push(var),
    }
}

fn env_files(cx: &mut Cx<'_>, own: &Section<'_>) -> Result<Vec<(String, String)>> {
    let nodes = match own.get("env_file") {
        Some(node @ Node { value: Value::Scalar { .. }, .. }) => std::slice::from_ref(node),
        _ => own.list("env_file")?,
    };
    let mut pairs = Vec::new();
    for node in nodes {
        let (file, required) = match &node.value {
            Value::Map(_) => {
                let section = Section::new(node, own.below("env_file"))?;
                let keys = [carried("path"), carried("required"), dropped("format", "one format is read")];
                section.account(&keys, cx.report)?;
                (section.text("path")?.unwrap_or_default(), section.flag("required")?.unwrap_or(true))
            }
            _ => (text(node, &own.below("env_file"))?.to_owned(), true),
        };
        let path = cx.folder.join(file);
        if !required && !path.exists() {
            continue;
        }
        let content = files::read(&path).map_err(|mut fault| {
            fault.mark = Some(node.mark);
            fault
        })?;
        let number = files::register(cx.sources, cx.folder, &path, "");
        pairs.extend(dotenv::parse(&content, number, &cx.variables)?);
    }
    Ok(pairs)
}

fn depends_on(cx: &mut Cx<'_>, own: &Section<'_>) -> Result<Vec<Dependency>> {
    let Some(section) = own.section("depends_on")? else { return Ok(Vec::new()) };
    let mut dependencies = Vec::new();
    for entry in section.entries() {
        let one = Section::new(&entry.node, section.below(&entry.key))?;
        one.account(DEPENDENCY_KEYS, cx.report)?;
        let known = "`service_started`, `service_healthy` or `service_completed_successfully`";
        let condition = one.parsed("condition", known, |text| match text {
            "service_started" => Some(Condition::Started),
            "service_healthy" => Some(Condition::Healthy),
            "service_completed_successfully" => Some(Condition::CompletedSuccessfully),
            _ => None,
        })?;
        dependencies.push(Dependency {
            service: entry.key.clone(),
            condition: condition.unwrap_or_default(),
            required: one.flag("required")?.unwrap_or(true),
        });
    }
    Ok(dependencies)
}

/// `1000`, `1000:1000`. Names mean something only inside the image.
fn user(cx: &mut Cx<'_>, own: &Section<'_>) -> Result<Option<(u32, u32)>> {
    let Some(stated) = own.text("user")? else { return Ok(None) };
    let (user, group) = stated.split_once(':').unwrap_or((&stated, &stated));
    match (user.parse(), group.parse()) {
        (Ok(user), Ok(group)) => Ok(Some((user, group))),
        _ => {
            let mark = own.entry("user").map_or(own.mark, |entry| entry.key_mark);
            cx.report.drop_key(
                mark,
                own.below("user"),
                "a cluster needs the number, for example `1000:1000`",
            );
            Ok(None)
        }
    }
}

fn networks(cx: &mut Cx<'_>, own: &Section<'_>, service: &mut Service) -> Result<()> {
    let Some(section) = own.section("networks")? else { return Ok(()) };
    for entry in section.entries() {
        if entry.key != "default" {
            let known = cx.defined.networks.clone();
            defined(&known, &service.name, "network", &entry.key, entry.key_mark)?;
        }
        let one = Section::new(&entry.node, section.below(&entry.key))?;
        one.account(
            &[
                carried("aliases"),
                dropped("ipv4_address", "the cluster gives out addresses"),
                dropped("ipv6_address", "the cluster gives out addresses"),
                dropped("link_local_ips", "the cluster gives out addresses"),
                dropped("mac_address", OWN_NETWORK),
                dropped("driver_opts", OWN_NETWORK),
                dropped("gw_priority", OWN_NETWORK),
                dropped("interface_name", OWN_NETWORK),
                dropped("priority", OWN_NETWORK),
            ],
            cx.report,
        )?;
        for alias in one.texts("aliases")? {
            if alias != service.name && !service.aliases.contains(&alias) {
                service.aliases.push(alias);
            }
        }
        service.networks.push(entry.key.clone());
    }
    Ok(())
}

/// States the workload, for those that say so themselves.
pub fn stated_workload(kind: seaworthy_app::WorkloadKind) -> Workload {
    Workload { kind, reason: "the file says so".to_owned() }
}
