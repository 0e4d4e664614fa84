//! Works out what a Compose file does not state: kinds of workloads, names of ports, routes.
//!
//! Every guess is a pure function of the model, leaves what was stated alone, and carries its reason.
//!
//! Start at [`complete`].

use std::collections::BTreeSet;

use crate::{
    App, EnvValue, FileSource, Image, Mount, Protocol, Route, Service, Workload, WorkloadKind, known_image,
};

/// Names of services that are a web front when nothing says otherwise.
const FRONT_NAMES: &[&str] = &["frontend", "web", "ui", "www", "app", "site", "gateway", "proxy"];

/// Names of services that answer under `/api` when nothing says otherwise.
const API_NAMES: &[&str] = &["backend", "api", "server"];

/// Fills in workload kinds, port names, routes and the ingress of `app`.
///
/// What is already there stays: a workload with a reason, a port with a name, an app with a route.
pub fn complete(app: &mut App) {
    let awaited = services_awaited_to_end(app);
    let shared = volumes_of_several_services(app);
    for service in &mut app.services {
        if service.workload.reason.is_empty() {
            service.workload = workload(service, &awaited, &shared);
        }
        name_ports(service);
    }
    if app.services.iter().all(|service| service.routes.is_empty()) {
        infer_routes(app);
    }
    app.ingress.enabled = app.services.iter().any(|service| !service.routes.is_empty());
    if app.ingress.host.is_empty() {
        app.ingress.host = format!("{}.localhost", app.name);
    }
}

fn services_awaited_to_end(app: &App) -> BTreeSet<String> {
    let awaits = |service: &Service| service.depends_on.clone();
    app.services
        .iter()
        .flat_map(awaits)
        .filter(|dependency| dependency.condition == crate::Condition::CompletedSuccessfully)
        .map(|dependency| dependency.service)
        .collect()
}

fn volumes_of_several_services(app: &App) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut shared = BTreeSet::new();
    for service in &app.services {
        let own: BTreeSet<&String> = volumes_of(service).collect();
        for volume in own {
            if !seen.insert(volume.clone()) {
                shared.insert(volume.clone());
            }
        }
    }
    shared
}

fn volumes_of(service: &Service) -> impl Iterator<Item = &String> {
    service.mounts.iter().filter_map(|mount| match mount {
        Mount::Volume { volume, .. } => Some(volume),
        _ => None,
    })
}

fn workload(service: &Service, awaited: &BTreeSet<String>, shared: &BTreeSet<String>) -> Workload {
    let of = |kind, reason: String| Workload { kind, reason };
    if awaited.contains(&service.name) {
        return of(WorkloadKind::Job, "another service waits until it has completed".to_owned());
    }
    if service.runs_once && service.ports.is_empty() {
        return of(WorkloadKind::Job, "it is not restarted when it ends and listens on no port".to_owned());
    }
    if let Some(known) = service.foreign_image().and_then(known_image) {
        return of(WorkloadKind::StatefulSet, format!("`{}` is a data store", known.name));
    }
    match volumes_of(service).find(|volume| !shared.contains(*volume)) {
        Some(volume) => of(WorkloadKind::StatefulSet, format!("it alone uses the volume `{volume}`")),
        None => of(WorkloadKind::Deployment, "it keeps no data of its own".to_owned()),
    }
}

/// Gives every port a name that is unique in the service and short enough for Kubernetes.
pub fn name_ports(service: &mut Service) {
    let known = service.foreign_image().and_then(known_image);
    let mut taken: BTreeSet<String> = service.ports.iter().filter_map(|port| port.name.clone()).collect();
    for port in service.ports.iter_mut().filter(|port| port.name.is_none()) {
        let preferred = match (known, port.protocol) {
            (Some(known), Protocol::Tcp) if known.port == Some(port.container) => known.port_name.to_owned(),
            (_, Protocol::Tcp) => "http".to_owned(),
            (_, Protocol::Udp) => "udp".to_owned(),
            (_, Protocol::Sctp) => "sctp".to_owned(),
        };
        let name =
            if taken.contains(&preferred) { format!("{preferred}-{}", port.container) } else { preferred };
        taken.insert(name.clone());
        port.name = Some(name);
    }
}

/// `/` goes to the published web front, `/api` to the backend beside it.
fn infer_routes(app: &mut App) {
    let Some(front) = front(app) else { return };
    let api = find_named(app, API_NAMES).filter(|&api| api != front);
    if let Some(api) = api
        && app.services[api].ports.iter().any(|port| port.is_published)
    {
        add_route(&mut app.services[api], "/api");
    }
    add_route(&mut app.services[front], "/");
}

