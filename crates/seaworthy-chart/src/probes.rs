//! Startup, readiness and liveness for a service: stated, or worked out from what is known.
//!
//! Readiness may depend on others, liveness never does: a database that is away must not restart the pods that wait
//! for it. So liveness asks for a path only when its name promises that, and else only whether the port answers.

use seaworthy_app::{HealthTest, Healthcheck, Probe, Service, WorkloadKind, known_image};
use serde_json::{Value, json};

const READINESS_PERIOD_S: u32 = 5;
const LIVENESS_PERIOD_S: u32 = 10;
const STARTUP_PERIOD_S: u32 = 1;
/// A service may take this long to start before it is restarted.
const STARTUP_PATIENCE_S: u32 = 120;

/// Last parts of paths that answer without asking anybody else.
const LIVE_PATHS: &[&str] = &["health", "healthz", "live", "livez", "alive", "ping", "up"];

/// Probes as they stand in values; `None` leaves one out.
#[derive(Debug, Default, PartialEq)]
pub struct Decided {
    pub startup: Option<Value>,
    pub readiness: Option<Value>,
    pub liveness: Option<Value>,
}

pub fn decide(service: &Service) -> Decided {
    if service.workload.kind == WorkloadKind::Job {
        return Decided::default();
    }
    let health = service.healthcheck.as_ref();
    let timeout_s = health.and_then(|health| health.timeout_s).unwrap_or(3).max(1);
    let retries = health.and_then(|health| health.retries).unwrap_or(3).max(1);
    let readiness = handler(service, service.probes.readiness.as_ref(), default_readiness);
    let liveness = handler(service, service.probes.liveness.as_ref(), default_liveness);
    let quick = || liveness.clone().or_else(|| readiness.clone());
    let startup = match &service.probes.startup {
        Some(probe) => stated(service, probe),
        None => readiness.clone().filter(|handler| handler.get("exec").is_some()).or_else(quick),
    };
    let patience_s = health.and_then(|health| health.start_period_s).unwrap_or(0).max(STARTUP_PATIENCE_S);
    let interval_s = health.and_then(|health| health.interval_s);
    let readiness_period_s =
        interval_s.map_or(READINESS_PERIOD_S, |stated| stated.clamp(1, READINESS_PERIOD_S));
    Decided {
        startup: startup.map(|h| timed(h, STARTUP_PERIOD_S, timeout_s, patience_s / STARTUP_PERIOD_S)),
        readiness: readiness.map(|h| timed(h, readiness_period_s, timeout_s, retries)),
        liveness: liveness.map(|h| timed(h, LIVENESS_PERIOD_S, timeout_s.max(5), 3)),
    }
}

fn timed(mut handler: Value, period_s: u32, timeout_s: u32, failures: u32) -> Value {
    if let Value::Object(map) = &mut handler {
        map.insert("periodSeconds".to_owned(), json!(period_s));
        map.insert("timeoutSeconds".to_owned(), json!(timeout_s));
        map.insert("failureThreshold".to_owned(), json!(failures));
    }
    handler
}

fn handler(
    service: &Service,
    probe: Option<&Probe>,
    default: fn(&Service) -> Option<Value>,
) -> Option<Value> {
    match probe {
        Some(probe) => stated(service, probe),
        None => default(service),
    }
}

fn stated(service: &Service, probe: &Probe) -> Option<Value> {
    match probe {
        Probe::Off => None,
        Probe::Http { path, port } => Some(http(path, named(service, (*port).or(service.main_port())?))),
        Probe::Tcp { port } => Some(tcp(named(service, (*port).or(service.main_port())?))),
        Probe::Exec { command } => Some(exec(command)),
    }
}

