//! One small cluster per test. Start at [`World::start`].

use std::fmt::Debug;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use drydock_api::{Api as Server, ApiConfig, NoNode, NodeBackend, Part, Pki};
use drydock_controllers::Config;
use drydock_store::Store;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kubelet;

/// Ample even on a busy machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub client: Client,
    pub folder: TempDir,
    shutdown: CancellationToken,
    kubelet: CancellationToken,
    controllers: Option<JoinHandle<()>>,
    server: Server,
    pki: Arc<Pki>,
}

impl World {
    /// A cluster with one ready node, all controllers, and namespaces that have their service account.
    pub async fn start() -> World {
        World::start_with(Arc::new(NoNode)).await
    }

    /// The same with a node that the API can ask.
    pub async fn start_with(node: Arc<dyn NodeBackend>) -> World {
        let _already_set = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store.redb")).unwrap();
        let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
        let server = Server::new(ApiConfig::default(), store, pki.clone(), node).await.unwrap();
        let (shutdown, kubelet) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(kubelet::run(server.client(), kubelet.clone()));
        let client = server.client();
        let mut world = World { client, folder, shutdown, kubelet, controllers: None, server, pki };
        world.start_controllers();
        world
    }

    /// Serves the API over TLS as long as the world lasts; returns a kubeconfig for programs outside.
    pub async fn serve(&self) -> PathBuf {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let kubeconfig = self.folder.path().join("kubeconfig");
        self.pki.write_kubeconfig(&kubeconfig, &url).unwrap();
        let (server, tls, stop) = (self.server.clone(), self.pki.server_tls().unwrap(), self.kubelet.clone());
        tokio::spawn(async move { server.serve(listener, tls, stop).await.unwrap() });
        kubeconfig
    }

    pub fn start_controllers(&mut self) {
        let config = Config::new("CA", self.folder.path().join("volumes"));
        self.shutdown = CancellationToken::new();
        let running =
            drydock_controllers::run(self.server.client_of(Part::Controllers), config, self.shutdown.clone());
        self.controllers = Some(tokio::spawn(running));
    }

    /// Stops the controllers and waits for every one of them.
    pub async fn stop_controllers(&mut self) {
        self.shutdown.cancel();
        if let Some(controllers) = self.controllers.take() {
            controllers.await.unwrap();
        }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap()
    }

    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// The pods of namespace `default`, by name.
    pub async fn pods(&self) -> Vec<Pod> {
        let mut pods = self.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
        pods.sort_by_key(|pod| pod.metadata.name.clone());
        pods
    }

    /// Waits until `see` returns what it was looking for; names `what` if it never does.
    pub async fn until<T, F>(&self, what: &str, see: impl Fn() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let looking = async {
            loop {
                if let Some(seen) = see().await {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(seen) => seen,
            Err(_) => panic!("never saw {what}; pods: {}", self.describe().await),
        }
    }

    async fn describe(&self) -> String {
        let events: Api<k8s_openapi::api::core::v1::Event> = Api::all(self.client.clone());
        let events = events.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let events: Vec<String> = events.iter().filter_map(|event| event.message.clone()).collect();
        let pods: Vec<String> = self
            .pods()
            .await
            .iter()
            .map(|pod| {
                let status = pod.status.clone().unwrap_or_default();
                format!("{}: {:?}", pod.metadata.name.clone().unwrap_or_default(), status.phase)
            })
            .collect();
        format!("{pods:#?}\nevents: {events:#?}")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.kubelet.cancel();
    }
}