/// By name, else the only service that publishes a port and is not a data store.
fn front(app: &App) -> Option<usize> {
    if let Some(named) = find_named(app, FRONT_NAMES)
        && app.services[named].main_port().is_some()
    {
        return Some(named);
    }
    let mut candidates = app.services.iter().enumerate().filter(|(_, service)| {
        service.foreign_image().and_then(known_image).is_none()
            && service.ports.iter().any(|port| port.is_published && port.protocol == Protocol::Tcp)
    });
    let first = candidates.next()?.0;
    candidates.next().is_none().then_some(first)
}

fn find_named(app: &App, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| app.services.iter().position(|service| service.name == *name))
}

fn add_route(service: &mut Service, path: &str) {
    if let Some(port) = service.main_port() {
        service.routes.push(Route { path: path.to_owned(), host: None, port });
    }
}

/// The first cycle among dependencies, as the names along it with the first one repeated at the end.
pub fn dependency_cycle(app: &App) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    app.services.iter().find_map(|service| visit(app, &service.name, &mut Vec::new(), &mut done))
}

fn visit(app: &App, name: &str, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
    if let Some(at) = path.iter().position(|seen| seen == name) {
        let mut cycle = path[at..].to_vec();
        cycle.push(name.to_owned());
        return Some(cycle);
    }
    if done.contains(name) {
        return None;
    }
    path.push(name.to_owned());
    let dependencies = app.service(name).map(|service| service.depends_on.as_slice()).unwrap_or_default();
    let found = dependencies.iter().find_map(|dependency| visit(app, &dependency.service, path, done));
    path.pop();
    done.insert(name.to_owned());
    found
}

/// Whether the text names `service` as a host: `http://backend:8000`, `backend:8000` or `backend`.
fn names_host(text: &str, service: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(service).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + service.len()..].chars().next();
        let starts = before.is_none_or(|c| matches!(c, '/' | '@' | ',' | '=' | ' ' | '"' | '['));
        // A dot goes on to the long name: `backend.todo.svc.cluster.local`.
        let ends = after.is_none_or(|c| !is_name(c));
        starts && ends
    })
}

/// Whether other services reach `service`: it states a port, is known to listen, or another one names it.
pub fn needs_service(app: &App, service: &Service) -> bool {
    if service.workload.kind == WorkloadKind::Job {
        return false;
    }
    service.main_port().is_some() || !service.ports.is_empty() || is_named_by_another(app, service)
}

fn is_named_by_another(app: &App, service: &Service) -> bool {
    let others = app.services.iter().filter(|other| other.name != service.name);
    others.flat_map(|other| &other.environment).any(|var| match &var.value {
        EnvValue::Plain(text) => names_host(text, &service.name),
        EnvValue::Secret { key } => app.secret(key).is_some_and(|secret| match &secret.source {
            crate::SecretSource::Generate => false,
            crate::SecretSource::Given(text) | crate::SecretSource::Template(text) => {
                names_host(text.reveal(), &service.name)
            }
        }),
    })
}

/// Images that must exist before the app can run, in the order of the services, each once.
pub fn images(app: &App) -> Vec<(&Service, String)> {
    let mut seen = BTreeSet::new();
    app.services
        .iter()
        .map(|service| (service, app.image_name(service)))
        .filter(|(service, name)| seen.insert((matches!(service.image, Image::Build(_)), name.clone())))
        .collect()
}

