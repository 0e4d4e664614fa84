//! What the settings of a file become in the model.

use seaworthy_app::{EnvValue, HealthTest, Image, Mount, Probe, SecretSource, Service, WorkloadKind};

use crate::{loaded, try_load};

fn only(text: &str) -> Service {
    loaded(text).app.services.remove(0)
}

/// The service `web` with the given lines.
fn web(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("services:\n  web:\n    image: nginx\n{indented}")
}

fn environment(service: &Service) -> String {
    let show = |var: &seaworthy_app::EnvVar| match &var.value {
        EnvValue::Plain(value) => format!("{}={value}", var.name),
        EnvValue::Secret { key } => format!("{}<-{key}", var.name),
    };
    service.environment.iter().map(show).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_environment(text: &str, expect: &str) {
    assert_eq!(environment(&only(text)), expect, "{text}");
}

#[test]
fn environment_is_a_list_or_a_mapping() {
    check_environment(&web("environment: {A: 1, B: two}"), "A=1 B=two");
    check_environment(&web("environment:\n  - A=1\n  - B=x=y\n  - A=2"), "B=x=y A=2");
    check_environment(&web("environment:\n  - SET\n  - NOT_SET"), "SET=yes");
}

#[test]
fn environment_wins_over_env_files_and_later_files_over_earlier_ones() {
    let text =
        web("env_file: [a.env, b.env]\nenvironment: {C: c}") + "\n== a.env\nA=a\nB=a\nC=a\n\n== b.env\nB=b";
    check_environment(&text, "A=a B=b C=c");
}

#[test]
fn dotenv_fills_references_and_the_environment_wins() {
    check_environment(
        &(web("environment: {A: '${X}', B: '${SET}'}") + "\n== .env\nX=x\nSET=no"),
        "A=x B=yes",
    );
}

#[test]
fn secrets_are_known_by_their_names_and_never_by_value_in_the_environment() {
    let text = web("environment: {API_KEY: abc, DB: 'postgres://u:p@db/x', PLAIN: x}");
    check_environment(&text, "API_KEY<-API_KEY DB<-DB PLAIN=x");
}

#[test]
fn equal_secrets_share_a_key_and_different_ones_do_not() {
    let text = "services:\n  a: {image: x, environment: {TOKEN: one}}\n  b: {image: x, environment: {TOKEN: one}}\n  c: {image: x, environment: {TOKEN: two}}\n";
    let app = loaded(text).app;
    let shown: Vec<String> =
        app.secrets.iter().map(|s| format!("{}:{}", s.key, s.services.join(","))).collect();
    assert_eq!(shown, ["TOKEN:a,b", "c.TOKEN:c"]);
}

#[test]
fn a_generated_variable_becomes_a_reference_and_urls_with_it_templates() {
    let text = "x-seaworthy: {generate: [PW]}\nservices:\n  a:\n    image: x\n    environment: {DB_PASSWORD: '${PW}', URL: 'pg://u:${PW}@db'}\n";
    let app = loaded(text).app;
    assert_eq!(environment(&app.services[0]), "DB_PASSWORD<-PW URL<-URL");
    assert_eq!(app.secret("PW").expect("there").source, SecretSource::Generate);
    let SecretSource::Template(template) = &app.secret("URL").expect("there").source else {
        panic!("no template")
    };
    assert_eq!(template.reveal(), "pg://u:${PW}@db");
}

#[test]
fn a_generated_variable_that_is_set_is_not_generated() {
    let text = web("environment: {A: '${PW}'}") + "x-seaworthy: {generate: [PW]}\n\n== .env\nPW=given";
    // The name alone does not tell that it is secret, but asking for a random value does.
    let app = loaded(&text).app;
    assert_eq!(environment(&app.services[0]), "A<-PW");
    let SecretSource::Given(value) = &app.secret("PW").expect("there").source else { panic!("not given") };
    assert_eq!(value.reveal(), "given");
}

#[test]
fn a_password_that_breaks_its_url_is_warned_about() {
    let text = web("environment: {URL: 'pg://u:${DB_PASSWORD}@db'}") + "\n== .env\nDB_PASSWORD=a/b";
    let warnings = loaded(&text).warnings;
    assert_eq!(
        warnings,
        ["`DB_PASSWORD` holds characters that have a meaning in the URL `URL`; use letters and digits"]
    );
}

#[test]
fn secrets_reach_commands_checks_and_configs_by_reference() {
    let text = "x-seaworthy: {generate: [PW]}\nservices:\n  cache:\n    image: redis\n    command: redis-server --requirepass ${PW}\n    healthcheck: {test: 'redis-cli -a ${PW} ping'}\n    labels: {note: '${PW}'}\n    configs: [conf]\nconfigs: {conf: {content: 'pw=${PW}'}}\n";
    let loaded = loaded(text);
    let cache = &loaded.app.services[0];
    assert_eq!(cache.command.as_deref().expect("stated"), ["redis-server", "--requirepass", "$(PW)"]);
    let test = &cache.healthcheck.as_ref().expect("stated").test;
    assert_eq!(*test, HealthTest::Shell("redis-cli -a ${PW} ping".into()));
    assert_eq!(environment(cache), "PW<-PW");
    assert_eq!(loaded.dropped[0].path, "services.cache.labels.note");
    assert!(loaded.app.configs.is_empty());
    let SecretSource::Template(conf) = &loaded.app.secret("conf").expect("there").source else {
        panic!("no template")
    };
    assert_eq!(conf.reveal(), "pw=${PW}");
}

#[test]
fn no_value_of_a_secret_variable_is_in_the_model_in_the_open() {
    let text = web(
        "command: run --key ${X_TOKEN}\nenvironment: {A: '${X_TOKEN:-n}', FOO: '${Y_TOKEN:-hunter2}', BAR: '${Y_TOKEN:-hunter3}'}\nhealthcheck: {test: 'x ${X_TOKEN}'}",
    ) + "\n== .env\nX_TOKEN=hunter2";
    let shown = format!("{:?}", loaded(&text).app);
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn commands_are_lists_or_lines() {
    let service = only(&web("command: sh -c 'a b'\nentrypoint: [/run, x]"));
    assert_eq!(service.command.expect("stated"), ["sh", "-c", "a b"]);
    assert_eq!(service.entrypoint.expect("stated"), ["/run", "x"]);
}

#[track_caller]
fn check_health(lines: &str, expect: HealthTest) {
    assert_eq!(only(&web(lines)).healthcheck.expect("a health check").test, expect, "{lines}");
}

#[test]
fn health_checks_take_all_forms() {
    check_health("healthcheck: {test: curl -f x}", HealthTest::Shell("curl -f x".into()));
    check_health("healthcheck: {test: [CMD, curl, x]}", HealthTest::Exec(vec!["curl".into(), "x".into()]));
    check_health("healthcheck: {test: [CMD-SHELL, curl x]}", HealthTest::Shell("curl x".into()));
    check_health("healthcheck: {test: [NONE]}", HealthTest::Disabled);
    check_health("healthcheck: {disable: true}", HealthTest::Disabled);
}

#[test]
fn times_of_a_health_check_are_seconds() {
    let health =
        only(&web("healthcheck: {test: x, interval: 1m30s, timeout: 500ms, retries: 5, start_period: 10s}"));
    let health = health.healthcheck.expect("stated");
    assert_eq!(
        (health.interval_s, health.timeout_s, health.retries, health.start_period_s),
        (Some(90), Some(1), Some(5), Some(10))
    );
}

#[test]
fn resources_come_from_deploy() {
    let service = only(&web(
        "deploy:\n  replicas: 3\n  resources:\n    limits: {cpus: '0.5', memory: 512M}\n    reservations: {cpus: 0.25, memory: 128M}",
    ));
    assert_eq!(service.replicas, 3);
    assert_eq!(service.resources.limits.cpu_millis, Some(500));
    assert_eq!(service.resources.limits.memory_bytes, Some(512 << 20));
    assert_eq!(service.resources.requests.cpu_millis, Some(250));
}

#[test]
fn volumes_take_short_and_long_forms() {
    let text = web(
        "volumes:\n  - data:/data:ro\n  - /cache\n  - {type: tmpfs, target: /tmp, tmpfs: {size: 1M}}\ntmpfs: /run:size=64k",
    ) + "volumes: {data: {x-seaworthy: {size: 2Gi}}}\n";
    let loaded = loaded(&text);
    let mounts = &loaded.app.services[0].mounts;
    assert_eq!(
        mounts[..],
        [
            Mount::Volume { volume: "data".into(), target: "/data".into(), read_only: true, sub_path: None },
            Mount::Anonymous { target: "/cache".into() },
            Mount::Tmpfs { target: "/tmp".into(), size_bytes: Some(1 << 20) },
            Mount::Tmpfs { target: "/run".into(), size_bytes: Some(64 << 10) },
        ]
    );
    assert_eq!(loaded.app.volume("data").expect("defined").size_bytes, Some(2 << 30));
}

#[test]
fn a_mounted_file_becomes_a_config_and_a_mounted_folder_is_reported() {
    let loaded = loaded(
        &(web("volumes:\n  - ./nginx.conf:/etc/nginx.conf:ro\n  - ./src:/src")
            + "\n== nginx.conf\nworker 1;\n\n== src/a\nx"),
    );
    assert_eq!(loaded.app.configs[0].content, "worker 1;\n\n");
    assert_eq!(loaded.app.services[0].files[0].target, "/etc/nginx.conf");
    let dropped: Vec<_> = loaded.dropped.iter().map(|d| format!("{} line {}", d.path, d.line)).collect();
    assert_eq!(dropped, ["services.web.volumes./src line 6"]);
}

#[test]
fn a_mounted_path_that_is_not_there_is_reported_as_the_folder_docker_would_make() {
    let loaded = loaded(&web("volumes: ['./nothing:/x', '/etc/no-such-thing:/y']"));
    let dropped: Vec<_> = loaded.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(dropped, ["services.web.volumes./x", "services.web.volumes./y"]);
}

#[test]
fn a_mounted_file_that_holds_a_key_goes_into_the_secret() {
    let text = web("volumes:\n  - ./tls.key:/tls.key:ro\n  - ./db.conf:/db.conf:ro")
        + "\n== tls.key\nabc\n\n== db.conf\nurl = postgres://u:hunter2@db/x";
    let app = loaded(&text).app;
    assert!(app.configs.is_empty());
    let keys: Vec<_> = app.secrets.iter().map(|secret| secret.key.as_str()).collect();
    assert_eq!(keys, ["tls.key", "db.conf"]);
}

#[test]
fn secrets_and_configs_are_mounted_as_files() {
    let text = web("secrets: [token]\nconfigs: [{source: motd, target: /etc/motd, mode: 0440}]")
        + "secrets: {token: {file: ./token.txt}}\nconfigs: {motd: {content: hello}}\n\n== token.txt\ns3cret";
    let app = loaded(&text).app;
    let files: Vec<_> = app.services[0].files.iter().map(|file| (file.target.as_str(), file.mode)).collect();
    assert_eq!(files, [("/run/secrets/token", None), ("/etc/motd", Some(0o440))]);
    assert!(!format!("{app:?}").contains("s3cret"));
}

#[test]
fn keys_without_a_place_in_a_cluster_are_reported_with_their_lines() {
    let loaded = loaded(&format!(
        "version: '3'\n{}",
        web("container_name: x\nnetwork_mode: host\ndeploy: {placement: {}}")
    ));
    let shown: Vec<_> =
        loaded.dropped.iter().map(|d| format!("{}:{} {}", d.file.display(), d.line, d.path)).collect();
    assert_eq!(
        shown,
        [
            "compose.yaml:1 version",
            "compose.yaml:5 services.web.container_name",
            "compose.yaml:6 services.web.network_mode",
            "compose.yaml:7 services.web.deploy.placement",
        ]
    );
}

#[test]
fn an_override_file_is_laid_over_the_first() {
    let text = "services:\n  web:\n    image: a\n    command: [x]\n    environment: [A=1, B=1]\n    ports: ['80:80']\n\n== compose.override.yaml\nservices:\n  web:\n    image: b\n    command: [y, z]\n    environment: {B: 2}\n    ports: ['81:81']\n";
    let service = only(text);
    assert_eq!(service.image, Image::Reference("b".into()));
    assert_eq!(service.command.as_deref().expect("stated"), ["y", "z"]);
    assert_eq!(environment(&service), "A=1 B=2");
    assert_eq!(service.ports.iter().map(|port| port.container).collect::<Vec<_>>(), [80, 81]);
}

#[test]
fn reset_and_override_tags_replace_instead_of_merging() {
    let text = "services:\n  web:\n    image: a\n    ports: ['80:80']\n    environment: {A: 1}\n\n== compose.override.yaml\nservices:\n  web:\n    ports: !reset []\n    environment: !override {B: 2}\n";
    let service = only(text);
    assert!(service.ports.is_empty());
    assert_eq!(environment(&service), "B=2");
}

#[test]
fn anchors_and_merge_keys_are_written_out() {
    let text = "x-common: &common\n  image: nginx\n  environment: &env {A: '${SET}', B: 1}\nservices:\n  web:\n    <<: *common\n    environment:\n      <<: *env\n      B: 2\n";
    check_environment(text, "B=2 A=yes");
}

#[test]
fn a_service_extends_one_of_the_same_file_or_of_another() {
    let text = "services:\n  base: {image: x, environment: {A: 1, B: 1}, profiles: [never]}\n  web:\n    extends: base\n    profiles: !reset []\n    environment: {B: 2}\n  job:\n    extends: {file: sub/common.yaml, service: job}\n\n== sub/common.yaml\nservices:\n  job: {build: ./job}\n";
    let app = loaded(text).app;
    assert_eq!(environment(&app.services[0]), "A=1 B=2");
    let Image::Build(build) = &app.services[1].image else { panic!("not built") };
    assert!(build.context.ends_with("sub/job"), "{}", build.context.display());
}

#[test]
fn an_included_file_lies_under_the_one_that_includes_it() {
    let text = "include: [sub/db.yaml]\nservices:\n  web: {image: x, depends_on: [db]}\n\n== sub/db.yaml\nservices:\n  db: {image: postgres, volumes: ['data:/x']}\nvolumes: {data: }\n";
    let app = loaded(text).app;
    assert!(app.service("db").is_some() && app.volume("data").is_some());
}

#[test]
fn a_profile_of_x_seaworthy_is_active_when_nobody_names_one() {
    let text = |default: &str| {
        format!(
            "x-seaworthy: {{profiles: [{default}]}}\nservices:\n  web: {{image: x}}\n  db: {{image: y, profiles: [own-db]}}\n"
        )
    };
    assert_eq!(loaded(&text("own-db")).app.services.len(), 2);
    assert_eq!(loaded(&text("other")).app.services.len(), 1);
}

#[test]
fn services_of_sleeping_profiles_are_left_out() {
    let app = loaded("services:\n  web: {image: x}\n  debug: {image: y, profiles: [dev]}\n").app;
    assert_eq!(app.services.len(), 1);
}

#[test]
fn the_extension_states_what_compose_cannot() {
    let service = only(&web(
        "ports: [80]\nx-seaworthy:\n  replicas: 2\n  route: [/a, {path: /b, host: b.localhost, port: 81}]\n  probes: {liveness: /health, readiness: {path: /ready, port: 82}, startup: tcp}\n  autoscale: true\n  workload: statefulset",
    ));
    assert_eq!(service.replicas, 2);
    let routes: Vec<_> =
        service.routes.iter().map(|r| (r.path.as_str(), r.host.as_deref(), r.port)).collect();
    assert_eq!(routes, [("/a", None, 80), ("/b", Some("b.localhost"), 81)]);
    assert_eq!(service.probes.liveness, Some(Probe::Http { path: "/health".into(), port: None }));
    assert_eq!(service.probes.readiness, Some(Probe::Http { path: "/ready".into(), port: Some(82) }));
    assert_eq!(service.probes.startup, Some(Probe::Tcp { port: None }));
    assert_eq!(service.autoscale.expect("stated").max, 5);
    assert_eq!(service.workload.kind, WorkloadKind::StatefulSet);
}

#[test]
fn a_misspelt_extension_is_refused_too() {
    let error = try_load(&web("x-seaworthy: {replica: 2}")).unwrap_err();
    assert_eq!(error.hint(), Some("did you mean `replicas`?"));
}

#[test]
fn the_app_is_named_after_its_folder_when_nothing_names_it() {
    let folder = crate::folder("services: {web: {image: x}}\n");
    let request = seaworthy_compose::Request { folder: folder.path().into(), ..Default::default() };
    let app = seaworthy_compose::load(&request).expect("loads").app;
    assert!(app.name.starts_with("shop"), "{}", app.name);
}