fn default_readiness(service: &Service) -> Option<Value> {
    match service.healthcheck.as_ref().map(|health| &health.test) {
        Some(HealthTest::Disabled) => None,
        Some(test) => Some(from_health_test(service, test)),
        None => match service.foreign_image().and_then(known_image) {
            Some(known) => Some(shell(known.ready)),
            None => service.main_port().map(|port| tcp(named(service, port))),
        },
    }
}

fn default_liveness(service: &Service) -> Option<Value> {
    if let Some(known) = service.foreign_image().and_then(known_image) {
        return known.live.map(shell);
    }
    let health = service.healthcheck.as_ref();
    if health.is_some_and(|health| health.test == HealthTest::Disabled) {
        return None;
    }
    let asked = health.and_then(asked_url).filter(|url| is_live_path(&url.path));
    match asked {
        Some(Asked { port, path }) => Some(http(&path, named(service, port))),
        None => service.main_port().map(|port| tcp(named(service, port))),
    }
}

fn from_health_test(service: &Service, test: &HealthTest) -> Value {
    if let Some(Asked { port, path }) = asked_in(test) {
        return http(&path, named(service, port));
    }
    match test {
        HealthTest::Exec(words) => exec(&over_tcp(service, words)),
        HealthTest::Shell(line) => shell(&over_tcp(service, &[line.as_str()]).join(" ")),
        HealthTest::Disabled => Value::Null,
    }
}

/// While PostgreSQL makes its first database, a temporary server answers on the socket file and on no port: a
/// check of the socket would call it ready too early.
fn over_tcp<T: AsRef<str>>(service: &Service, words: &[T]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
    let is_postgres =
        service.foreign_image().and_then(known_image).is_some_and(|known| known.name == "postgres");
    let line = words.join(" ");
    match words.first().and_then(|first| first.strip_prefix("pg_isready")) {
        Some(rest) if is_postgres && !line.contains("-h") && !line.contains("--host") => {
            let head = ["pg_isready", "-h", "127.0.0.1"]
                .into_iter()
                .chain(Some(rest.trim()).filter(|rest| !rest.is_empty()));
            head.map(str::to_owned).chain(words[1..].iter().cloned()).collect()
        }
        _ => words,
    }
}

fn is_live_path(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    LIVE_PATHS.contains(&last)
}

/// A URL of the container itself that a health check asks with `curl` or `wget`.
#[derive(Debug, PartialEq)]
struct Asked {
    port: u16,
    path: String,
}

fn asked_url(health: &Healthcheck) -> Option<Asked> {
    asked_in(&health.test)
}