/// Keys of secrets that `service` needs, as environment or as files.
pub fn secret_keys(service: &Service) -> BTreeSet<String> {
    let from_env = service.environment.iter().filter_map(|var| match &var.value {
        EnvValue::Secret { key } => Some(key.clone()),
        EnvValue::Plain(_) => None,
    });
    let from_files = service.files.iter().filter_map(|file| match &file.source {
        FileSource::Secret(key) => Some(key.clone()),
        FileSource::Config(_) => None,
    });
    from_env.chain(from_files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Dependency, EnvVar, Port, SecretSource, SecretText, SecretValue};

    /// `frontend:3000 backend:8000>redis worker` : name, published port, dependencies.
    fn app(services: &str) -> App {
        let services = services.split_whitespace().map(|text| {
            let (head, needs) = text.split_once('>').unwrap_or((text, ""));
            let (name, port) = head.split_once(':').unwrap_or((head, ""));
            let mut service = Service::new(name);
            if let Ok(container) = port.parse() {
                service.ports.push(Port { container, is_published: true, ..Port::default() });
            }
            service.depends_on = needs.split(',').filter(|need| !need.is_empty()).map(depends).collect();
            service
        });
        App { name: "todo".into(), services: services.collect(), ..App::default() }
    }

    fn depends(text: &str) -> Dependency {
        let (name, condition) = match text.strip_suffix('!') {
            Some(name) => (name, Condition::CompletedSuccessfully),
            None => (text, Condition::Started),
        };
        Dependency { service: name.to_owned(), condition, required: true }
    }

    #[track_caller]
    fn check_routes(services: &str, expect: &str) {
        let mut app = app(services);
        complete(&mut app);
        let routes = app.services.iter().flat_map(|service| {
            service.routes.iter().map(|route| format!("{}={}:{}", route.path, service.name, route.port))
        });
        assert_eq!(routes.collect::<Vec<_>>().join(" "), expect, "{services}");
    }

    #[test]
    fn the_front_gets_the_root_and_the_backend_gets_api() {
        check_routes("frontend:3000 backend:8000 mcp-server:8001", "/=frontend:3000 /api=backend:8000");
    }

    #[test]
    fn the_only_published_service_gets_the_root_whatever_its_name() {
        check_routes("shop:80 worker", "/=shop:80");
    }

    #[test]
    fn two_published_services_without_a_telling_name_get_no_route() {
        check_routes("red:80 blue:81", "");
    }

    #[track_caller]
    fn check_kind(change: impl FnOnce(&mut App), expect: WorkloadKind, reason: &str) {
        let mut app = app("one two");
        change(&mut app);
        complete(&mut app);
        let workload = &app.services[0].workload;
        assert_eq!((workload.kind, workload.reason.as_str()), (expect, reason));
    }

    fn volume(name: &str) -> Mount {
        Mount::Volume { volume: name.into(), target: "/data".into(), read_only: false, sub_path: None }
    }

    #[test]
    fn a_service_without_data_is_a_deployment() {
        check_kind(|_| {}, WorkloadKind::Deployment, "it keeps no data of its own");
    }

    #[test]
    fn a_known_data_store_is_a_stateful_set() {
        check_kind(
            |app| app.services[0].image = Image::Reference("redis:7-alpine".into()),
            WorkloadKind::StatefulSet,
            "`redis` is a data store",
        );
    }

    #[test]
    fn a_service_that_owns_a_volume_is_a_stateful_set() {
        check_kind(
            |app| app.services[0].mounts.push(volume("uploads")),
            WorkloadKind::StatefulSet,
            "it alone uses the volume `uploads`",
        );
    }

    #[test]
    fn a_volume_that_two_services_share_makes_no_stateful_set() {
        check_kind(
            |app| app.services.iter_mut().for_each(|service| service.mounts.push(volume("uploads"))),
            WorkloadKind::Deployment,
            "it keeps no data of its own",
        );
    }

    #[test]
    fn a_service_others_wait_to_end_is_a_job() {
        check_kind(
            |app| app.services[1].depends_on.push(depends("one!")),
            WorkloadKind::Job,
            "another service waits until it has completed",
        );
    }

    #[track_caller]
    fn check_cycle(services: &str, expect: Option<&str>) {
        let cycle = dependency_cycle(&app(services)).map(|names| names.join(" -> "));
        assert_eq!(cycle.as_deref(), expect, "{services}");
    }

    #[test]
    fn a_cycle_is_told_from_where_it_closes() {
        check_cycle("a>b b>c c>b", Some("b -> c -> b"));
        check_cycle("a>a", Some("a -> a"));
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        check_cycle("a>b,c b>d c>d d", None);
    }

    #[track_caller]
    fn check_named(text: &str, expect: bool) {
        assert_eq!(names_host(text, "backend"), expect, "{text}");
    }

    #[test]
    fn a_host_is_named_by_itself_in_a_url_and_in_a_list() {
        check_named("http://backend:8000/api", true);
        check_named("backend", true);
        check_named("one:1,backend:2", true);
        check_named("redis://u:p@backend", true);
        check_named("http://backend.todo.svc.cluster.local", true);
    }

    #[test]
    fn longer_names_that_contain_a_host_do_not_name_it() {
        check_named("http://old-backend:8000", false);
        check_named("backends", false);
        check_named("backend-2:80", false);
    }

    #[test]
    fn a_service_without_ports_is_reachable_when_a_secret_url_names_it() {
        let mut app = app("db web");
        app.secrets.push(SecretValue {
            key: "DATABASE_URL".into(),
            services: vec!["web".into()],
            source: SecretSource::Template(SecretText::new("postgres://u:${PW}@db/x")),
        });
        let value = EnvValue::Secret { key: "DATABASE_URL".into() };
        app.services[1].environment.push(EnvVar { name: "DATABASE_URL".into(), value });
        assert!(needs_service(&app, &app.services[0]));
        assert!(!needs_service(&app, &app.services[1]));
    }

    #[test]
    fn ports_of_one_service_get_different_names() {
        let mut app = app("web:80");
        app.services[0].ports.push(Port { container: 81, ..Port::default() });
        complete(&mut app);
        let names: Vec<_> = app.services[0].ports.iter().filter_map(|port| port.name.as_deref()).collect();
        assert_eq!(names, ["http", "http-81"]);
    }
}
