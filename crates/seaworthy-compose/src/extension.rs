//! `x-seaworthy`: what Kubernetes needs and Compose cannot say. `docker compose` ignores it.
//!
//! ```yaml
//! x-seaworthy:                       # at the top of the file
//!   host: todo.localhost             # default <app>.localhost
//!   generate: [POSTGRES_PASSWORD]    # variables that get a random value when nothing sets them
//!   ingress: {class: nginx}          # `ingress: false` leaves it out
//!   profiles: [in-cluster-db]        # active when neither `--profile` nor COMPOSE_PROFILES names one
//! services:
//!   backend:
//!     x-seaworthy:
//!       replicas: 2                  # instead of deploy.replicas
//!       route: /api                  # or {path: /api, host: api.localhost, port: 8000}, or a list of these
//!       probes: {liveness: /health, readiness: /ready, startup: tcp}
//!                                    # a path, `tcp`, a port, `off`, {path, port} or {command: [...]}
//!       autoscale: {min: 2, max: 5, cpu: 70, memory: 80}   # or `true` for these numbers
//!       builder: cargo               # how `build` is built: cargo or dockerfile
//!       workload: deployment         # or statefulset, or job, when the guess is wrong
//! volumes:
//!   data:
//!     x-seaworthy: {size: 1Gi, class: standard}
//! secrets:
//!   token:
//!     file: ./token.txt
//!     x-seaworthy: {generate: true}  # when the file is not there
//! ```

use seaworthy_app::{Autoscale, Image, Ingress, Probe, Route, Service, WorkloadKind};

use crate::Report;
use crate::error::Result;
use crate::node::{Node, Value};
use crate::scalars;
use crate::section::{Key, Section, bad_value, carried, text, wrong_type};
use crate::service::stated_workload;
use crate::top::Cx;

const NAME: &str = "x-seaworthy";

const APP_KEYS: &[Key] = &[carried("host"), carried("generate"), carried("ingress"), carried("profiles")];

const SERVICE_KEYS: &[Key] = &[
    carried("replicas"),
    carried("route"),
    carried("probes"),
    carried("autoscale"),
    carried("builder"),
    carried("workload"),
];

/// What the top of the file adds.
pub(crate) struct AppExtension {
    pub ingress: Ingress,
    pub ingress_off: bool,
    /// Profiles of those who name none.
    pub profiles: Vec<String>,
}

pub(crate) fn app(root: &Node, report: &mut Report) -> Result<AppExtension> {
    let mut found = AppExtension { ingress: Ingress::default(), ingress_off: false, profiles: Vec::new() };
    let Some(node) = root.get(NAME) else { return Ok(found) };
    let section = Section::new(node, NAME)?;
    section.account(APP_KEYS, report)?;
    found.ingress.host = section.text("host")?.unwrap_or_default();
    found.profiles = section.texts("profiles")?;
    match section.get("ingress") {
        Some(Node { value: Value::Scalar { .. }, .. }) => {
            found.ingress_off = !section.flag("ingress")?.unwrap_or(true);
        }
        Some(node) => {
            let ingress = Section::new(node, section.below("ingress"))?;
            ingress.account(&[carried("class"), carried("enabled"), carried("host")], report)?;
            found.ingress.class = ingress.text("class")?.unwrap_or_default();
            found.ingress_off = !ingress.flag("enabled")?.unwrap_or(true);
            if let Some(host) = ingress.text("host")? {
                found.ingress.host = host;
            }
        }
        None => {}
    }
    Ok(found)
}

/// Names under `x-seaworthy: generate` of one file, before its references are replaced.
pub(crate) fn generated(root: &Node) -> Result<Vec<String>> {
    match root.get(NAME) {
        Some(node) => Section::new(node, NAME)?.texts("generate"),
        None => Ok(Vec::new()),
    }
}

pub(crate) fn service(cx: &mut Cx<'_>, node: &Node, own: &Section<'_>, service: &mut Service) -> Result<()> {
    let Some(node) = node.get(NAME) else { return Ok(()) };
    let section = Section::new(node, own.below(NAME))?;
    section.account(SERVICE_KEYS, cx.report)?;
    service.replicas = section.number("replicas")?.unwrap_or(service.replicas);
    if let Some(node) = section.get("route") {
        service.routes = routes(cx, node, &section.below("route"), service)?;
    }
    if let Some(probes) = section.section("probes")? {
        probes.account(&[carried("startup"), carried("readiness"), carried("liveness")], cx.report)?;
        service.probes.startup = probe(cx, &probes, "startup")?;
        service.probes.readiness = probe(cx, &probes, "readiness")?;
        service.probes.liveness = probe(cx, &probes, "liveness")?;
    }
    service.autoscale = autoscale(cx, &section)?;
    if let (Some(builder), Image::Build(build)) = (section.text("builder")?, &mut service.image) {
        build.builder = Some(builder);
    }
    let kinds = "`deployment`, `statefulset` or `job`";
    let kind = section.parsed("workload", kinds, |text| match text.to_ascii_lowercase().as_str() {
        "deployment" => Some(WorkloadKind::Deployment),
        "statefulset" => Some(WorkloadKind::StatefulSet),
        "job" => Some(WorkloadKind::Job),
        _ => None,
    })?;
    if let Some(kind) = kind {
        service.workload = stated_workload(kind);
    }
    Ok(())
}

