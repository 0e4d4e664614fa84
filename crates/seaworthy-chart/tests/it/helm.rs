//! The real `helm` lints and renders what we write.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use seaworthy_chart::{Options, generate, update};
use tempfile::TempDir;

use crate::{TODO, app};

/// `helm`, or a line that says what was not tested.
fn helm() -> Option<PathBuf> {
    let named = std::env::var_os("HELM").map(PathBuf::from);
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("helm")).find(|program| program.is_file())
    };
    let found = named.or_else(on_path);
    if found.is_none() {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        // Straight to the terminal: what a passing test prints is swallowed.
        let _ = writeln!(std::io::stderr(), "not run for lack of `helm` on the PATH: {test}");
    }
    found
}

fn written(compose: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(compose, files);
    update(&folder.path().join(&app.name), &generate(&app, &Options::default())).expect("written");
    folder
}

fn chart_folder(folder: &TempDir) -> PathBuf {
    let mut entries = std::fs::read_dir(folder.path()).expect("readable");
    entries.next().expect("one chart").expect("readable").path()
}

/// Lints strictly and renders; `None` without `helm`.
#[track_caller]
fn rendered(compose: &str, files: &[(&str, &str)], arguments: &[&str]) -> Option<String> {
    let helm = helm()?;
    let folder = written(compose, files);
    let chart = chart_folder(&folder);
    let run = |head: &[&str]| {
        let output = Command::new(&helm).args(head).arg(&chart).args(arguments).output().expect("helm runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "helm {head:?}\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let lint = run(&["lint", "--strict"]);
    let remarks: Vec<&str> =
        lint.lines().filter(|line| line.starts_with('[') && !line.contains("icon is recommended")).collect();
    assert!(remarks.is_empty(), "{remarks:?}");
    Some(run(&["template", "r1", "--namespace", "n1"]))
}

/// The document of `kind` and `name`.
#[track_caller]
fn document<'a>(text: &'a str, kind: &str, name: &str) -> &'a str {
    let is_it = |part: &&str| {
        part.contains(&format!("\nkind: {kind}\n")) && part.contains(&format!("\n  name: {name}\n"))
    };
    text.split("\n---\n").find(is_it).unwrap_or_else(|| panic!("no {kind} `{name}` in\n{text}"))
}

#[track_caller]
fn has(document: &str, lines: &str) {
    assert!(document.contains(lines), "missing\n{lines}\nin\n{document}");
}

#[test]
fn the_example_lints_and_renders_as_it_should() {
    let Some(text) = rendered(TODO, &[], &[]) else { return };
    let backend = document(&text, "Deployment", "backend");
    has(backend, "  replicas: 2\n");
    has(backend, "      maxSurge: 1\n      maxUnavailable: 0\n");
    has(backend, "      automountServiceAccountToken: false\n");
    has(backend, "        runAsNonRoot: true\n        runAsUser: 1000\n");
    has(
        backend,
        "            allowPrivilegeEscalation: false\n            capabilities:\n              drop:\n              - ALL\n            readOnlyRootFilesystem: true\n",
    );
    has(backend, "              sleep:\n                seconds: 5\n");
    has(
        backend,
        "          livenessProbe:\n            failureThreshold: 3\n            httpGet:\n              path: /health\n              port: http\n            periodSeconds: 10\n",
    );
    has(backend, "              path: /ready\n              port: http\n            periodSeconds: 5\n");
    has(
        backend,
        "            - name: DATABASE_URL\n              valueFrom:\n                secretKeyRef:\n                  name: todo-secrets\n                  key: DATABASE_URL\n",
    );
    has(document(&text, "ConfigMap", "backend"), "  REDIS_URL: \"redis://redis:6379/0\"\n");
    has(
        document(&text, "Service", "mcp-server"),
        "    - name: http\n      port: 8001\n      targetPort: http\n",
    );
    has(document(&text, "PodDisruptionBudget", "frontend"), "  maxUnavailable: 1\n");
    assert!(!text.contains("kind: HorizontalPodAutoscaler"));
    assert!(!text.contains("kind: Secret\n"));
}

