//! A service with everything decided about it, before a single line of a template is written.
//!
//! Values, schema, templates and README all read from here, so they cannot disagree.

use seaworthy_app::{
    App, Autoscale, EnvValue, FileSource, Port, Protocol, Service, WorkloadKind, infer, known_image,
};
use serde_json::Value;

use crate::{limits, names, probes, security, storage};

/// Seconds a pod keeps serving after it was told to stop, so that everybody learns it is going.
const PRE_STOP_SLEEP_S: u32 = 5;

pub struct Component<'a> {
    pub service: &'a Service,
    /// Key in `values.yaml`.
    pub key: String,
    pub kind: WorkloadKind,
    /// Repository, tag and digest; the tag is empty for images that we build.
    pub image: (String, String, String),
    pub command: Vec<String>,
    pub args: Vec<String>,
    /// Plain variables.
    pub env: Vec<(&'a str, &'a str)>,
    /// Variables and the keys of the Secret they are taken from.
    pub secret_env: Vec<(&'a str, &'a str)>,
    pub ports: Vec<Port>,
    /// Whether others reach it under its name.
    pub has_service: bool,
    pub probes: probes::Decided,
    pub security: security::Decided,
    pub resources: Value,
    pub storage: storage::Storage<'a>,
    pub autoscale: Option<Autoscale>,
    pub pre_stop_sleep_s: u32,
    pub annotations: Vec<(&'a str, &'a str)>,
    pub notes: Vec<String>,
    configs: Vec<(&'a str, &'a str)>,
}

impl<'a> Component<'a> {
    pub fn new(app: &'a App, service: &'a Service) -> Self {
        let known = service.foreign_image().and_then(known_image);
        let security = security::decide(service);
        let storage = storage::decide(app, service, security.read_only);
        let kind = service.workload.kind;
        let has_service = infer::needs_service(app, service);
        let (env, secret_env) = split_environment(service);
        let default_command =
            || known.map(|known| known.command.iter().map(|word| (*word).to_owned()).collect());
        let mut component = Component {
            service,
            key: names::values_key(&service.name),
            kind,
            image: image(app, service),
            command: service.entrypoint.clone().unwrap_or_default(),
            args: service.command.clone().or_else(default_command).unwrap_or_default(),
            env,
            secret_env,
            ports: ports(service),
            has_service,
            probes: probes::decide(service),
            resources: limits::resources(service),
            autoscale: service.autoscale.filter(|_| kind == WorkloadKind::Deployment),
            pre_stop_sleep_s: if has_service && kind == WorkloadKind::Deployment {
                PRE_STOP_SLEEP_S
            } else {
                0
            },
            annotations: annotations(service),
            notes: Vec::new(),
            configs: configs(app, service),
            security,
            storage,
        };
        component.notes = notes(&component);
        component
    }

    pub fn name(&self) -> &'a str {
        &self.service.name
    }

    pub fn is_stateful(&self) -> bool {
        self.kind == WorkloadKind::StatefulSet
    }

    /// Name and content of the files that its ConfigMap holds.
    pub fn config_files(&self) -> &[(&'a str, &'a str)] {
        &self.configs
    }

    pub fn uses_secrets(&self) -> bool {
        !self.secret_env.is_empty() || !self.storage.secrets.is_empty()
    }

    /// The port that probes, routes and people mean.
    pub fn main_port(&self) -> Option<&Port> {
        self.ports.iter().find(|port| port.protocol == Protocol::Tcp)
    }

    /// The name of `number` among the ports.
    pub fn port_name(&self, number: u16) -> Option<&str> {
        self.ports.iter().find(|port| port.container == number).and_then(|port| port.name.as_deref())
    }
}

fn image(app: &App, service: &Service) -> (String, String, String) {
    let reference = app.image_name(service);
    let (repository, tag, digest) = names::split_image(&reference);
    let tag = match (tag, digest, service.foreign_image()) {
        ("", "", Some(_)) => "latest",
        _ => tag,
    };
    (repository.to_owned(), tag.to_owned(), digest.to_owned())
}

/// Names with their values, or with keys of the Secret.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Plain variables, and those taken from the Secret.
fn split_environment(service: &Service) -> (Pairs<'_>, Pairs<'_>) {
    let mut plain = Vec::new();
    let mut secret = Vec::new();
    for var in &service.environment {
        match &var.value {
            EnvValue::Plain(value) => plain.push((var.name.as_str(), value.as_str())),
            EnvValue::Secret { key } => secret.push((var.name.as_str(), key.as_str())),
        }
    }
    for (name, value) in
        service.foreign_image().and_then(known_image).map(|known| known.env).unwrap_or_default()
    {
        if service.env(name).is_none() {
            plain.push((name, value));
        }
    }
    (plain, secret)
}

/// The stated ports, or the one the image is known to listen on.
fn ports(service: &Service) -> Vec<Port> {
    let mut ports = service.ports.clone();
    let known = service.foreign_image().and_then(known_image);
    if let Some(known) = known
        && let Some(number) = known.port
        && !ports.iter().any(|port| port.container == number)
    {
        let name = Some(known.port_name.to_owned());
        ports.insert(0, Port { container: number, name, ..Port::default() });
    }
    let mut seen = Vec::new();
    ports.retain(|port| {
        let id = (port.container, port.protocol);
        let is_new = !seen.contains(&id);
        seen.push(id);
        is_new
    });
    ports
}

/// Labels of Compose are free text, as annotations are; labels of Kubernetes are not.
fn annotations(service: &Service) -> Vec<(&str, &str)> {
    let is_key = |key: &str| {
        let name = key.rsplit('/').next().unwrap_or(key);
        !name.is_empty()
            && name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
            && key.matches('/').count() <= 1
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
    };
    let labels = service.labels.iter().filter(|(key, _)| is_key(key));
    labels.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn configs<'a>(app: &'a App, service: &'a Service) -> Vec<(&'a str, &'a str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for file in &service.files {
        if let FileSource::Config(name) = &file.source
            && let Some(config) = app.config(name)
            && !found.iter().any(|(known, _)| known == name)
        {
            found.push((&config.name, &config.content));
        }
    }
    found
}

fn notes(component: &Component<'_>) -> Vec<String> {
    let name = component.name();
    let mut notes: Vec<String> = component.security.note.iter().cloned().collect();
    if !limits::are_stated(component.service) {
        notes.push(format!("`{name}` has default requests and limits; state `deploy.resources` for its own"));
    }
    for path in &component.storage.left_out {
        notes.push(format!("`{name}` mounts `{path}` from this machine, which a cluster does not have"));
    }
    if component.main_port().is_some()
        && component.probes.readiness.is_none()
        && component.kind != WorkloadKind::Job
    {
        notes.push(format!("`{name}` has no readiness probe, so it gets requests before it can answer"));
    }
    notes
}
