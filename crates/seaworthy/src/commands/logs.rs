//! `seaworthy logs`: the output of a service, all its pods together.

use futures::io::AsyncBufReadExt;
use futures::stream::{SelectAll, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::project::{self, ProjectArgs};

/// Print the output of services
///
///   seaworthy logs -f backend        follow one service
///   seaworthy logs --tail 20         the last lines of all of them
#[derive(Debug, clap::Args)]
// Here `-f` means what it means for `docker compose logs`, so the compose file has only its long name.
#[command(verbatim_doc_comment, mut_arg("files", |file| file.short(None)))]
pub struct Logs {
    #[command(flatten)]
    project: ProjectArgs,

    /// Services; all of them when none is named
    services: Vec<String>,

    /// Keep printing new lines
    #[arg(short, long)]
    follow: bool,

    /// Number of lines from the end
    #[arg(long, value_name = "LINES")]
    tail: Option<i64>,

    /// Begin each line with the time it was written
    #[arg(short, long)]
    timestamps: bool,

    /// The output of the container before its last restart
    #[arg(long)]
    previous: bool,
}

impl Logs {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let app = project::name(&self.project)?;
        let client = cluster::connect(cx).await?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.clone());
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        let found = pods.list(&ListParams::default().labels(&project::selector(&app, None))).await;
        let found = found.or_fail(Kind::Cluster, format!("cannot list the pods of `{app}`"))?.items;
        let chosen: Vec<Pod> = found.iter().filter(|pod| self.wants(pod)).cloned().collect();
        if chosen.is_empty() {
            return Err(self.nothing_to_show(&app, &found));
        }
        self.print(&pods, &chosen).await
    }

    fn wants(&self, pod: &Pod) -> bool {
        let service = project::service_of(pod);
        self.services.is_empty() || self.services.iter().any(|wanted| Some(wanted.as_str()) == service)
    }

    fn nothing_to_show(&self, app: &str, found: &[Pod]) -> Failure {
        let mut known: Vec<&str> = found.iter().filter_map(project::service_of).collect();
        known.sort_unstable();
        known.dedup();
        let error = match self.services.as_slice() {
            [] => anyhow::anyhow!("`{app}` has no pods"),
            services => anyhow::anyhow!(
                "no pod belongs to {}",
                services.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let hint = if known.is_empty() {
            "`seaworthy up` starts it".to_owned()
        } else {
            format!("running services: {}", known.join(", "))
        };
        Failure::new(Kind::Input, error).hint(hint)
    }

    async fn print(&self, pods: &Api<Pod>, chosen: &[Pod]) -> Outcome {
        let mut lines = SelectAll::new();
        for (pod, container) in chosen.iter().flat_map(containers) {
            let params = LogParams {
                container: Some(container.to_owned()),
                follow: self.follow,
                tail_lines: self.tail,
                timestamps: self.timestamps,
                previous: self.previous,
                ..Default::default()
            };
            let prefix = if chosen.len() > 1 { format!("{pod}  ") } else { String::new() };
            match pods.log_stream(pod, &params).await {
                Ok(stream) => lines.push(stream.lines().map(move |line| (prefix.clone(), line)).boxed()),
                Err(error) => eprintln!("{pod}: {error}"),
            }
        }
        while let Some((prefix, line)) = lines.next().await {
            let line = line.or_fail(Kind::Cluster, "the log stream broke")?;
            println!("{prefix}{line}");
        }
        Ok(())
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = (&str, &str)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(move |container| (name, container.name.as_str()))
}
