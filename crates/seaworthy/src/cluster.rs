//! Which cluster a command talks to. Above this module nobody knows whether it is drydock.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cx::{Cx, ServerArgs};
use crate::engine;
use crate::failure::{Failure, Kind, Or};

/// A client for the chosen cluster; starts drydock when that is the choice and it is not running.
pub async fn start_or_connect(cx: &Cx) -> Result<Client, Failure> {
    if cx.cluster.is_drydock() {
        engine::start(cx).await?;
    }
    client(config(cx).await?)
}

/// A client for the chosen cluster, which must be running.
pub async fn connect(cx: &Cx) -> Result<Client, Failure> {
    Ok(connect_to_namespace(cx).await?.0)
}

/// The same, and the namespace for releases: the one asked for, else the context's.
pub async fn connect_to_namespace(cx: &Cx) -> Result<(Client, String), Failure> {
    if cx.cluster.is_drydock() && !engine::is_running(cx)? {
        return Err(Failure::new(Kind::Cluster, anyhow::anyhow!("drydock is not running")).hint(
            "`seaworthy drydock start` starts it; `--kubeconfig` and `--kube-context` choose another cluster",
        ));
    }
    let config = config(cx).await?;
    let namespace = cx.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    Ok((client(config)?, namespace))
}

/// The same for a command that may start drydock.
pub async fn start_with_namespace(cx: &Cx) -> Result<(Client, String), Failure> {
    if cx.cluster.is_drydock() {
        engine::start(cx).await?;
    }
    connect_to_namespace(cx).await
}

async fn config(cx: &Cx) -> Result<Config, Failure> {
    let path = match &cx.cluster.kubeconfig {
        Some(path) => Some(path.clone()),
        None if cx.cluster.is_drydock() => Some(engine::kubeconfig_path(cx)),
        None => None,
    };
    let kubeconfig = match &path {
        Some(path) => Kubeconfig::read_from(path)
            .or_fail(Kind::Cluster, format!("cannot read the kubeconfig `{}`", path.display()))?,
        None => Kubeconfig::read().or_fail(Kind::Cluster, "cannot read your kubeconfig")?,
    };
    let options = KubeConfigOptions { context: cx.cluster.context.clone(), ..Default::default() };
    let kubeconfig = instead(kubeconfig, &options, &cx.cluster.server);
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.or_fail(Kind::Cluster, "the kubeconfig cannot be used")
}

/// The kubeconfig with what flags say in its place: only the chosen context's cluster and user are touched.
fn instead(mut kubeconfig: Kubeconfig, options: &KubeConfigOptions, flags: &ServerArgs) -> Kubeconfig {
    let chosen = options.context.as_ref().or(kubeconfig.current_context.as_ref());
    let context = kubeconfig.contexts.iter().find(|context| Some(&context.name) == chosen);
    let Some(context) = context.and_then(|context| context.context.clone()) else { return kubeconfig };
    let cluster = kubeconfig.clusters.iter_mut().find(|cluster| cluster.name == context.cluster);
    if let Some(cluster) = cluster.and_then(|cluster| cluster.cluster.as_mut()) {
        cluster.server = flags.kube_apiserver.clone().or(cluster.server.take());
        cluster.tls_server_name = flags.kube_tls_server_name.clone().or(cluster.tls_server_name.take());
        if let Some(file) = &flags.kube_ca_file {
            cluster.certificate_authority = Some(file.display().to_string());
            cluster.certificate_authority_data = None;
        }
        if flags.kube_insecure_skip_tls_verify {
            cluster.insecure_skip_tls_verify = Some(true);
        }
    }
    let user = kubeconfig.auth_infos.iter_mut().find(|user| Some(&user.name) == context.user.as_ref());
    if let Some(user) = user.and_then(|user| user.auth_info.as_mut()) {
        if let Some(token) = &flags.kube_token {
            user.token = Some(token.clone().into());
            user.token_file = None;
        }
        user.impersonate = flags.kube_as_user.clone().or(user.impersonate.take());
        if !flags.kube_as_group.is_empty() {
            user.impersonate_groups = Some(flags.kube_as_group.clone());
        }
    }
    kubeconfig
}

fn client(config: Config) -> Result<Client, Failure> {
    // A second installation is harmless: the first provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(config).or_fail(Kind::Cluster, "cannot connect to the cluster")
}
