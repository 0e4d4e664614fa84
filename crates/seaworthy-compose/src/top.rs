//! The file as a whole: name, profiles, services, and the volumes, secrets, configs and networks they share.
//!
//! Start at [`load`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use seaworthy_app::{App, ConfigFile, SecretValue, Volume, infer};

use crate::error::{Fault, Problem, Result};
use crate::extends::Reader;
use crate::node::{Entry, Mark, Node, Source};
use crate::section::{Key, Section, WHOLE_FILE, carried, dropped};
use crate::variables::Variables;
use crate::{
    Report, Request, checks, dotenv, extension, files, interpolate, merge, scalars, secrets, service,
};

const KEYS: &[Key] = &[
    carried("name"),
    carried("services"),
    carried("volumes"),
    carried("networks"),
    carried("secrets"),
    carried("configs"),
    dropped("version", "Compose no longer reads it"),
    dropped("models", "models are not run by Seaworthy yet"),
];

const VOLUME_KEYS: &[Key] = &[
    carried("name"),
    carried("external"),
    dropped("driver", "the cluster's storage class decides; see `x-seaworthy: class`"),
    dropped("driver_opts", "the cluster's storage class decides; see `x-seaworthy: class`"),
    dropped("labels", "labels of volumes are not carried over"),
];

const NETWORK_KEYS: &[Key] = &[
    carried("name"),
    dropped("driver", "a cluster has one network"),
    dropped("driver_opts", "a cluster has one network"),
    dropped("external", "a cluster has one network"),
    dropped("internal", "a cluster has one network"),
    dropped("attachable", "a cluster has one network"),
    dropped("enable_ipv4", "a cluster has one network"),
    dropped("enable_ipv6", "a cluster has one network"),
    dropped("ipam", "the cluster gives out addresses"),
    dropped("labels", "labels of networks are not carried over"),
];

/// What the services of one file share while they are converted.
pub struct Cx<'a> {
    pub folder: &'a Path,
    pub variables: Variables,
    pub sources: &'a mut Vec<Source>,
    pub report: &'a mut Report,
    pub secrets: Vec<SecretValue>,
    pub configs: Vec<ConfigFile>,
    /// Definitions at the top of the file, by name.
    pub defined: Defined<'a>,
    /// Names of volumes that services use.
    pub used_volumes: BTreeSet<String>,
}

/// The sections at the top of the file.
#[derive(Clone)]
pub struct Defined<'a> {
    pub volumes: Section<'a>,
    pub networks: Section<'a>,
    pub secrets: Section<'a>,
    pub configs: Section<'a>,
}

pub fn load(request: &Request, sources: &mut Vec<Source>, report: &mut Report) -> Result<App> {
    let mut variables = variables(request, sources)?;
    let root = read_tree(request, &mut variables, sources, report)?;
    let top = Section::new(&root, WHOLE_FILE)?;
    top.account(KEYS, report)?;
    let extension = extension::app(&root, report)?;
    let name = app_name(request, &top, &variables)?;
    let active = active_services(request, &root, &variables, &extension.profiles)?;
    let at_top = |key: &str| match root.get(key) {
        Some(node) => Section::new(node, key),
        None => Ok(Section::empty(key, root.mark)),
    };
    let defined = Defined {
        volumes: at_top("volumes")?,
        networks: at_top("networks")?,
        secrets: at_top("secrets")?,
        configs: at_top("configs")?,
    };
    let mut cx = Cx {
        folder: &request.folder,
        variables,
        sources,
        report,
        secrets: Vec::new(),
        configs: Vec::new(),
        defined,
        used_volumes: BTreeSet::new(),
    };
    let mut services = Vec::with_capacity(active.len());
    for entry in &active {
        services.push(service::convert(&mut cx, entry)?);
    }
    let volumes = volumes(&mut cx)?;
    account_networks(&mut cx)?;
    secrets::add_variables(&mut cx);
    let mut app =
        App { name, services, volumes, configs: cx.configs, secrets: cx.secrets, ingress: extension.ingress };
    checks::check(&app, &active, &root)?;
    infer::complete(&mut app);
    if extension.ingress_off {
        app.ingress.enabled = false;
    }
    Ok(app)
}

/// The environment over `.env`.
fn variables(request: &Request, sources: &mut Vec<Source>) -> Result<Variables> {
    let mut values = BTreeMap::new();
    let path = request.folder.join(".env");
    if path.is_file() {
        let text = files::read(&path)?;
        let file = files::register(sources, &request.folder, &path, "");
        let environment = Variables::new(request.environment.clone());
        values.extend(dotenv::parse(&text, file, &environment)?);
    }
    values.extend(request.environment.clone());
    Ok(Variables::new(values))
}

