//! Real kubectl against the API over TLS, in each version the machine has.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::{World, serve, world};

/// Where Google's SDK puts one kubectl per version.
const SDK: &str = "/usr/lib/google-cloud-sdk/bin";
const VERSIONS: &[&str] = &["1.30", "1.33"];

const APP: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { color: red }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - { name: main, image: "example/web:1", ports: [{ containerPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: single }
spec: { containers: [{ name: main, image: "example/single:1" }] }
"#;

pub struct Kubectl {
    program: PathBuf,
    pub home: PathBuf,
}

impl Kubectl {
    /// Runs a command line (words are split at spaces); stdout with stderr behind it, and whether it succeeded.
    pub async fn run(&self, line: &str) -> (bool, String) {
        let output = Command::new(&self.program)
            .args(line.split(' '))
            .env("HOME", &self.home)
            .env("KUBECONFIG", self.home.join("kubeconfig"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = output.await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// The program's name, such as `kubectl.1.30`.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// A file beside its kubeconfig; the path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.home.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    #[track_caller]
    fn check(line: &str, outcome: (bool, String), expect: &str) {
        let (succeeded, text) = outcome;
        assert!(succeeded && text.contains(expect), "`kubectl {line}` lacks {expect:?}:\n{text}");
    }

    pub async fn expect(&self, line: &str, expect: &str) {
        Self::check(line, self.run(line).await, expect);
    }
}

/// Every wanted kubectl on this machine; says so when there is none.
pub fn found() -> Vec<PathBuf> {
    found_versions(VERSIONS)
}

pub fn found_versions(versions: &[&str]) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from(SDK)]).collect();
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let mut programs: Vec<PathBuf> =
        versions.iter().filter_map(|version| find(&format!("kubectl.{version}"))).collect();
    if programs.is_empty() {
        programs.extend(find("kubectl"));
    }
    if programs.is_empty() {
        eprintln!("skipped: no kubectl on this machine (looked in PATH and {SDK})");
    }
    programs
}

pub async fn kubectl(world: &World, program: &Path, port: u16) -> Kubectl {
    let home = world.folder.path().join(program.file_name().unwrap());
    std::fs::create_dir_all(&home).unwrap();
    world.pki.write_kubeconfig(&home.join("kubeconfig"), &format!("https://127.0.0.1:{port}")).unwrap();
    std::fs::write(home.join("app.yaml"), APP).unwrap();
    Kubectl { program: program.to_owned(), home }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_reads_changes_and_deletes_an_application() {
    for program in found() {
        let world = world().await;
        let (port, _shutdown) = serve(&world).await;
        let kubectl = kubectl(&world, &program, port).await;
        let file = kubectl.home.join("app.yaml");
        let file = file.display();
        kubectl.expect("version", "Server Version: v1.36.0").await;
        kubectl.expect(&format!("apply -f {file}"), "deployment.apps/web created").await;
        kubectl.expect(&format!("apply -f {file}"), "deployment.apps/web unchanged").await;
        kubectl.expect("get deploy", "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/2").await;
        kubectl.expect("get deploy,svc -o wide", "example/web:1").await;
        kubectl.expect("get deploy web -o yaml", "progressDeadlineSeconds: 600").await;
        kubectl
            .expect("describe deploy web", "RollingUpdateStrategy:  25% max unavailable, 25% max surge")
            .await;
        kubectl.expect("describe svc web", "TargetPort:").await;
        kubectl.expect("scale deploy web --replicas=5", "deployment.apps/web scaled").await;
        kubectl.expect("get deploy web -o jsonpath={.spec.replicas}", "5").await;
        kubectl.expect("label cm settings tier=front", "labeled").await;
        kubectl.expect("get cm -l tier=front -o name", "configmap/settings").await;
        kubectl.expect("rollout restart deploy web", "restarted").await;
        kubectl.expect("explain deployment.spec.replicas", "Number of desired pods").await;
        kubectl.expect("api-resources", "networkpolicies").await;
        kubectl
            .expect(&format!("apply --server-side --force-conflicts -f {file}"), "serverside-applied")
            .await;
        kubectl.expect(&format!("delete -f {file}"), "deployment.apps \"web\" deleted").await;
        let (succeeded, text) = kubectl.run("get deploy web").await;
        assert!(!succeeded && text.contains("Error from server (NotFound)"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_tells_its_user_what_is_wrong_with_a_manifest() {
    for program in found() {
        let world = world().await;
        let (port, _shutdown) = serve(&world).await;
        let kubectl = kubectl(&world, &program, port).await;
        let file = kubectl.home.join("bad.yaml");
        std::fs::write(&file, APP.replace("replicas: 2", "replcas: 2")).unwrap();
        let (succeeded, text) = kubectl.run(&format!("apply -f {}", file.display())).await;
        assert!(!succeeded && text.contains("unknown field \"spec.replcas\""), "{text}");
        std::fs::write(&file, APP.replace("name: settings", "name: Settings!")).unwrap();
        let (succeeded, text) = kubectl.run(&format!("apply -f {}", file.display())).await;
        assert!(!succeeded && text.contains("lowercase RFC 1123 subdomain"), "{text}");
    }
}
