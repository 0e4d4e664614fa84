//! The daemon: store, API, controllers and the node's side, started in that order and ended in reverse.
//!
//! The API answers first, before there is a node, because that is what clients wait for.
//!
//! Start at [`run`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drydock_api::pki::{Pki, PkiError};
use drydock_api::{Api, ApiConfig, Keyring, Part};
use drydock_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::backend::Backend;
use crate::folder::{Announcement, Folder};
use crate::node_side::NodeSide;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another daemon runs in `{}`", folder.display())]
    Taken { folder: PathBuf },
    #[error("cannot use `{}`", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("cannot open the store")]
    Store(#[from] drydock_store::OpenError),
    #[error("cannot prepare certificates")]
    Pki(#[from] PkiError),
    #[error("cannot start the API: {0}")]
    Api(String),
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] std::io::Error),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot open the image store")]
    Images(#[from] seaworthy_image::Error),
}

/// Runs the daemon until SIGTERM or Ctrl-C, then stops every container and ends.
pub async fn run(config: Config) -> Result<(), Error> {
    let folder = Folder::new(&config.folder);
    let path = config.folder.clone();
    let at = |source| Error::Folder { path: path.clone(), source };
    let Some(_held) = folder.take().map_err(at)? else {
        return Err(Error::Taken { folder: config.folder.clone() });
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let backend = Arc::new(Backend::default());
    let (store, api, pki, address) = start_api(&config, &folder, backend.clone(), &stop, &tasks).await?;
    // Told to everybody who prints a URL, so a port that another program uses costs nobody their app.
    let http_port = usable_port(config.http_port).await.map_err(Error::Listen)?;
    let config = Config { http_port, ..config };
    let announcement = Announcement {
        pid: std::process::id().cast_signed(),
        api_url: format!("https://{address}"),
        http_port,
    };
    // Who reads the announcement may ask for the end at once.
    let told_to_stop = told_to_stop()?;
    folder.announce(&announcement).map_err(at)?;
    tracing::info!(api = announcement.api_url, "drydock answers");

    start_controllers(&api, &pki, &folder, &stop, &tasks);
    let node = NodeSide::new(&config, &folder, api.clone(), pki, backend)?;
    let node = tokio::spawn(node.run(stop.clone()));
    told_to_stop.await;
    tracing::info!("stopping");
    // The node's side needs the API to say how its pods ended, so it goes first.
    stop.cancel();
    if let Err(error) = node.await {
        tracing::error!(%error, "the node's side ended badly");
    }
    tasks.close();
    tasks.wait().await;
    // Whoever waits for the folder's lock opens the store next.
    if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
        tracing::error!(%error, "the store ended badly");
    }
    folder.unannounce().map_err(at)
}

async fn start_api(
    config: &Config,
    folder: &Folder,
    backend: Arc<Backend>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(Store, Api, Arc<Pki>, SocketAddr), Error> {
    let (store_path, pki_path) = (folder.store(), folder.pki());
    // Both block on the disk, and neither needs the other.
    let (keys_path, sealed) = (folder.pki(), config.sealed_kinds.clone());
    let store = tokio::task::spawn_blocking(move || open_store(&store_path, &keys_path, &sealed));
    let pki = tokio::task::spawn_blocking(move || Pki::open(&pki_path));
    let listener = listen(config.api_port).await.map_err(Error::Listen)?;
    let address = listener.local_addr().map_err(Error::Listen)?;
    let joined = |error: tokio::task::JoinError| Error::Api(error.to_string());
    let (store, pki) = (store.await.map_err(joined)??, Arc::new(pki.await.map_err(joined)??));
    let audit = config.audit_log.clone().map(drydock_api::AuditConfig::new);
    let pod_address = drydock_node::protocol::NODE_IP;
    let api_config = ApiConfig { port: address.port(), pod_address, audit, ..ApiConfig::default() };
    let api = Api::new(api_config, store.clone(), pki.clone(), backend)
        .await
        .map_err(|error| Error::Api(error.to_string()))?;
    let tls = pki.server_tls()?;
    let (serving, token) = (api.clone(), stop.child_token());
    tasks.spawn(async move {
        if let Err(error) = serving.serve(listener, tls, token).await {
            tracing::error!(%error, "the API does not listen any more");
        }
    });
    pki.write_kubeconfig(&folder.kubeconfig(), &format!("https://{address}"))?;
    Ok((store, api, pki, address))
}

fn open_store(path: &Path, keys: &Path, sealed: &[String]) -> Result<Store, Error> {
    let keyring = Keyring::open(keys, sealed)?;
    Ok(Store::open_with(path, keyring.store_options())?)
}

/// The wanted port, or any free one: several engines may run on a machine.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::info!(port, "the port is in use; taking a free one");
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        bound => bound,
    }
}

/// The wanted port, or a free one in its place. The ingress binds it a moment later, and says so if it cannot.
async fn usable_port(port: u16) -> std::io::Result<u16> {
    Ok(listen(port).await?.local_addr()?.port())
}

fn start_controllers(api: &Api, pki: &Pki, folder: &Folder, stop: &CancellationToken, tasks: &TaskTracker) {
    let config = drydock_controllers::Config::new(pki.ca_pem(), folder.volumes());
    tasks.spawn(drydock_controllers::run(api.client_of(Part::Controllers), config, stop.child_token()));
}

/// Listens from now on; what is returned ends when somebody wants the daemon to end.
fn told_to_stop() -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
