//! The real Helm 4 against API, controllers and a pretended node: what people do with a release, from install to uninstall.
//!
//! Where Helm is missing the tests fail, unless `SEAWORTHY_WITHOUT_HELM` says that this is known.

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::World;

/// A cluster and the environment of one `helm`.
struct Helm {
    world: World,
    kubeconfig: PathBuf,
    program: PathBuf,
}

/// How one call ended and all it said.
struct Told {
    ok: bool,
    text: String,
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("HELM").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&on_path).map(|folder| folder.join("helm"));
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join("go/bin/helm"));
    let found = named.into_iter().chain(places).chain(home).find(|path| path.is_file());
    assert!(
        found.is_some() || std::env::var_os("SEAWORTHY_WITHOUT_HELM").is_some(),
        "helm is not installed; `.ci/setup` does it, or set SEAWORTHY_WITHOUT_HELM=1 to go without"
    );
    if found.is_none() {
        eprintln!("NOT TESTED: Helm, because SEAWORTHY_WITHOUT_HELM is set");
    }
    found
}

fn chart(name: &str) -> String {
    format!("{}/tests/helm/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Helm {
    async fn start() -> Option<Helm> {
        let program = program()?;
        let world = World::start().await;
        let kubeconfig = world.serve().await;
        Some(Helm { world, kubeconfig, program })
    }

    async fn call(&self, arguments: &[&str]) -> Told {
        let home = self.world.folder.path().join("helm");
        let outcome = Command::new(&self.program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", home.join("cache"))
            .env("HELM_CONFIG_HOME", home.join("config"))
            .env("HELM_DATA_HOME", home.join("data"))
            .output()
            .await
            .unwrap();
        let text = [outcome.stdout, outcome.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Told { ok: outcome.status.success(), text: text.join("") }
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> impl Future<Output = String> {
        let line = arguments.join(" ");
        async move {
            let told = self.call(&line.split(' ').collect::<Vec<_>>()).await;
            assert!(told.ok, "helm {line}\n{}", told.text);
            told.text
        }
    }

    async fn refused(&self, line: &str) -> String {
        let told = self.call(&line.split(' ').collect::<Vec<_>>()).await;
        assert!(!told.ok, "helm {line} should fail:\n{}", told.text);
        told.text
    }

    async fn history(&self) -> Vec<(i64, String)> {
        let text = self.ok(&["history", "port", "-o", "json"]).await;
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        list.iter()
            .map(|one| (one["revision"].as_i64().unwrap(), one["status"].as_str().unwrap().to_owned()))
            .collect()
    }

    async fn settings(&self) -> std::collections::BTreeMap<String, String> {
        self.world.api::<ConfigMap>().get("port-settings").await.unwrap().data.unwrap()
    }
}

fn revisions(history: &[(i64, String)]) -> Vec<(i64, &str)> {
    history.iter().map(|(revision, status)| (*revision, status.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_lives_from_install_to_uninstall() {
    let Some(helm) = Helm::start().await else { return };
    let harbour = chart("harbour");
    let install =
        helm.ok(&["install", "port", &harbour, "--wait", "--wait-for-jobs", "--timeout", "60s"]).await;
    assert!(install.contains("port has 2 berths."), "{install}");
    let deployed = helm.world.api::<Deployment>().get("port-web").await.unwrap();
    assert_eq!(deployed.status.unwrap().ready_replicas, Some(2));
    let jobs = helm.world.api::<Job>().list(&ListParams::default()).await.unwrap().items;
    let names: Vec<_> = jobs.iter().filter_map(|job| job.metadata.name.as_deref()).collect();
    assert_eq!(names, ["port-first", "port-once-1"], "hooks that succeeded are gone, as their policy says");
    assert_eq!(helm.settings().await["apis"], "true");

    let set = ["upgrade", "port", &harbour, "--set", "replicas=3", "--wait=legacy", "--timeout", "60s"];
    helm.ok(&set).await;
    let settings = helm.settings().await;
    assert_eq!(settings["revision"], "2");
    assert!(settings["before"].contains(r#""revision":"1""#), "lookup saw the cluster: {settings:?}");
    assert_eq!(helm.world.api::<Deployment>().get("port-web").await.unwrap().spec.unwrap().replicas, Some(3));

    helm.ok(&["test", "port", "--timeout", "60s"]).await;
    helm.ok(&["rollback", "port", "1", "--wait", "--timeout", "60s"]).await;
    assert_eq!(helm.world.api::<Deployment>().get("port-web").await.unwrap().spec.unwrap().replicas, Some(2));
    let history = helm.history().await;
    assert_eq!(revisions(&history), [(1, "superseded"), (2, "superseded"), (3, "deployed")]);
    let listed: Value = serde_json::from_str(&helm.ok(&["list", "-o", "json"]).await).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["status"]), (&json!("port"), &json!("deployed")));
    let all = helm.ok(&["get", "all", "port"]).await;
    assert!(all.contains("kind: Mooring") && all.contains("# Source: harbour/templates/hooks.yaml"), "{all}");

    helm.ok(&["uninstall", "port", "--wait", "--timeout", "60s"]).await;
    assert!(helm.world.api::<Deployment>().get_opt("port-web").await.unwrap().is_none());
    assert!(
        helm.world.api::<ConfigMap>().get_opt("port-kept").await.unwrap().is_some(),
        "kept by its policy"
    );
    let releases = ListParams::default().labels("owner=helm");
    assert!(helm.world.api::<Secret>().list(&releases).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_upgrade_is_rolled_back() {
    let Some(helm) = Helm::start().await else { return };
    let harbour = chart("harbour");
    helm.ok(&["install", "port", &harbour, "--wait", "--timeout", "60s"]).await;
    let stuck = format!(
        "upgrade port {harbour} --set stuck=true,image=example/web:2 --rollback-on-failure --timeout 4s"
    );
    helm.refused(&stuck).await;
    let history = helm.history().await;
    assert_eq!(revisions(&history), [(1, "superseded"), (2, "failed"), (3, "deployed")]);
    let failing = format!("upgrade port {harbour} --set hookEnds=Failed --timeout 30s");
    let told = helm.refused(&failing).await;
    assert!(told.contains("pre-upgrade hooks failed"), "{told}");
    assert_eq!(revisions(&helm.history().await).last(), Some(&(4, "failed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_taken_over_only_on_request() {
    let Some(helm) = Helm::start().await else { return };
    let harbour = chart("harbour");
    let dry = helm.ok(&["install", "port", &chart("large"), "--set", "blob=x", "--dry-run=server"]).await;
    assert!(dry.contains("name: port-blob"), "{dry}");
    assert!(helm.world.api::<ConfigMap>().get_opt("port-blob").await.unwrap().is_none());
    let theirs = json!({ "metadata": { "name": "port-settings" }, "data": { "mine": "1" } });
    let theirs: ConfigMap = serde_json::from_value(theirs).unwrap();
    helm.world.api::<ConfigMap>().create(&PostParams::default(), &theirs).await.unwrap();
    let told = helm.refused(&format!("install port {harbour}")).await;
    assert!(told.contains("invalid ownership metadata"), "{told}");
    helm.ok(&["install", "port", &harbour, "--take-ownership", "--wait", "--timeout", "60s"]).await;
    assert_eq!(helm.settings().await["revision"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_side_release_moves_to_server_side_apply() {
    let Some(helm) = Helm::start().await else { return };
    let harbour = chart("harbour");
    helm.ok(&["install", "port", &harbour, "--server-side=false", "--wait", "--timeout", "60s"]).await;
    let moved =
        ["upgrade", "port", &harbour, "--server-side=true", "--set", "replicas=1", "--timeout", "60s"];
    helm.ok(&moved).await;
    let deployed = helm.world.api::<Deployment>().get("port-web").await.unwrap();
    assert_eq!(deployed.spec.unwrap().replicas, Some(1));
    let owners = deployed.metadata.managed_fields.unwrap();
    let helms: Vec<_> = owners.iter().filter(|one| one.manager.as_deref() == Some("helm")).collect();
    assert!(helms.iter().all(|one| one.operation.as_deref() == Some("Apply")), "{helms:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_of_900_kib_fits() {
    let Some(helm) = Helm::start().await else { return };
    // Random digits, because releases are compressed.
    let mut state: u64 = 7;
    let digit = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"[(*state >> 58) as usize],
        )
    };
    let blob: String = (0..900 << 10).map(|_| digit(&mut state)).collect();
    let values = helm.world.folder.path().join("values.yaml");
    std::fs::write(&values, format!("blob: {blob}\n")).unwrap();
    helm.ok(&["install", "port", &chart("large"), "--values", &values.to_string_lossy()]).await;
    let stored = helm.world.api::<Secret>().get("sh.helm.release.v1.port.v1").await.unwrap();
    let bytes = stored.data.unwrap()["release"].0.len();
    assert!(bytes > 800 << 10, "{bytes}");
    helm.ok(&["get", "values", "port"]).await;
}
