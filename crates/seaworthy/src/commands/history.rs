//! `seaworthy history`: the revisions of the app's release.

use seaworthy_release::{Release, Releases};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::project::{self, ProjectArgs};
use crate::table;

/// List the revisions of the app; Helm shows the same ones
#[derive(Debug, clap::Args)]
pub struct History {
    #[command(flatten)]
    project: ProjectArgs,
}

impl History {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let app = project::name(&self.project)?;
        let client = cluster::connect(cx).await?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.clone());
        let history = Releases::new(client, namespace).history(&app).await;
        let history = history.map_err(|error| Failure::new(Kind::Release, error))?;
        if history.is_empty() {
            cx.progress.step(&app, "has no revisions; `seaworthy up` makes the first one");
        } else {
            let rows: Vec<[String; 4]> = history.iter().map(row).collect();
            print!("{}", table::render(["REVISION", "DEPLOYED", "STATUS", "DESCRIPTION"], &rows));
        }
        Ok(())
    }
}

fn row(release: &Release) -> [String; 4] {
    let deployed = release.info.last_deployed.split('.').next().unwrap_or_default().to_owned();
    [
        release.version.to_string(),
        deployed,
        release.info.status.name().to_owned(),
        release.info.description.clone(),
    ]
}
