//! Everything of the daemon that needs the node: agent, service rules, DNS, ingress, the API's address for pods.
//!
//! Connects to a node that a former daemon left running, or launches one. When the node is lost, all of it is
//! started again with a new one; pods are then started anew by the agent.
//!
//! Start at [`NodeSide::run`].

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use drydock_api::pki::Pki;
use drydock_api::{Api, Part};
use drydock_node::agent::{Agent, AgentConfig, ClusterDns, StoreImages};
use drydock_node::client::NodeClient;
use drydock_node::ingress::Ingress;
use drydock_node::mirror::Mirror;
use drydock_node::protocol::{NODE_IP, Protocol};
use drydock_node::services::FixedRule;
use drydock_node::{dns, services};
use kube::Api as Objects;
use kube::runtime::watcher;
use seaworthy_image::ImageStore;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::backend::Backend;
use crate::daemon::Error;
use crate::folder::Folder;

const NODE_NAME: &str = "drydock";
const DOMAIN: &str = "cluster.local";
const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const API_ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 1), 443);
const RETRY: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct NodeSide {
    folder: PathBuf,
    http: SocketAddr,
    images: ImageStore,
    api: Api,
    pki: Arc<Pki>,
    backend: Arc<Backend>,
}

/// Why the node's side is not up. Told in the log; tried again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot start the node")]
    Node(#[from] drydock_node::client::Error),
    #[error("cannot start the agent")]
    Agent(#[from] drydock_node::agent::Error),
    #[error("cannot start DNS")]
    Dns(#[from] dns::Error),
    #[error("cannot start the ingress")]
    Ingress(#[from] drydock_node::ingress::Error),
    #[error("cannot use the certificates")]
    Pki(#[from] drydock_api::PkiError),
    #[error("cannot find this program's own file")]
    Program(#[source] std::io::Error),
}

impl NodeSide {
    pub fn new(
        config: &Config,
        folder: &Folder,
        api: Api,
        pki: Arc<Pki>,
        backend: Arc<Backend>,
    ) -> Result<Self, Error> {
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, config.http_port));
        let images = ImageStore::open(&config.images)?;
        Ok(Self { folder: folder.node(), http, images, api, pki, backend })
    }

    /// Keeps the node's side up until `stop`, then ends every container.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let round = stop.child_token();
            let tasks = TaskTracker::new();
            match self.start(&tasks, &round).await {
                Ok((node, agent)) => {
                    tokio::select! {
                        () = node.closed() => tracing::error!("the node is gone; starting a new one"),
                        () = stop.cancelled() => {}
                    }
                    self.backend.set(None);
                    round.cancel();
                    agent.ended().await;
                    if stop.is_cancelled()
                        && let Err(error) = node.shutdown().await
                    {
                        tracing::error!(error = &error as &dyn std::error::Error, "the node did not end");
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the node's side is not up; trying again"
                    );
                    round.cancel();
                    tokio::select! { () = tokio::time::sleep(RETRY) => {}, () = stop.cancelled() => {} }
                }
            }
            tasks.close();
            tasks.wait().await;
        }
    }

    async fn start(
        &self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(NodeClient, Arc<Agent>), Trouble> {
        let node = self.node().await?;
        let client = self.api.client_of(Part::Network);
        let all = watcher::Config::default;
        let service = Mirror::start(Objects::all(client.clone()), all(), tasks, stop);
        let slices = Mirror::start(Objects::all(client.clone()), all(), tasks, stop);
        tasks.spawn(services::follow(
            node.clone(),
            service.clone(),
            slices.clone(),
            vec![api_rule()],
            stop.clone(),
        ));
        let dns_address = SocketAddrV4::new(DNS_ADDRESS, 53);
        dns::serve(&node, dns_address, DOMAIN.into(), service.clone(), slices.clone(), tasks, stop).await?;
        let acceptor = TlsAcceptor::from(self.pki.server_tls()?);
        for address in [API_ADDRESS, SocketAddrV4::new(NODE_IP, self.api.port())] {
            let listener = node.bind_tcp(address).await?;
            tasks.spawn(serve_pods(self.api.clone(), listener, acceptor.clone(), stop.clone()));
        }
        let config = AgentConfig {
            client: self.api.client_of(Part::Node),
            node: node.clone(),
            images: Arc::new(StoreImages::new(self.images.clone())),
            dir: self.folder.clone(),
            node_name: NODE_NAME.into(),
            dns: ClusterDns { server: DNS_ADDRESS, domain: DOMAIN.into() },
            services: service.clone(),
        };
        let agent = Arc::new(Agent::start(config, stop.clone()).await?);
        self.backend.set(Some(agent.clone()));
        let dial = Arc::new(node.clone());
        Ingress::start(client, dial, self.http, service, slices, tasks, stop).await?;
        Ok((node, agent))
    }

    async fn node(&self) -> Result<NodeClient, Trouble> {
        if let Ok(node) = NodeClient::connect(&self.folder).await {
            tracing::info!("adopting the node that is running");
            return Ok(node);
        }
        let program = std::env::current_exe().map_err(Trouble::Program)?;
        Ok(NodeClient::launch(&program, &self.folder).await?)
    }
}

/// The API's Service needs no endpoints: the daemon listens on its address.
fn api_rule() -> FixedRule {
    FixedRule {
        cluster_ip: *API_ADDRESS.ip(),
        port: API_ADDRESS.port(),
        protocol: Protocol::Tcp,
        endpoints: Vec::new(),
        affinity: false,
    }
}

/// Serves the API to pods, on an address inside the node's network.
async fn serve_pods(api: Api, listener: TcpListener, acceptor: TlsAcceptor, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let (api, acceptor, stop) = (api.clone(), acceptor.clone(), stop.clone());
                connections.spawn(async move { api.connection(stream, acceptor, stop).await });
            }
            Err(error) => {
                tracing::debug!(%error, "a pod's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}
