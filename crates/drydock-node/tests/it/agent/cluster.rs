//! A cluster of one's own: the real API in process, a real node, the agent, DNS and ingress.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock_api::{Api as ApiServer, ApiConfig, NoNode, Part, Pki};
use drydock_node::agent::{Agent, AgentConfig, ClusterDns, ImageError, Images, PullPolicy, ReadyImage};
use drydock_node::client::NodeClient;
use drydock_node::ingress::Ingress;
use drydock_node::mirror::Mirror;
use drydock_node::{dns, services};
use drydock_store::Store;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::{World, image, world};

/// Long enough for a machine that compiles at the same time.
pub const SOON: Duration = Duration::from_secs(30);
const NODE_NAME: &str = "here";
const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The image `programs:1` is made of this machine's programs; nothing else exists.
struct OneImage;

impl Images for OneImage {
    fn ready(&self, name: String, _policy: PullPolicy) -> BoxFuture<'_, Result<ReadyImage, ImageError>> {
        Box::pin(async move {
            if name != "programs:1" {
                return Err(ImageError { reason: "ErrImagePull", message: format!("there is no `{name}`") });
            }
            let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
            let layers: Vec<PathBuf> = vec![image().to_owned()];
            Ok(ReadyImage {
                name,
                digest: "sha256:0".into(),
                env,
                layers,
                cmd: vec!["bash".into()],
                ..Default::default()
            })
        })
    }
}

pub struct Cluster {
    pub world: World,
    api: ApiServer,
    pub client: Client,
    pub ingress: SocketAddr,
    daemon: Option<Daemon>,
    _folder: tempfile::TempDir,
}

/// What a restart of the daemon replaces.
pub struct Daemon {
    pub agent: Agent,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// `None` (said aloud) where the machine does not let us make a node.
pub async fn cluster() -> Option<Cluster> {
    let world = world().await?;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
    let api = ApiServer::new(ApiConfig::default(), store, pki, Arc::new(NoNode)).await.unwrap();
    let client = api.client();
    let (daemon, ingress) = start(&api, world.dir.path()).await;
    let cluster = Cluster { world, api, client, ingress, daemon: Some(daemon), _folder: folder };
    // Every pod's token volume holds it; in a whole engine a controller makes it in every namespace.
    let root = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "x"}});
    cluster.create::<ConfigMap>(root).await;
    Some(cluster)
}

/// Everything of the daemon, each part with the rights it has there.
async fn start(api: &ApiServer, dir: &Path) -> (Daemon, SocketAddr) {
    let client = api.client_of(Part::Network);
    let node = NodeClient::connect(dir).await.unwrap();
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let config = watcher::Config::default;
    let all_services = Mirror::start(Api::all(client.clone()), config(), &tasks, &stop);
    let slices = Mirror::start(Api::all(client.clone()), config(), &tasks, &stop);
    let rules = services::follow(node.clone(), all_services.clone(), slices.clone(), vec![], stop.clone());
    tasks.spawn(rules);
    let listen: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let dial = Arc::new(node.clone());
    let ingress =
        Ingress::start(client.clone(), dial, listen, all_services.clone(), slices.clone(), &tasks, &stop)
            .await
            .unwrap();
    let addr = SocketAddrV4::new(DNS, 53);
    let domain = "cluster.local".to_owned();
    dns::serve(&node, addr, domain.clone(), all_services.clone(), slices, &tasks, &stop).await.unwrap();
    let config = AgentConfig {
        client: api.client_of(Part::Node),
        node,
        images: Arc::new(OneImage),
        dir: dir.to_owned(),
        node_name: NODE_NAME.into(),
        dns: ClusterDns { server: DNS, domain },
        services: all_services,
    };
    let agent = Agent::start(config, stop.clone()).await.unwrap();
    tasks.close();
    (Daemon { agent, stop, tasks }, ingress.addr)
}

impl Cluster {
    pub fn agent(&self) -> &Agent {
        &self.daemon.as_ref().unwrap().agent
    }

    /// Ends everything of the daemon; containers go on.
    pub async fn stop_daemon(&mut self) {
        let daemon = self.daemon.take().unwrap();
        daemon.stop.cancel();
        tokio::time::timeout(SOON, daemon.agent.ended()).await.expect("the agent should end");
        tokio::time::timeout(SOON, daemon.tasks.wait()).await.expect("the tasks should end");
    }

    pub async fn start_daemon(&mut self) {
        let (daemon, ingress) = start(&self.api, self.world.dir.path()).await;
        self.daemon = Some(daemon);
        self.ingress = ingress;
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// A pod of one container `c` that runs a bash script; `more` is merged into its spec.
    pub async fn run(&self, name: &str, script: &str, container: Value, spec: Value) -> Pod {
        let mut c = json!({"name": "c", "image": "programs:1", "command": ["bash", "-c", script]});
        merge(&mut c, container);
        let mut full = json!({"nodeName": NODE_NAME, "containers": [c], "terminationGracePeriodSeconds": 5});
        merge(&mut full, spec);
        self.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": full}))
            .await
    }

    pub async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: DeserializeOwned + serde::Serialize + Clone + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), "default");
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// Waits until the pod is as wanted; on failure the pod as it is.
    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let api = self.pods();
        let reached = async {
            loop {
                let pod = api.get(name).await.unwrap();
                if wanted(&pod) {
                    return pod;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(SOON, reached).await {
            Ok(pod) => pod,
            Err(_) => {
                let pod = api.get(name).await.unwrap();
                let events: Api<k8s_openapi::api::core::v1::Event> =
                    Api::namespaced(self.client.clone(), "default");
                let events = events.list(&Default::default()).await.unwrap();
                let events: Vec<_> =
                    events.items.into_iter().map(|e| e.message.unwrap_or_default()).collect();
                panic!("pod `{name}` should become {what}; it is {:#?}\n{events:#?}", pod.status);
            }
        }
    }

    pub async fn until_ready(&self, name: &str) -> Pod {
        self.until(name, "ready", is_ready).await
    }

    pub async fn until_phase(&self, name: &str, phase: &str) -> Pod {
        self.until(name, phase, |pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some(phase))
            .await
    }

    pub async fn delete(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.unwrap();
        let gone = async {
            while self.pods().get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, gone).await.expect("the pod should be deleted");
    }

    pub async fn log(&self, pod: &str) -> String {
        use futures::StreamExt as _;
        let stream = self.agent().logs("default", pod, Default::default()).await.unwrap();
        let chunks: Vec<_> = stream.map(Result::unwrap).collect().await;
        String::from_utf8(chunks.concat()).unwrap()
    }

    pub async fn end(mut self) {
        self.stop_daemon().await;
        self.world.end().await;
    }
}

pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// The only container's status, as JSON for short paths.
pub fn container(pod: &Pod) -> Value {
    let status = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref()).and_then(|c| c.first());
    serde_json::to_value(status).unwrap()
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().cloned().unwrap_or_default() {
        into[key] = value;
    }
}
