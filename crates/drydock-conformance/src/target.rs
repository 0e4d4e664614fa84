//! The cluster a run talks to: what its kubeconfig says, and kubeconfigs with another namespace.

use std::path::Path;

use anyhow::Context;

/// Address and credentials, as base64 of PEM, out of a kubeconfig with inline data.
#[derive(Clone)]
pub struct Target {
    pub server: String,
    authority: String,
    certificate: String,
    key: String,
}

impl Target {
    /// Reads a kubeconfig of one cluster and one user, as drydock and the reference cluster write it.
    pub fn read(path: &Path) -> anyhow::Result<Target> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let value = |key: &str| {
            let found =
                text.split(&format!("{key}: ")).nth(1).and_then(|rest| rest.split([' ', ',', '\n']).next());
            let found = found.map(|value| value.trim_matches('"').to_owned());
            found.with_context(|| format!("`{}` has no `{key}`", path.display()))
        };
        Ok(Target {
            server: value("server")?,
            authority: value("certificate-authority-data")?,
            certificate: value("client-certificate-data")?,
            key: value("client-key-data")?,
        })
    }

    pub fn kubeconfig(&self, namespace: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\nclusters:\n- name: it\n  cluster:\n    server: {}\n    \
             certificate-authority-data: {}\ncontexts:\n- name: it\n  context:\n    cluster: it\n    user: admin\n    \
             namespace: {namespace}\nusers:\n- name: admin\n  user:\n    client-certificate-data: {}\n    \
             client-key-data: {}\n",
            self.server, self.authority, self.certificate, self.key
        )
    }

    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        let config = kube::config::Kubeconfig::from_yaml(&self.kubeconfig("default"))?;
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }
}