fn asked_in(test: &HealthTest) -> Option<Asked> {
    let line = match test {
        HealthTest::Exec(words) => words.join(" "),
        HealthTest::Shell(line) => line.clone(),
        HealthTest::Disabled => return None,
    };
    let mut words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let program = words.next()?;
    // The cluster asks without a program in the image. What is piped or compared must stay a command.
    if !matches!(program.rsplit('/').next(), Some("curl" | "wget"))
        || line.contains('|') && !line.contains("||")
    {
        return None;
    }
    let url = words.find(|word| word.starts_with("http://"))?.strip_prefix("http://")?;
    let (authority, path) = url.split_once('/').unwrap_or((url, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let is_own = matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0");
    is_own.then_some(Asked { port: port.parse().ok()?, path: format!("/{path}") })
}

/// The name of the port when the service has it, because names survive a change of number.
fn named(service: &Service, port: u16) -> Value {
    let found = service.ports.iter().find(|own| own.container == port).and_then(|own| own.name.clone());
    let known = service.foreign_image().and_then(known_image).filter(|known| known.port == Some(port));
    match found.or_else(|| known.map(|known| known.port_name.to_owned())) {
        Some(name) => json!(name),
        None => json!(port),
    }
}

fn http(path: &str, port: Value) -> Value {
    json!({"httpGet": {"path": path, "port": port}})
}

fn tcp(port: Value) -> Value {
    json!({"tcpSocket": {"port": port}})
}

fn exec(command: &[String]) -> Value {
    json!({"exec": {"command": command}})
}

fn shell(line: &str) -> Value {
    json!({"exec": {"command": ["/bin/sh", "-c", line]}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaworthy_app::{Image, Port};

    fn service(change: impl FnOnce(&mut Service)) -> Service {
        let mut service = Service::new("web");
        service.ports.push(Port { container: 8000, name: Some("http".into()), ..Port::default() });
        change(&mut service);
        service
    }

    fn show(probe: Option<Value>) -> String {
        let Some(probe) = probe else { return "-".to_owned() };
        let every = &probe["periodSeconds"];
        let what = match (probe.get("httpGet"), probe.get("tcpSocket"), probe.get("exec")) {
            (Some(http), ..) => format!("GET {}{}", http["port"], http["path"]),
            (_, Some(tcp), _) => format!("tcp {}", tcp["port"]),
            (.., Some(exec)) => format!("{}", exec["command"]),
            _ => "?".to_owned(),
        };
        format!("{what}@{every}").replace('"', "")
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Service), startup: &str, readiness: &str, liveness: &str) {
        let decided = decide(&service(change));
        let shown = [show(decided.startup), show(decided.readiness), show(decided.liveness)];
        assert_eq!(shown, [startup, readiness, liveness]);
    }

    fn health(test: HealthTest) -> Option<Healthcheck> {
        Some(Healthcheck::new(test))
    }

    #[test]
    fn a_port_alone_is_asked_whether_it_answers() {
        check(|_| {}, "tcp http@1", "tcp http@5", "tcp http@10");
    }

    #[test]
    fn stated_paths_are_used_and_startup_takes_the_one_that_asks_nobody() {
        check(
            |service| {
                service.probes.readiness = Some(Probe::Http { path: "/ready".into(), port: None });
                service.probes.liveness = Some(Probe::Http { path: "/health".into(), port: None });
            },
            "GET http/health@1",
            "GET http/ready@5",
            "GET http/health@10",
        );
    }

    #[test]
    fn a_curl_of_itself_becomes_a_request_of_the_cluster() {
        let test = HealthTest::Shell("curl -f http://localhost:8000/health || exit 1".into());
        check(
            |s| s.healthcheck = health(test),
            "GET http/health@1",
            "GET http/health@5",
            "GET http/health@10",
        );
    }

    #[test]
    fn a_path_that_may_ask_the_database_is_not_used_for_liveness() {
        let test = HealthTest::Exec(["wget", "-q", "http://127.0.0.1:8000/ready"].map(Into::into).into());
        check(|s| s.healthcheck = health(test), "tcp http@1", "GET http/ready@5", "tcp http@10");
    }

    #[test]
    fn the_database_is_never_restarted_for_being_slow() {
        check(
            |s| {
                s.image = Image::Reference("postgres:16-alpine".into());
                s.ports.clear();
                s.healthcheck = health(HealthTest::Shell("pg_isready -U todo".into()));
            },
            "[/bin/sh,-c,pg_isready -h 127.0.0.1 -U todo]@1",
            "[/bin/sh,-c,pg_isready -h 127.0.0.1 -U todo]@5",
            "-",
        );
    }

    #[test]
    fn redis_is_asked_by_its_own_client() {
        check(
            |s| {
                s.image = Image::Reference("redis:7-alpine".into());
                s.ports.clear();
            },
            "[/bin/sh,-c,redis-cli ping | grep -q PONG]@1",
            "[/bin/sh,-c,redis-cli ping | grep -q PONG]@5",
            "[/bin/sh,-c,redis-cli ping]@10",
        );
    }

    #[test]
    fn a_disabled_check_and_a_job_have_no_probes() {
        check(|s| s.healthcheck = health(HealthTest::Disabled), "-", "-", "-");
        check(|s| s.workload.kind = WorkloadKind::Job, "-", "-", "-");
    }
}
