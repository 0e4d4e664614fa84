//! What every command is handed: the state folder, what the person asked for globally, and a way to print.

use std::io::IsTerminal;

use crate::home::Home;
use crate::progress::Progress;

/// Global choices. Data goes to stdout through `println!`; everything else goes through [`Cx::progress`].
pub struct Cx {
    pub home: Home,
    /// A context of the user's own kubeconfig; `None` means drydock.
    pub context: Option<String>,
    /// Overrides the namespace, which is the app's name by default.
    pub namespace: Option<String>,
    pub progress: Progress,
    /// Nothing but data and errors is wanted.
    pub quiet: bool,
}

impl Cx {
    pub fn new(home: Home, context: Option<String>, namespace: Option<String>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { home, context, namespace, progress: Progress::new(terminal, quiet), quiet }
    }

    /// The namespace of a chart that is no app of ours: as asked for, else Helm's.
    pub fn chart_namespace(&self) -> String {
        let helm = || std::env::var("HELM_NAMESPACE").ok().filter(|name| !name.is_empty());
        self.namespace.clone().or_else(helm).unwrap_or_else(|| "default".into())
    }
}
