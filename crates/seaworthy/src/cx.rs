//! What every command is handed: the state folder, what the person asked for globally, and a way to print.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use seaworthy_release::{Progress as Told, Releases};

use crate::home::Home;
use crate::printing;
use crate::progress::Progress;

/// How long an interrupted command may take to leave things in order.
const LEAVING: Duration = Duration::from_secs(5);

/// Which cluster a person chose. Nothing means drydock.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub server: ServerArgs,
}

/// Helm's global flags for the API server: what they say goes before what the kubeconfig says.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Instead of what the kubeconfig says")]
pub struct ServerArgs {
    /// URL of the API server
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub kube_apiserver: Option<String>,

    /// Bearer token
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub kube_token: Option<String>,

    /// User to act as
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub kube_as_user: Option<String>,

    /// Group to act as; may be repeated
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub kube_as_group: Vec<String>,

    /// Certificate authorities of the API server, in PEM
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kube_ca_file: Option<PathBuf>,

    /// Name in the API server's certificate
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub kube_tls_server_name: Option<String>,

    /// Do not check the API server's certificate
    #[arg(long, global = true, hide_short_help = true)]
    pub kube_insecure_skip_tls_verify: bool,
}

impl Choice {
    pub fn is_drydock(&self) -> bool {
        self.kubeconfig.is_none() && self.context.is_none() && self.server.kube_apiserver.is_none()
    }
}

/// Global choices. Data goes to stdout through `println!`; everything else goes through [`Cx::progress`].
pub struct Cx {
    pub home: Home,
    pub cluster: Choice,
    /// Overrides the namespace, which is the app's name by default, and the context's for a release.
    pub namespace: Option<String>,
    pub progress: Progress,
    /// Nothing but data is wanted.
    pub quiet: bool,
    /// The release that is being changed, for Ctrl-C.
    pub at_work: Option<(Releases, String)>,
}

impl Cx {
    pub fn new(home: Home, cluster: Choice, namespace: Option<String>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { home, cluster, namespace, progress: Progress::new(terminal, quiet), quiet, at_work: None }
    }

    /// Prints what an operation tells.
    pub fn teller(&self) -> impl FnMut(Told) + Send + '_ {
        |told| printing::progress::tell(&self.progress, told)
    }

    /// After Ctrl-C: records that the operation ended here, so that nobody waits for it, Helm included.
    pub async fn leave(&mut self) {
        let Some((releases, release)) = self.at_work.take() else { return };
        self.progress.clear();
        match tokio::time::timeout(LEAVING, releases.abandon(&release)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.progress.warn(format!("the interruption was not recorded: {error}")),
            Err(_) => self.progress.warn("the interruption was not recorded: the cluster does not answer"),
        }
    }

    /// The namespace of a chart that is no app of ours: as asked for, else Helm's.
    pub fn chart_namespace(&self) -> String {
        let helm = || std::env::var("HELM_NAMESPACE").ok().filter(|name| !name.is_empty());
        self.namespace.clone().or_else(helm).unwrap_or_else(|| "default".into())
    }
}