fn routes(cx: &mut Cx<'_>, node: &Node, path: &str, service: &Service) -> Result<Vec<Route>> {
    match &node.value {
        Value::Seq(items) => items.iter().map(|item| route(cx, item, path, service)).collect(),
        _ => Ok(vec![route(cx, node, path, service)?]),
    }
}

fn route(cx: &mut Cx<'_>, node: &Node, path: &str, service: &Service) -> Result<Route> {
    let section = match &node.value {
        Value::Scalar { .. } => None,
        _ => Some(Section::new(node, path)?),
    };
    let (stated, host, port) = match &section {
        None => (text(node, path)?.to_owned(), None, None),
        Some(section) => {
            section.account(&[carried("path"), carried("host"), carried("port")], cx.report)?;
            let port = section.parsed("port", "a port number", |text| text.parse().ok())?;
            (section.text("path")?.unwrap_or_else(|| "/".to_owned()), section.text("host")?, port)
        }
    };
    if !stated.starts_with('/') {
        return bad_value(node, path, "a path that begins with `/`", stated);
    }
    match port.or_else(|| service.main_port()) {
        Some(port) => Ok(Route { path: stated, host, port }),
        None => bad_value(node, path, "a route of a service with a port", stated),
    }
}

fn probe(cx: &mut Cx<'_>, section: &Section<'_>, key: &str) -> Result<Option<Probe>> {
    let Some(node) = section.get(key) else { return Ok(None) };
    let path = section.below(key);
    let probe = match &node.value {
        Value::Scalar { text, .. } => match text.as_str() {
            path if path.starts_with('/') => Probe::Http { path: path.to_owned(), port: None },
            "tcp" => Probe::Tcp { port: None },
            "off" | "false" | "none" => Probe::Off,
            port => match port.parse() {
                Ok(port) => Probe::Tcp { port: Some(port) },
                Err(_) => return bad_value(node, path, "a path, a port, `tcp` or `off`", text.as_str()),
            },
        },
        Value::Map(_) => probe_of(cx, Section::new(node, path)?, node)?,
        _ => return wrong_type(node, path, "a path, a port or a mapping"),
    };
    Ok(Some(probe))
}

fn probe_of(cx: &mut Cx<'_>, section: Section<'_>, node: &Node) -> Result<Probe> {
    section.account(&[carried("path"), carried("port"), carried("command")], cx.report)?;
    let port = section.parsed("port", "a port number", |text| text.parse().ok())?;
    if let Some(path) = section.text("path")? {
        return Ok(Probe::Http { path, port });
    }
    if let Some(command) = crate::service::command(&section, "command")? {
        return Ok(Probe::Exec { command });
    }
    match port {
        Some(port) => Ok(Probe::Tcp { port: Some(port) }),
        None => wrong_type(node, section.path, "a mapping with `path`, `port` or `command`"),
    }
}

fn autoscale(cx: &mut Cx<'_>, section: &Section<'_>) -> Result<Option<Autoscale>> {
    let default = Autoscale::default();
    let Some(node) = section.get("autoscale") else { return Ok(None) };
    if matches!(node.value, Value::Scalar { .. }) {
        return Ok(section.flag("autoscale")?.unwrap_or(false).then_some(default));
    }
    let own = Section::new(node, section.below("autoscale"))?;
    own.account(&[carried("min"), carried("max"), carried("cpu"), carried("memory")], cx.report)?;
    let min = own.number("min")?.unwrap_or(default.min).max(1);
    let (cpu, memory) = (own.number("cpu")?, own.number("memory")?);
    let (cpu_percent, memory_percent) = if cpu.is_none() && memory.is_none() {
        (default.cpu_percent, default.memory_percent)
    } else {
        (cpu, memory)
    };
    let max = own.number("max")?.unwrap_or(default.max.max(min));
    if max < min {
        return bad_value(node, own.below("max"), format!("at least `min`, {min}"), max.to_string());
    }
    Ok(Some(Autoscale { min, max, cpu_percent, memory_percent }))
}

/// What a volume adds.
pub(crate) struct VolumeExtension {
    pub size_bytes: Option<u64>,
    pub class: Option<String>,
}

pub(crate) fn volume(node: &Node, path: &str, report: &mut Report) -> Result<VolumeExtension> {
    let Some(node) = node.get(NAME) else { return Ok(VolumeExtension { size_bytes: None, class: None }) };
    let section = Section::new(node, format!("{path}.{NAME}"))?;
    section.account(&[carried("size"), carried("class")], report)?;
    let size_bytes = section.parsed("size", "a size such as `1Gi`", scalars::bytes)?;
    Ok(VolumeExtension { size_bytes, class: section.text("class")? })
}

/// Whether a secret says `x-seaworthy: {generate: true}`.
pub(crate) fn generates(node: &Node, path: &str, report: &mut Report) -> Result<bool> {
    let Some(node) = node.get(NAME) else { return Ok(false) };
    let section = Section::new(node, format!("{path}.{NAME}"))?;
    section.account(&[carried("generate")], report)?;
    Ok(section.flag("generate")?.unwrap_or(false))
}
