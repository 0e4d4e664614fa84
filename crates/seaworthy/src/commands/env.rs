//! `seaworthy env`: where this program, and Helm beside it, keeps things.

use crate::cx::Cx;
use crate::failure::Outcome;
use crate::helm_files;

/// Print where things are kept
///
/// The variables can be set to keep them elsewhere; those of Helm mean the same to Helm.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Env {
    /// Only this one
    name: Option<String>,
}

impl Env {
    pub fn run(self, cx: &mut Cx) -> Outcome {
        let settings = helm_files::settings();
        let paths = [
            ("HELM_CONTENT_CACHE", &settings.content_cache),
            ("HELM_PLUGINS", &settings.plugins),
            ("HELM_REGISTRY_CONFIG", &settings.registry_config),
            ("HELM_REPOSITORY_CACHE", &settings.repository_cache),
            ("HELM_REPOSITORY_CONFIG", &settings.repository_config),
        ];
        let namespace = [("HELM_NAMESPACE", cx.chart_namespace())];
        let home = [("SEAWORTHY_HOME", cx.home.root().display().to_string())];
        let paths = paths.map(|(name, path)| (name, path.display().to_string()));
        for (name, value) in namespace.into_iter().chain(paths).chain(home) {
            match &self.name {
                None => println!("{name}={value:?}"),
                Some(wanted) if wanted == name => println!("{value}"),
                Some(_) => {}
            }
        }
        Ok(())
    }
}
