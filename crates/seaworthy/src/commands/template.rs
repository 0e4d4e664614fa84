//! `seaworthy template`: the objects `up` would apply, without a cluster.

use crate::cx::Cx;
use crate::failure::Outcome;
use crate::package::{self, Target};
use crate::project::{self, ProjectArgs};

/// Write the chart and print the objects it renders to; no cluster is needed
#[derive(Debug, clap::Args)]
pub struct Template {
    #[command(flatten)]
    project: ProjectArgs,
}

impl Template {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let project = project::load(&self.project)?;
        project::report(cx, &project);
        let app = &project.loaded.app;
        let chart = package::write_chart(&project)?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.name.clone());
        let values = package::values(app, &Default::default(), None);
        let package = package::render(
            &chart.chart,
            values,
            Target { release: &app.name, namespace: &namespace, revision: 0, kube_version: None },
        )?;
        print!("{}", package.manifest);
        Ok(())
    }
}
