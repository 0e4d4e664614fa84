//! Our reading of Compose files beside Docker's own.
//!
//! `tests/oracle/cases.json` names the cases, `tests/oracle/recorded.json` is what `tools/compose-oracle` (Docker's
//! parser) made of them. What both models have must agree: services, images, words, variables, ports, mounts,
//! dependencies, health checks, amounts. Start at [`compare`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use seaworthy_app::{App, Condition, EnvValue, FileSource, HealthTest, Image, Mount, Protocol, Service};
use seaworthy_compose::{Request, load};
use serde::Deserialize;
use serde_json::{Map, Value, json};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(name)
}

#[derive(Deserialize)]
struct Case {
    name: String,
    folder: PathBuf,
    files: Vec<String>,
    /// Takes the place of `.env`.
    env_file: String,
    profiles: Vec<String>,
    environment: BTreeMap<String, String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(&std::fs::read_to_string(place("cases.json")).unwrap()).unwrap()
}

fn recorded() -> Map<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(place("recorded.json")).unwrap()).unwrap()
}

#[test]
fn every_service_is_read_as_docker_reads_it() {
    let recorded = recorded();
    let mut wrong = Vec::new();
    for case in cases() {
        let theirs = &recorded[&case.name];
        match (ours(&case), &theirs["error"]) {
            (Ok(app), Value::Null) => compare(&case.name, &app, &theirs["services"], &mut wrong),
            (Err(_), Value::String(_)) => {}
            (Ok(_), said) => wrong.push(format!("{}: Docker refuses it: {said}", case.name)),
            (Err(said), _) => wrong.push(format!("{}: only we refuse it: {said}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Loads a copy of the case's folder, because the file of variables is always `.env` for us.
fn ours(case: &Case) -> Result<App, String> {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(place("").join(&case.folder)).unwrap().map(Result::unwrap) {
        // Somebody's own `.env` is no part of the case.
        if entry.file_type().unwrap().is_file() && entry.file_name() != ".env" {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    // What is generated where nobody gives it is an error for Docker; it is no case of this comparison.
    for file in &case.files {
        let path = copy.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let kept =
            text.lines().filter(|line| !line.starts_with("  generate:")).map(|line| line.to_owned() + "\n");
        std::fs::write(path, kept.collect::<String>()).unwrap();
    }
    if !case.env_file.is_empty() {
        std::fs::copy(copy.path().join(&case.env_file), copy.path().join(".env")).unwrap();
    }
    // A secret's file is read when it is mounted; Docker's parser does not look for it.
    std::fs::create_dir(copy.path().join("secrets")).unwrap();
    for name in ["database_url", "better_auth_secret", "postgres_password"] {
        std::fs::write(copy.path().join("secrets").join(name), "content").unwrap();
    }
    let request = Request {
        folder: copy.path().to_owned(),
        files: case.files.iter().map(PathBuf::from).collect(),
        profiles: case.profiles.clone(),
        environment: case.environment.clone(),
        name: None,
    };
    load(&request).map(|loaded| loaded.app).map_err(|error| error.explain())
}

fn compare(case: &str, app: &App, theirs: &Value, wrong: &mut Vec<String>) {
    let ours: BTreeMap<&str, &Service> =
        app.services.iter().map(|service| (service.name.as_str(), service)).collect();
    let theirs = theirs.as_object().unwrap();
    if !ours.keys().eq(theirs.keys()) {
        wrong.push(format!("{case}: services {:?}, Docker {:?}", ours.keys(), theirs.keys()));
        return;
    }
    for (name, service) in ours {
        let (ours, theirs) = (our_view(app, service), their_view(&theirs[name]));
        for (key, ours) in ours.as_object().unwrap() {
            if *ours != theirs[key] {
                wrong.push(format!("{case}: {name}.{key}: we read {ours}, Docker {}", theirs[key]));
            }
        }
    }
}

fn our_view(app: &App, service: &Service) -> Value {
    let (image, context, dockerfile) = match &service.image {
        Image::Reference(reference) => (Some(reference.clone()), None, None),
        Image::Build(build) => (build.image.clone(), Some(build.context.clone()), build.dockerfile.clone()),
    };
    json!({
        "image": image, "context": context.map(|_| true), "dockerfile": dockerfile,
        "command": service.command.as_ref().map(|words| words.iter().map(|word| plain(app, word)).collect::<Vec<_>>()),
        "entrypoint": service.entrypoint, "working_dir": service.working_dir,
        "environment": variables(app, service),
        "ports": our_ports(service), "depends_on": dependencies(service), "health": our_health(service),
        "mounts": our_mounts(service), "secrets": our_secrets(service),
        "replicas": service.replicas, "user": service.user.map(|(user, group)| format!("{user}:{group}")),
        "cap_add": service.cap_add, "cap_drop": service.cap_drop, "stop_signal": service.stop_signal,
        "limits": amounts(service.resources.limits), "reservations": amounts(service.resources.requests),
    })
}

/// A word of a command as it would be typed.
fn plain(app: &App, word: &str) -> String {
    app.secrets.iter().fold(word.replace("$$(", "$("), |word, secret| {
        word.replace(&format!("$({})", secret.key), &value_of(app, &secret.key))
    })
}

fn value_of(app: &App, key: &str) -> String {
    let source = &app.secret(key).unwrap().source;
    source.resolve(|key| Some(value_of(app, key))).unwrap()
}

fn variables(app: &App, service: &Service) -> BTreeMap<String, String> {
    let value = |value: &EnvValue| match value {
        EnvValue::Plain(text) => text.replace("$$(", "$("),
        EnvValue::Secret { key } => value_of(app, key),
    };
    service.environment.iter().map(|variable| (variable.name.clone(), value(&variable.value))).collect()
}

fn our_ports(service: &Service) -> Vec<Value> {
    let published = service.ports.iter().filter(|port| port.is_published).map(|port| {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        let published = port.published.map(|port| port.to_string());
        json!({ "target": port.container, "published": published, "protocol": protocol, "host_ip": port.host_ip })
    });
    published.collect()
}

fn dependencies(service: &Service) -> BTreeMap<String, Value> {
    let condition = |condition| match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::CompletedSuccessfully => "service_completed_successfully",
    };
    let view = |dependency: &seaworthy_app::Dependency| {
        let view = json!({ "condition": condition(dependency.condition), "required": dependency.required });
        (dependency.service.clone(), view)
    };
    service.depends_on.iter().map(view).collect()
}

fn our_health(service: &Service) -> Value {
    let Some(check) = &service.healthcheck else { return Value::Null };
    let test = match &check.test {
        HealthTest::Exec(words) => {
            json!(std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect::<Vec<_>>())
        }
        HealthTest::Shell(line) => json!(["CMD-SHELL", line]),
        HealthTest::Disabled => return json!("disabled"),
    };
    json!({
        "test": test, "interval": check.interval_s, "timeout": check.timeout_s, "retries": check.retries,
        "start_period": check.start_period_s,
    })
}

fn our_mounts(service: &Service) -> BTreeMap<String, Value> {
    let view = |mount: &Mount| match mount {
        Mount::Volume { volume, read_only, .. } => json!(["volume", volume, read_only]),
        Mount::Anonymous { .. } => json!(["volume", "", false]),
        Mount::Tmpfs { size_bytes, .. } => json!(["tmpfs", size_bytes.map(|size| size.to_string()), false]),
        Mount::Bind { .. } => Value::Null,
    };
    let mounts = service.mounts.iter().filter(|mount| !matches!(mount, Mount::Bind { .. }));
    mounts.map(|mount| (mount.target().to_owned(), view(mount))).collect()
}

/// Names of the files below `/run/secrets`.
fn our_secrets(service: &Service) -> Vec<String> {
    let secrets = service.files.iter().filter(|file| matches!(file.source, FileSource::Secret(_)));
    secrets.map(|file| file.target.trim_start_matches("/run/secrets/").to_owned()).collect()
}

fn amounts(amounts: seaworthy_app::Amounts) -> Value {
    json!([amounts.cpu_millis, amounts.memory_bytes.map(|bytes| bytes.to_string())])
}

fn their_view(service: &Value) -> Value {
    let resources = &service["deploy"]["resources"];
    let limits = match (&service["mem_limit"], &service["cpus"]) {
        (Value::Null, Value::Null) => their_amounts(&resources["limits"]),
        (memory, cpus) => their_amounts(&json!({ "memory": memory, "cpus": cpus })),
    };
    json!({
        "image": service["image"],
        "context": service["build"]["context"].as_str().map(|_| true),
        "dockerfile": service["build"]["dockerfile"],
        "command": service["command"], "entrypoint": service["entrypoint"],
        "working_dir": service["working_dir"],
        "environment": given(&service["environment"]),
        "ports": list(&service["ports"], |port| json!({
            "target": port["target"], "published": port["published"], "protocol": port["protocol"],
            "host_ip": port["host_ip"],
        })),
        "depends_on": entries(&service["depends_on"], |on| {
            json!({ "condition": on["condition"], "required": on["required"] })
        }),
        "health": their_health(&service["healthcheck"]),
        "mounts": their_mounts(service),
        "secrets": list(&service["secrets"], |secret| secret["source"].clone()),
        "replicas": service["deploy"]["replicas"].as_u64().unwrap_or(1),
        "user": service["user"],
        "cap_add": list(&service["cap_add"], Value::clone), "cap_drop": list(&service["cap_drop"], Value::clone),
        "stop_signal": service["stop_signal"],
        "limits": limits, "reservations": their_amounts(&resources["reservations"]),
    })
}

fn list(value: &Value, view: impl Fn(&Value) -> Value) -> Vec<Value> {
    value.as_array().map(|items| items.iter().map(view).collect()).unwrap_or_default()
}

fn entries(value: &Value, view: impl Fn(&Value) -> Value) -> Map<String, Value> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), view(value))).collect()
}

/// A variable without a value is one that nobody set: no container gets it.
fn given(environment: &Value) -> Map<String, Value> {
    let mut given = entries(environment, Value::clone);
    given.retain(|_, value| !value.is_null());
    given
}

fn their_health(check: &Value) -> Value {
    match check {
        Value::Null => Value::Null,
        check if check["disable"] == true => json!("disabled"),
        check => json!({
            "test": check["test"], "interval": seconds(&check["interval"]), "timeout": seconds(&check["timeout"]),
            "retries": check["retries"], "start_period": seconds(&check["start_period"]),
        }),
    }
}

/// `1m30s` as 90.
fn seconds(text: &Value) -> Option<u64> {
    let mut total = 0;
    let mut number = 0;
    for c in text.as_str()?.chars() {
        match (c, c.to_digit(10)) {
            (_, Some(digit)) => number = number * 10 + u64::from(digit),
            ('h', _) => total += std::mem::take(&mut number) * 3_600,
            ('m', _) => total += std::mem::take(&mut number) * 60,
            ('s', _) => total += std::mem::take(&mut number),
            _ => panic!("{text}"),
        }
    }
    Some(total)
}

fn their_mounts(service: &Value) -> BTreeMap<String, Value> {
    let view = |mount: &Value| {
        let what = match mount["type"].as_str().unwrap() {
            "tmpfs" => json!(mount["tmpfs"]["size"]),
            "volume" => json!(mount["source"].as_str().unwrap_or_default()),
            other => panic!("a mount of type {other}"),
        };
        let read_only = mount["read_only"].as_bool().unwrap_or_default();
        (mount["target"].as_str().unwrap().to_owned(), json!([mount["type"], what, read_only]))
    };
    // Folders of the machine are left out by us, and told: no cluster has them.
    let mounts = service["volumes"].as_array().into_iter().flatten().filter(|mount| mount["type"] != "bind");
    let mounted = mounts.map(view);
    let memory = service["tmpfs"].as_array().into_iter().flatten();
    let memory = memory.map(|target| (target.as_str().unwrap().to_owned(), json!(["tmpfs", null, false])));
    mounted.chain(memory).collect()
}

fn their_amounts(amounts: &Value) -> Value {
    let cpus = amounts["cpus"].as_f64().map(|cpus| (cpus * 1000.0).round() as u64);
    json!([cpus, amounts["memory"]])
}

/// `.ci/setup` builds the program where Go is.
#[test]
fn dockers_parser_still_says_what_is_recorded() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/compose-oracle/compose-oracle");
    if !program.exists() {
        eprintln!(
            "SKIPPED: `tools/compose-oracle/build` makes the program that asks Docker's parser; it needs Go"
        );
        return;
    }
    let output = Command::new(program).arg(place("cases.json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    let recorded = recorded();
    for (name, said) in &said {
        assert!(recorded.get(name) == Some(said), "`{name}` is recorded otherwise; record it again");
    }
    assert_eq!(said.len(), recorded.len());
}
