//! A cluster of one's own, a folder for charts, and both programs that work on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drydock_conformance::Cluster;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::program::{self, Ran, Running};

const SEAWORTHY: &str = env!("CARGO_BIN_EXE_seaworthy");

/// Ends itself with everything in it.
pub struct Port {
    pub folder: TempDir,
    runtime: Runtime,
    cluster: Cluster,
    pub client: Client,
    helm: Option<PathBuf>,
}

impl Port {
    /// A cluster; Helm is not needed.
    pub fn open() -> Port {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let cluster = runtime.block_on(Cluster::start(&folder.path().join("cluster"), 0)).unwrap();
        fs::write(folder.path().join("kubeconfig"), cluster.target.kubeconfig("default")).unwrap();
        let client = runtime.block_on(cluster.target.client()).unwrap();
        Port { folder, runtime, cluster, client, helm: None }
    }

    /// The same beside Helm; `None`, said aloud, where there is none.
    pub fn beside_helm() -> Option<Port> {
        let home = std::env::var("HOME").unwrap_or_default();
        let Some(helm) = program::find("helm", &[&format!("{home}/go/bin")]) else {
            // Helm is no Debian package; CI may not have it.
            eprintln!("NOT CHECKED: helm is not on this machine (`.ci/setup` installs it where there is Go)");
            return None;
        };
        Some(Port { helm: Some(helm), ..Port::open() })
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub fn ours(&self, line: &str) -> Ran {
        self.start(line).wait()
    }

    /// Our command without waiting for its end.
    pub fn start(&self, line: &str) -> Running {
        self.start_at("kubeconfig", line)
    }

    /// The same with another kubeconfig of the folder.
    pub fn start_at(&self, kubeconfig: &str, line: &str) -> Running {
        let mut command = Command::new(SEAWORTHY);
        let kubeconfig = self.folder.path().join(kubeconfig);
        command.args(line.split_whitespace()).arg("--kubeconfig").arg(kubeconfig);
        command.env("SEAWORTHY_HOME", self.folder.path().join("home")).current_dir(self.folder.path());
        program::start(command)
    }

    pub fn helm(&self, line: &str) -> Ran {
        self.start_helm(line).wait()
    }

    pub fn start_helm(&self, line: &str) -> Running {
        let home = self.folder.path().join("helm");
        let mut command = Command::new(self.helm.as_ref().unwrap());
        command.args(line.split_whitespace()).env("KUBECONFIG", self.kubeconfig());
        for folder in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{folder}_HOME"), home.join(folder));
        }
        command.current_dir(self.folder.path());
        program::start(command)
    }

    /// Writes a chart of these templates, and values; lines are called from the folder it is in.
    pub fn chart(&self, name: &str, values: &str, files: &[(&str, &str)]) {
        let folder = self.folder.path().join(name);
        let yaml = format!("apiVersion: v2\nname: {name}\nversion: 1.2.3\nappVersion: \"7.1\"\n");
        write(&folder.join("Chart.yaml"), &yaml);
        write(&folder.join("values.yaml"), values);
        files.iter().for_each(|(path, text)| write(&folder.join(path), text));
    }

    pub fn write(&self, name: &str, text: &str) {
        write(&self.folder.path().join(name), text);
    }

    /// A kubeconfig for a server without TLS.
    pub fn write_kubeconfig(&self, name: &str, server: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\nclusters:\n- {{name: it, cluster: {{server: \"{server}\"}}}}\ncontexts:\n- {{name: it, context: {{cluster: it, user: it, namespace: default}}}}\nusers:\n- {{name: it, user: {{}}}}\n"
        );
        self.write(name, &text);
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        self.block_on(self.api::<K>().get_opt(name)).unwrap()
    }

    pub fn create<K>(&self, object: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.block_on(self.api::<K>().create(&PostParams::default(), &object)).unwrap();
    }

    pub fn scale(&self, deployment: &str, replicas: u32) {
        let api = self.api::<k8s_openapi::api::apps::v1::Deployment>();
        let patch = serde_json::json!({ "spec": { "replicas": replicas } });
        let params = PatchParams { field_manager: Some("autoscaler".into()), ..Default::default() };
        self.block_on(api.patch_scale(deployment, &params, &Patch::Merge(patch))).unwrap();
    }

    /// `(1, "superseded")` and so on, as Helm's own JSON says it.
    pub fn revisions(&self, release: &str) -> Vec<(u64, String)> {
        let text = self.ours(&format!("history {release} -o json")).ok();
        let lines: Vec<Value> = serde_json::from_str(&text).unwrap();
        let line =
            |line: &Value| (line["revision"].as_u64().unwrap(), line["status"].as_str().unwrap().to_owned());
        lines.iter().map(line).collect()
    }

    #[track_caller]
    pub fn check_revisions(&self, release: &str, expect: &[(u64, &str)]) {
        let found = self.revisions(release);
        let found: Vec<(u64, &str)> =
            found.iter().map(|(number, status)| (*number, status.as_str())).collect();
        assert_eq!(found, expect);
    }

    /// A value of ConfigMap `settings`.
    pub fn setting(&self, name: &str, key: &str) -> Option<String> {
        self.get::<k8s_openapi::api::core::v1::ConfigMap>(name)?.data?.remove(key)
    }

    pub fn server(&self) -> &str {
        &self.cluster.target.server
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Templates of a chart that is ready at once: a ConfigMap and a Deployment.
pub const WEB: [(&str, &str); 2] = [
    (
        "templates/settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\ndata:\n  colour: {{ .Values.colour }}\n  revision: \"{{ .Release.Revision }}\"\n",
    ),
    (
        "templates/web.yaml",
        "# the program\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  replicas: {{ .Values.replicas }}\n  selector:\n    matchLabels: {app: {{ .Values.app }}}\n  template:\n    metadata:\n      labels: {app: {{ .Values.app }}}\n      {{- with .Values.annotations }}\n      annotations: {{- toYaml . | nindent 8 }}\n      {{- end }}\n    spec:\n      containers:\n      - name: web\n        image: example/web:{{ .Values.tag }}\n        readinessProbe: {tcpSocket: {port: 80}}\n",
    ),
];

pub const WEB_VALUES: &str = "colour: blue\nreplicas: 2\napp: web\ntag: \"1\"\nannotations: {}\n";

/// The chart of these two.
pub fn web(port: &Port) {
    port.chart("web", WEB_VALUES, &WEB);
}