#[test]
fn the_example_in_the_repository_lints_and_renders() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo/compose.yaml");
    let compose = std::fs::read_to_string(folder).expect("the example is there");
    let Some(text) = rendered(&compose, &[], &[]) else { return };
    for name in ["frontend", "backend", "mcp-server"] {
        has(document(&text, "Deployment", name), "            httpGet:\n              path: /ready\n");
        document(&text, "Service", name);
    }
    let postgres = document(&text, "StatefulSet", "postgres");
    has(
        postgres,
        "              - pg_isready\n              - -h\n              - 127.0.0.1\n              - -U\n",
    );
}

#[test]
fn the_data_stores_of_the_example_keep_their_data() {
    let Some(text) = rendered(TODO, &[], &[]) else { return };
    let redis = document(&text, "StatefulSet", "redis");
    has(redis, "  serviceName: redis-headless\n");
    has(redis, "            - redis-server\n            - --appendonly\n            - \"yes\"\n");
    has(redis, "            - name: redis-data\n              mountPath: /data\n");
    has(redis, "            storage: \"1Gi\"\n");
    has(redis, "            - name: tmp\n              mountPath: /tmp\n");
    let postgres = document(&text, "StatefulSet", "postgres");
    has(postgres, "        runAsUser: 70\n");
    has(postgres, "              mountPath: /var/run/postgresql\n");
    assert!(!postgres.contains("livenessProbe"));
    assert!(!postgres.split("volumeClaimTemplates").nth(1).expect("claims").contains("helm.sh/chart"));
    has(document(&text, "ConfigMap", "postgres"), "  PGDATA: \"/var/lib/postgresql/data/pgdata\"\n");
    has(
        document(&text, "Service", "redis-headless"),
        "  clusterIP: None\n  publishNotReadyAddresses: true\n",
    );
}

#[test]
fn the_ingress_of_the_example_rewrites_nothing() {
    let Some(text) = rendered(TODO, &[], &[]) else { return };
    let ingress = document(&text, "Ingress", "todo");
    has(ingress, "    - host: \"todo.localhost\"\n");
    has(
        ingress,
        "          - path: /api\n            pathType: Prefix\n            backend:\n              service:\n                name: backend\n",
    );
    assert!(!ingress.contains("ingressClassName") && !ingress.contains("annotations"));
}

#[test]
fn a_change_of_configuration_or_secret_changes_the_pods_that_use_it() {
    let sums = |arguments: &[&str]| {
        let text = rendered(TODO, &[], arguments)?;
        let line = |name: &str| {
            let pod = document(&text, "Deployment", name);
            pod.lines().filter(|line| line.contains("checksum/")).map(str::to_owned).collect::<Vec<_>>()
        };
        Some((line("backend"), line("frontend")))
    };
    let Some((backend, frontend)) = sums(&[]) else { return };
    let Some((other_backend, other_frontend)) = sums(&["--set", "backend.env.LOG_LEVEL=debug"]) else {
        return;
    };
    assert!(backend != other_backend && frontend == other_frontend);
    let Some((other_backend, other_frontend)) = sums(&["--set-string", "secretChecksum=ab"]) else { return };
    assert!(backend != other_backend && frontend == other_frontend);
}

#[test]
fn an_autoscaler_takes_the_number_of_replicas_over() {
    let Some(text) = rendered(TODO, &[], &["--set", "backend.autoscaling.enabled=true"]) else { return };
    has(document(&text, "HorizontalPodAutoscaler", "backend"), "  minReplicas: 2\n  maxReplicas: 5\n");
    assert!(!document(&text, "Deployment", "backend").contains("\n  replicas:"));
}

