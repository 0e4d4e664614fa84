//! Which cluster a command talks to. Above this module nobody knows whether it is drydock.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cx::Cx;
use crate::engine;
use crate::failure::{Failure, Kind, Or};

/// A client for the chosen cluster; starts drydock when that is the choice and it is not running.
pub async fn start_or_connect(cx: &Cx) -> Result<Client, Failure> {
    match &cx.context {
        Some(context) => connect_context(context).await,
        None => {
            engine::start(cx).await?;
            connect_drydock(cx).await
        }
    }
}

/// A client for the chosen cluster, which must be running.
pub async fn connect(cx: &Cx) -> Result<Client, Failure> {
    match &cx.context {
        Some(context) => connect_context(context).await,
        None if engine::is_running(cx)? => connect_drydock(cx).await,
        None => Err(Failure::new(Kind::Cluster, anyhow::anyhow!("drydock is not running"))
            .hint("`seaworthy up` or `seaworthy drydock start` starts it")),
    }
}

async fn connect_drydock(cx: &Cx) -> Result<Client, Failure> {
    let path = engine::kubeconfig_path(cx);
    let config =
        Kubeconfig::read_from(&path).or_fail(Kind::Cluster, format!("cannot read `{}`", path.display()))?;
    client(config, KubeConfigOptions::default()).await
}

async fn connect_context(context: &str) -> Result<Client, Failure> {
    let config = Kubeconfig::read().or_fail(Kind::Cluster, "cannot read your kubeconfig")?;
    client(config, KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() }).await
}

async fn client(config: Kubeconfig, options: KubeConfigOptions) -> Result<Client, Failure> {
    // A second installation is harmless: the first provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::from_custom_kubeconfig(config, &options).await;
    let config = config.or_fail(Kind::Cluster, "the kubeconfig cannot be used")?;
    Client::try_from(config).or_fail(Kind::Cluster, "cannot connect to the cluster")
}
