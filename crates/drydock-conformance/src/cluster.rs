//! drydock as the comparison meets it: API over TLS, all controllers, a node that pretends.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use drydock_api::{Api, ApiConfig, Pki};
use drydock_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::kubelet;
use crate::target::Target;
use crate::voices::Voices;

/// A running engine without containers; ends when dropped.
pub struct Cluster {
    pub target: Target,
    stop: CancellationToken,
}

impl Cluster {
    /// Starts in `folder`, which gets its `kubeconfig`; `port` 0 takes a free one.
    pub async fn start(folder: &Path, port: u16) -> anyhow::Result<Cluster> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let pki = Arc::new(Pki::open(&folder.join("pki"))?);
        let store = Store::open(folder.join("store.redb"))?;
        let kubeconfig = folder.join("kubeconfig");
        pki.write_kubeconfig(&kubeconfig, &format!("https://127.0.0.1:{port}"))?;
        let config = ApiConfig { port, ..ApiConfig::default() };
        let voices = Arc::new(Voices::default());
        let api = Api::new(config, store, pki.clone(), voices.clone()).await?;
        voices.listen(api.client());
        let stop = CancellationToken::new();
        let (serving, tls, token) = (api.clone(), pki.server_tls()?, stop.clone());
        tokio::spawn(async move { serving.serve(listener, tls, token).await });
        let config = drydock_controllers::Config::new(pki.ca_pem(), folder.join("volumes"));
        tokio::spawn(drydock_controllers::run(api.client(), config, stop.child_token()));
        tokio::spawn(kubelet::pretend(api.client(), stop.child_token()));
        Ok(Cluster { target: Target::read(&kubeconfig)?, stop })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
