//! What must hold between services once each of them is understood by itself.

use seaworthy_app::{App, Protocol, infer};

use crate::error::{Fault, Problem, Result, did_you_mean};
use crate::node::{Entry, Mark, Node};

/// Refuses unknown dependencies, cycles among them, and ports of the host that two services want.
pub fn check(app: &App, entries: &[&Entry], root: &Node) -> Result<()> {
    dependencies_exist(app, entries, root)?;
    no_cycle(app, entries)?;
    ports_are_free(app, entries)
}

fn dependencies_exist(app: &App, entries: &[&Entry], root: &Node) -> Result<()> {
    for (service, entry) in app.services.iter().zip(entries) {
        for dependency in service.depends_on.iter().filter(|dependency| dependency.required) {
            let missing = &dependency.service;
            if app.service(missing).is_some() {
                continue;
            }
            let inactive = root.get("services").is_some_and(|services| services.get(missing).is_some());
            let hint = if inactive {
                Some(format!("`{missing}` belongs to a profile that is not active; name it with `--profile`"))
            } else {
                did_you_mean(missing, app.services.iter().map(|other| other.name.as_str()))
            };
            let problem =
                Problem::UnknownDependency { service: service.name.clone(), missing: missing.clone() };
            return Err(Box::new(Fault { problem, mark: Some(dependency_mark(entry, missing)), hint }));
        }
    }
    Ok(())
}

fn no_cycle(app: &App, entries: &[&Entry]) -> Result<()> {
    let Some(cycle) = infer::dependency_cycle(app) else { return Ok(()) };
    let mark =
        entries.iter().find(|entry| entry.key == cycle[0]).map(|entry| dependency_mark(entry, &cycle[1]));
    let hint =
        Some("remove one of these `depends_on`; readiness makes services wait by themselves".to_owned());
    Err(Box::new(Fault { problem: Problem::DependencyCycle { cycle }, mark, hint }))
}

fn dependency_mark(service: &Entry, dependency: &str) -> Mark {
    let entry = service.node.get("depends_on").and_then(|node| node.entry(dependency));
    entry.map_or(service.key_mark, |entry| entry.key_mark)
}

fn ports_are_free(app: &App, entries: &[&Entry]) -> Result<()> {
    let mut taken: Vec<(u16, Protocol, Option<&str>, &str)> = Vec::new();
    for (service, entry) in app.services.iter().zip(entries) {
        for port in &service.ports {
            let Some(published) = port.published else { continue };
            let ip = port.host_ip.as_deref().filter(|ip| !matches!(*ip, "0.0.0.0" | "::"));
            let clashes = |other: &&(u16, Protocol, Option<&str>, &str)| {
                other.0 == published
                    && other.1 == port.protocol
                    && (other.2 == ip || other.2.is_none() || ip.is_none())
            };
            if let Some((_, _, _, first)) = taken.iter().find(clashes) {
                let (first, second) = ((*first).to_owned(), service.name.clone());
                let mark = entry.node.get("ports").map_or(entry.key_mark, |ports| ports.mark);
                let hint = format!(
                    "publish another one, for example `{}:{}`",
                    next_free(app, published),
                    port.container
                );
                return Fault::hinted(mark, Problem::PortTaken { first, second, port: published }, hint);
            }
            taken.push((published, port.protocol, ip, &service.name));
        }
    }
    Ok(())
}

fn next_free(app: &App, port: u16) -> u16 {
    let used = |port: u16| {
        app.services.iter().flat_map(|service| &service.ports).any(|own| own.published == Some(port))
    };
    (port.saturating_add(1)..=u16::MAX).find(|&port| !used(port)).unwrap_or(port)
}
