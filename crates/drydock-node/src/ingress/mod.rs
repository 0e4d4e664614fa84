//! The ingress controller: HTTP on the host's loopback to pods inside the node.
//!
//! Reads: IngressClass, Ingress, Service, EndpointSlice. Writes: Ingress status, the IngressClass `drydock`.
//! Only endpoints that are ready get requests; the listener itself never waits for the cluster.
//!
//! Start at [`Ingress::start`].

pub mod build;
pub mod pages;
pub mod proxy;
pub mod routes;
pub mod upstream;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress as IngressObject, IngressClass};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::mirror::Mirror;
use build::{CONTROLLER, Inputs};
use proxy::Proxy;
use routes::Table;
use upstream::{Dial, Pool};

/// The default class's name.
pub const CLASS: &str = "drydock";
const FIELD_MANAGER: &str = "drydock-ingress";
const CONNECTIONS_MAX: usize = 1024;
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// How long open requests may go on after `stop`.
const DRAIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on `{addr}` for the ingress; is another program using the port?")]
    Bind {
        addr: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// A listening ingress. It ends with the token it was started with.
#[derive(Debug)]
pub struct Ingress {
    /// Where it really listens.
    pub addr: SocketAddr,
}

impl Ingress {
    /// Listens on `listen`, then serves and follows the cluster on `tasks` until `stop`.
    pub async fn start(
        client: Client,
        dial: Arc<dyn Dial>,
        listen: SocketAddr,
        services: Mirror<Service>,
        slices: Mirror<EndpointSlice>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Bind { addr: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let table = Arc::new(RwLock::new(Arc::new(Table::default())));
        let pool = Pool::new(dial);
        let sources = Sources {
            classes: Mirror::start(Api::all(client.clone()), watcher::Config::default(), tasks, stop),
            ingresses: Mirror::start(Api::all(client.clone()), watcher::Config::default(), tasks, stop),
            services,
            slices,
        };
        let proxy = Arc::new(Proxy { table: table.clone(), pool: pool.clone(), turn: AtomicUsize::new(0) });
        let token = stop.clone();
        tasks.spawn(async move { token.run_until_cancelled(follow(client, sources, table, pool)).await });
        tasks.spawn(accept(listener, proxy, stop.clone()));
        Ok(Ingress { addr })
    }
}

struct Sources {
    classes: Mirror<IngressClass>,
    ingresses: Mirror<IngressObject>,
    services: Mirror<Service>,
    slices: Mirror<EndpointSlice>,
}

impl Sources {
    fn inputs(&self) -> Inputs {
        Inputs {
            classes: self.classes.all(),
            ingresses: self.ingresses.all(),
            services: self.services.all(),
            slices: self.slices.all(),
        }
    }

    async fn changed(&mut self) -> bool {
        tokio::select! {
            alive = self.classes.changed() => alive,
            alive = self.ingresses.changed() => alive,
            alive = self.services.changed() => alive,
            alive = self.slices.changed() => alive,
        }
    }
}

async fn follow(client: Client, mut sources: Sources, table: Arc<RwLock<Arc<Table>>>, pool: Pool) {
    while let Err(error) = ensure_class(&client).await {
        tracing::debug!(%error, "cannot create the ingress class yet");
        tokio::time::sleep(RETRY).await;
    }
    loop {
        let inputs = sources.inputs();
        let built = Arc::new(inputs.table());
        let used = built.endpoints();
        *table.write().unwrap_or_else(PoisonError::into_inner) = built;
        pool.retain(|addr| used.contains(addr));
        let failed = publish(&client, &inputs).await;
        tokio::select! {
            alive = sources.changed() => if !alive { return },
            () = tokio::time::sleep(RETRY), if failed => {}
        }
    }
}

/// Creates the default class once; a person may change it afterwards.
async fn ensure_class(client: &Client) -> kube::Result<()> {
    let api: Api<IngressClass> = Api::all(client.clone());
    if api.get_opt(CLASS).await?.is_some() {
        return Ok(());
    }
    let class: IngressClass = serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": CLASS, "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": CONTROLLER},
    }))
    .map_err(kube::Error::SerdeError)?;
    match api.create(&PostParams::default(), &class).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Writes where our Ingresses are reachable. `true`: something failed and should be tried again.
async fn publish(client: &Client, inputs: &Inputs) -> bool {
    let wanted = json!([{"ip": "127.0.0.1", "hostname": "localhost"}]);
    let mut failed = false;
    for ingress in inputs.ours() {
        let status =
            ingress.status.as_ref().and_then(|s| s.load_balancer.as_ref()).and_then(|l| l.ingress.as_ref());
        let current = status.and_then(|list| list.first());
        if current.is_some_and(|i| i.hostname.as_deref() == Some("localhost")) {
            continue;
        }
        let api: Api<IngressObject> =
            Api::namespaced(client.clone(), &ingress.namespace().unwrap_or_default());
        let patch = json!({"status": {"loadBalancer": {"ingress": wanted}}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        match api.patch_status(&ingress.name_any(), &params, &Patch::Merge(&patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                tracing::debug!(%error, ingress = %ingress.name_any(), "cannot write the ingress status yet");
                failed = true;
            }
        }
    }
    failed
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.map_err(std::io::Error::other)?;
            listener.accept().await.map(|(stream, client)| (slot, stream, client))
        };
        let (slot, stream, client) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let (proxy, stop) = (proxy.clone(), stop.clone());
        connections.spawn(async move {
            let _slot = slot;
            serve_connection(stream, client, proxy, stop).await;
        });
    }
    connections.close();
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
}

async fn serve_connection(
    stream: tokio::net::TcpStream,
    client: SocketAddr,
    proxy: Arc<Proxy>,
    stop: CancellationToken,
) {
    let service = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.handle(request, client).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%client, %error, "a client's connection ended");
    }
}

#[cfg(test)]
mod tests;
