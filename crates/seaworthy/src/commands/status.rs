//! `seaworthy status`: a line per service: what should run, what does, and why the rest does not.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams};
use seaworthy_release::{Release, Releases, record};

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::printing::record::{Show, block, whole};
use crate::printing::{self, Output, OutputArgs};
use crate::project::{self, ProjectArgs};
use crate::table;

/// Show how an app or a release stands, and why something is not ready
///
///   seaworthy status             the services of this folder's compose file
///   seaworthy status web         release `web` and its objects
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    /// A release; the app of this folder without one
    release: Option<String>,

    #[command(flatten)]
    project: ProjectArgs,

    /// Print the app's services as JSON
    #[arg(long)]
    json: bool,

    /// An earlier revision of the release
    #[arg(long, requires = "release", value_name = "NUMBER")]
    revision: Option<u64>,

    /// Only what is stored: do not look at the release's objects
    #[arg(long, requires = "release")]
    stored: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// What a person wants to know of one service.
#[derive(Debug, Default, serde::Serialize)]
struct Line {
    service: String,
    ready: usize,
    pods: usize,
    restarts: i32,
    image: String,
    /// Why a pod is not ready, when one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Status {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        match &self.release {
            Some(release) => self.of_release(cx, release).await,
            None => self.of_app(cx).await,
        }
    }

    async fn of_release(&self, cx: &mut Cx, name: &str) -> Outcome {
        let (client, namespace) = cluster::connect_to_namespace(cx).await?;
        let releases = Releases::new(client, namespace);
        let failed = |error| Failure::new(Kind::Release, error);
        let release = releases.get(name, self.revision).await.map_err(failed)?;
        let looks = self.output.output == Output::Table && !self.stored;
        let standing = match looks && release.info.status != record::Status::Uninstalled {
            true => releases.standing(&release).await.map_err(failed)?,
            false => Vec::new(),
        };
        let show = Show::default();
        // The chart is left out, as Helm does: what was made of it is in the manifest.
        let told = Release { chart: serde_json::Value::Null, ..whole(&release) };
        printing::print(self.output.output, &told, || block(&release, show, &standing))
    }

    async fn of_app(&self, cx: &mut Cx) -> Outcome {
        let app = project::name(&self.project)?;
        let client = cluster::connect(cx).await?;
        let namespace = cx.namespace.clone().unwrap_or_else(|| app.clone());
        let labels = ListParams::default().labels(&project::selector(&app, None));
        let pods = Api::<Pod>::namespaced(client.clone(), &namespace).list(&labels).await;
        let pods = pods.or_fail(Kind::Cluster, format!("cannot list the pods of `{app}`"))?;
        let ingresses = Api::<Ingress>::namespaced(client, &namespace).list(&labels).await;
        let ingresses = ingresses.or_fail(Kind::Cluster, format!("cannot list the ingresses of `{app}`"))?;
        let lines = lines(&pods.items);
        if self.json || self.output.output == Output::Json {
            let text = serde_json::to_string_pretty(&lines).or_fail(Kind::Unexpected, "cannot print JSON")?;
            println!("{text}");
            return Ok(());
        }
        if lines.is_empty() {
            cx.progress.step(&app, "nothing runs; `seaworthy up` starts it");
            return Ok(());
        }
        let rows: Vec<[String; 5]> = lines.into_iter().map(row).collect();
        print!("{}", table::render(["SERVICE", "READY", "RESTARTS", "IMAGE", "WHY NOT READY"], &rows));
        for host in ingresses.items.iter().flat_map(hosts) {
            println!("\n{}", project::url(cx, host)?);
        }
        Ok(())
    }
}

fn row(line: Line) -> [String; 5] {
    let ready = format!("{}/{}", line.ready, line.pods);
    [line.service, ready, line.restarts.to_string(), line.image, line.why.unwrap_or_default()]
}

fn hosts(ingress: &Ingress) -> impl Iterator<Item = &str> {
    let rules = ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten());
    rules.filter_map(|rule| rule.host.as_deref())
}

fn lines(pods: &[Pod]) -> Vec<Line> {
    let mut services: BTreeMap<String, Line> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let service = project::service_of(pod).unwrap_or("-").to_owned();
        let line = services.entry(service.clone()).or_insert_with(|| Line { service, ..Default::default() });
        line.pods += 1;
        let containers = containers(pod);
        line.restarts += containers.iter().map(|container| container.restart_count).sum::<i32>();
        if let Some(container) = containers.first() {
            line.image = container.image.clone();
        }
        match why_not_ready(pod) {
            None => line.ready += 1,
            Some(why) => line.why = Some(why),
        }
    }
    services.into_values().collect()
}

fn containers(pod: &Pod) -> &[ContainerStatus] {
    pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default()
}

/// The most telling reason: a container that waits, then a condition, then the phase.
fn why_not_ready(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return None;
    }
    let waiting = containers(pod).iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        Some(match &waiting.message {
            Some(message) => format!("{reason}: {message}"),
            None => reason.to_owned(),
        })
    });
    let unmet = || {
        let condition = conditions.iter().find(|condition| condition.status == "False")?;
        Some(
            condition
                .message
                .clone()
                .or_else(|| condition.reason.clone())
                .unwrap_or_else(|| condition.type_.clone()),
        )
    };
    let phase = || status.and_then(|status| status.phase.clone()).unwrap_or_else(|| "Pending".to_owned());
    Some(waiting.or_else(unmet).unwrap_or_else(phase))
}