/// All files, references replaced, laid over each other.
fn read_tree(
    request: &Request,
    variables: &mut Variables,
    sources: &mut Vec<Source>,
    report: &mut Report,
) -> Result<Node> {
    let mut trees = Vec::new();
    for path in files::to_load(request)? {
        let mut reader = Reader { folder: &request.folder, sources, report };
        trees.push(reader.read(&path, 0)?);
    }
    for tree in &trees {
        variables.generate.extend(extension::generated(tree)?);
    }
    let mut whole: Option<Node> = None;
    for mut tree in trees {
        interpolate::interpolate(&mut tree, variables)?;
        whole = Some(match whole {
            None => tree,
            Some(base) => merge::merge(base, tree, ""),
        });
    }
    whole.ok_or_else(|| Fault::nowhere(Problem::NoFile { folder: request.folder.clone() }, None))
}

fn app_name(request: &Request, top: &Section<'_>, variables: &Variables) -> Result<String> {
    let stated = top.text("name")?;
    let asked = request.name.as_deref().or_else(|| variables.get("COMPOSE_PROJECT_NAME"));
    let folder = || {
        let absolute = std::path::absolute(&request.folder).unwrap_or_else(|_| request.folder.clone());
        absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let wanted = asked.map(str::to_owned).or(stated).unwrap_or_else(folder);
    let label = scalars::dns_label(&wanted);
    // A release may not begin with a digit where its name becomes a Service.
    let label = if label.starts_with(|c: char| c.is_ascii_digit()) { format!("app-{label}") } else { label };
    if label.is_empty() {
        let mark = top.get("name").map_or(top.mark, |node| node.mark);
        return Fault::hinted(
            mark,
            Problem::BadName { what: "an app", name: wanted },
            "use letters, digits and dashes",
        );
    }
    Ok(label)
}

/// The services that have no profile or an active one. `default` counts when nobody names a profile.
fn active_services<'a>(
    request: &Request,
    root: &'a Node,
    variables: &Variables,
    default: &[String],
) -> Result<Vec<&'a Entry>> {
    let no_services = || Fault::at(root.mark, Problem::NoServices);
    let Some(services) = root.get("services") else { return no_services() };
    let services = Section::new(services, "services")?;
    let named = variables.get("COMPOSE_PROFILES").unwrap_or_default().split(',');
    let named = named.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let mut profiles: BTreeSet<String> = request.profiles.iter().cloned().chain(named).collect();
    if profiles.is_empty() {
        profiles.extend(default.iter().cloned());
    }
    let mut active = Vec::new();
    for entry in services.entries() {
        let own = Section::new(&entry.node, services.below(&entry.key))?.texts("profiles")?;
        if own.is_empty() || profiles.contains("*") || own.iter().any(|profile| profiles.contains(profile)) {
            active.push(entry);
        }
    }
    if active.is_empty() { no_services() } else { Ok(active) }
}

fn volumes(cx: &mut Cx<'_>) -> Result<Vec<Volume>> {
    let section = cx.defined.volumes.clone();
    let mut volumes = Vec::new();
    for entry in section.entries() {
        let own = Section::new(&entry.node, section.below(&entry.key))?;
        own.account(VOLUME_KEYS, cx.report)?;
        if !cx.used_volumes.contains(&entry.key) {
            continue;
        }
        let extension = extension::volume(&entry.node, &own.path, cx.report)?;
        let name = scalars::dns_label(&entry.key);
        let external = own.flag("external")?.unwrap_or(false);
        let claim = own.text("name")?.unwrap_or_else(|| name.clone());
        volumes.push(Volume {
            name,
            size_bytes: extension.size_bytes,
            class: extension.class,
            external: external.then_some(claim),
        });
    }
    Ok(volumes)
}

fn account_networks(cx: &mut Cx<'_>) -> Result<()> {
    let section = cx.defined.networks.clone();
    for entry in section.entries() {
        Section::new(&entry.node, section.below(&entry.key))?.account(NETWORK_KEYS, cx.report)?;
    }
    Ok(())
}

/// Refuses a name that `section` does not define.
pub fn defined<'a>(
    section: &Section<'a>,
    service: &str,
    what: &'static str,
    name: &str,
    mark: Mark,
) -> Result<&'a Entry> {
    if let Some(entry) = section.entry(name) {
        return Ok(entry);
    }
    let names = section.entries().iter().map(|entry| entry.key.as_str());
    let hint = crate::error::did_you_mean(name, names)
        .unwrap_or_else(|| format!("add it under `{}:` at the top of the file", section.path));
    let problem = Problem::Undefined { service: service.to_owned(), what, name: name.to_owned() };
    Fault::hinted(mark, problem, hint)
}