#[test]
fn the_lighter_values_reserve_less_and_allow_as_much() {
    let Some(helm) = helm() else { return };
    let folder = written(TODO, &[]);
    let chart = chart_folder(&folder);
    let output = Command::new(helm)
        .args(["template", "r1", "--values"])
        .args([&chart.join("values-dev.yaml"), &chart])
        .output()
        .expect("helm runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let frontend = document(&text, "Deployment", "frontend");
    has(
        frontend,
        "            limits:\n              cpu: 500m\n              memory: 256Mi\n            requests:\n              cpu: 10m\n",
    );
    has(frontend, "                seconds: 1\n");
}

#[test]
fn a_misspelt_value_is_refused_by_the_schema() {
    let Some(helm) = helm() else { return };
    let folder = written(TODO, &[]);
    let output = Command::new(helm)
        .args(["template", "r1"])
        .arg(chart_folder(&folder))
        .args(["--set", "backend.replcas=3"])
        .output()
        .expect("helm runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("replcas"), "{told}");
}

const MANY: &str = r#"
services:
  web:
    image: nginx:1.27
    ports: ["8080:80", "8443:443", "53:53/udp"]
    working_dir: /srv
    command: ["sh", "-c", "echo $$(hostname) '{{ x }}'"]
    labels: {com.example.team: "a: b", "bad key!": x}
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - uploads:/uploads
      - /cache
    secrets: [token]
    configs: [{source: motd, target: /etc/motd}]
    tmpfs: ["/run:size=64m"]
    networks: {default: {aliases: [www]}}
    deploy: {replicas: 3}
  worker:
    build: ./worker
    environment: {EMPTY: "", NUMBER: 1, FLAG: true, TEXT: "a\nb \"q\" é"}
    volumes: [uploads:/uploads, own:/own]
    stop_grace_period: 1m
  migrate:
    build: ./worker
    command: migrate
    restart: "no"
  cache:
    image: redis
  api:
    build: ./api
    environment: {WORKER: "http://worker:9000"}
    depends_on: {migrate: {condition: service_completed_successfully}}
    x-seaworthy: {autoscale: true, workload: deployment}
volumes: {uploads: , own: {x-seaworthy: {size: 5Gi, class: fast}}}
secrets: {token: {file: ./token}}
configs: {motd: {content: "hello {{ world }}\n"}}
"#;

#[test]
fn a_chart_with_everything_in_it_lints_and_renders() {
    let Some(text) = rendered(MANY, &[("nginx.conf", "worker {{ 1 }};\n\"x\"\n"), ("token", "s3cret")], &[])
    else {
        return;
    };
    let web = document(&text, "Deployment", "web");
    has(web, "            - echo $$(hostname) '{{ x }}'\n");
    has(web, "              mountPath: /etc/nginx/nginx.conf\n              subPath: web.nginx.conf\n");
    has(web, "            claimName: uploads\n");
    has(web, "            medium: Memory\n            sizeLimit: 64Mi\n");
    has(web, "        com.example.team: 'a: b'\n");
    has(document(&text, "ConfigMap", "web-files"), r#"  motd: "hello {{ world }}\n""#);
    has(document(&text, "Service", "www"), "    app.kubernetes.io/component: web\n");
    has(document(&text, "PersistentVolumeClaim", "uploads"), "    helm.sh/resource-policy: keep\n");
    has(document(&text, "StatefulSet", "worker"), "        storageClassName: \"fast\"\n");
    has(document(&text, "StatefulSet", "worker"), "      terminationGracePeriodSeconds: 60\n");
    has(document(&text, "Service", "worker"), "  clusterIP: None\n");
    has(document(&text, "Job", "migrate-1"), "      restartPolicy: OnFailure\n");
    has(document(&text, "HorizontalPodAutoscaler", "api"), "          averageUtilization: 70\n");
    assert!(!text.contains("s3cret"));
}
