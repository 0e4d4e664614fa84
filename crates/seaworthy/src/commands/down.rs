//! `seaworthy down`: the release goes, its data stays unless asked.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams};
use seaworthy_release::{Error, Releases, Removal};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::project::{self, ProjectArgs};

const POLL: Duration = Duration::from_millis(50);

/// Stop the app and remove its objects; volumes and their secrets are kept
#[derive(Debug, clap::Args)]
pub struct Down {
    #[command(flatten)]
    project: ProjectArgs,

    /// Remove the volumes, the secrets and the namespace too: all data is lost
    #[arg(short, long)]
    volumes: bool,

    /// Seconds to wait until everything has ended
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

impl Down {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let since = Instant::now();
        let app = project::name(&self.project)?;
        let client = cluster::connect(cx).await?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.clone());
        let removal = Removal { timeout: Duration::from_secs(self.timeout), ..Removal::default() };
        cx.progress.live(format!("stopping {app}"));
        let releases = Releases::new(client.clone(), &namespace);
        match releases.uninstall(&app, &removal, &mut cx.teller()).await {
            Ok(_) => {}
            Err(Error::NoRelease { .. }) => cx.progress.step(&app, "was not installed"),
            Err(error) => return Err(Failure::new(Kind::Release, error)),
        }
        self.wait_for_pods(&client, &namespace, &app).await?;
        if self.volumes {
            remove_data(&client, &namespace, &app).await?;
        }
        cx.progress.timed(
            "down",
            if self.volumes { "stopped; volumes and secrets removed" } else { "stopped; volumes are kept" },
            since,
        );
        Ok(())
    }

    async fn wait_for_pods(&self, client: &Client, namespace: &str, app: &str) -> Result<(), Failure> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default().labels(&project::selector(app, None));
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        loop {
            let left =
                pods.list_metadata(&params).await.or_fail(Kind::Cluster, "cannot list the pods")?.items;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let names: Vec<String> = left.into_iter().filter_map(|pod| pod.metadata.name).collect();
                let error = anyhow::anyhow!(
                    "after {} s these pods have not ended: {}",
                    self.timeout,
                    names.join(", ")
                );
                return Err(Failure::new(Kind::Release, error));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Claims and the Secret, and the namespace when nothing of anybody else is in it.
async fn remove_data(client: &Client, namespace: &str, app: &str) -> Result<(), Failure> {
    let params = ListParams::default().labels(&project::selector(app, None));
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    claims
        .delete_collection(&DeleteParams::default(), &params)
        .await
        .or_fail(Kind::Cluster, "cannot remove the volumes")?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match secrets.delete(&format!("{app}-secrets"), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        deleted => drop(deleted.or_fail(Kind::Cluster, "cannot remove the app's secret")?),
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let others =
        pods.list_metadata(&ListParams::default()).await.or_fail(Kind::Cluster, "cannot list the pods")?;
    if namespace == app && others.items.is_empty() {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .delete(namespace, &DeleteParams::default())
            .await
            .map(drop)
            .or_fail(Kind::Cluster, format!("cannot remove the namespace `{namespace}`"))?;
    }
    Ok(())
}
