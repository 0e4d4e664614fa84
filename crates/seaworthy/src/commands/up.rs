//! `seaworthy up`: compose file, images, chart, cluster, release, URL.

use std::time::{Duration, Instant};

use kube::Client;
use seaworthy_app::App;
use seaworthy_release::{Done, Error, Policy, Releases};

use crate::cx::Cx;
use crate::failure::{Failure, Kind, Or, Outcome};
use crate::images::{self, Images};
use crate::package::{self, Target, WrittenChart};
use crate::project::{self, ProjectArgs};
use crate::{app_secret, cluster};

/// Build, deploy and wait until the app is ready
///
///   seaworthy up                     in a folder with compose.yaml
///   seaworthy up --context minikube  the same chart on another cluster
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Up {
    #[command(flatten)]
    project: ProjectArgs,

    /// Seconds to wait until everything is ready
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,

    /// When it fails, leave what was applied in place to look at it
    #[arg(long)]
    no_rollback: bool,
}

impl Up {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let begun = Instant::now();
        let project = project::load(&self.project)?;
        let app = &project.loaded.app;
        let files: Vec<String> = project
            .loaded
            .files
            .iter()
            .map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned())
            .collect();
        cx.progress
            .step("app", format!("{}: {} services from {}", app.name, app.services.len(), files.join(", ")));
        project::report(cx, &project);

        // The cluster starts while images are looked at: neither needs the other.
        let (images, client) =
            futures::future::try_join(prepare_images(cx, &project), start_cluster(cx)).await?;
        let chart = package::write_chart(&project)?;
        tell_chart(cx, &project, &chart);

        let namespace = cx.namespace.clone().unwrap_or_else(|| app.name.clone());
        app_secret::ensure_namespace(&client, &namespace).await?;
        let secret_digest = app_secret::ensure(&client, &namespace, app).await?;
        let values = package::values(app, &images.built, secret_digest.as_deref());
        let releases = Releases::new(client.clone(), &namespace);
        let history =
            releases.history(&app.name).await.map_err(|error| Failure::new(Kind::Release, error))?;
        let revision = history.last().map_or(0, |release| release.version);
        let version = client
            .apiserver_version()
            .await
            .or_fail(Kind::Cluster, "cannot ask for the cluster's version")?;
        let kube_version = Some(version.git_version);
        let target = Target { release: &app.name, namespace: &namespace, revision, kube_version };
        let package = package::render(&chart.chart, values, target)?;
        let policy = Policy {
            timeout: Duration::from_secs(self.timeout),
            rollback_on_failure: !self.no_rollback,
            ..Policy::default()
        };
        cx.at_work = Some((releases.clone(), app.name.clone()));
        let done = releases.install_or_upgrade(&app.name, package, &policy, &mut cx.teller()).await;
        let done = done.map_err(|error| release_failure(app, error))?;
        finish(cx, app, &done, begun)
    }
}

async fn prepare_images(cx: &Cx, project: &project::Project) -> Result<Images, Failure> {
    let since = Instant::now();
    let images = images::prepare(cx, &project.folder, &project.loaded.app).await?;
    cx.progress.timed("images", images.summary(), since);
    images.stand_ins.iter().for_each(|told| cx.progress.warn(told));
    Ok(images)
}

async fn start_cluster(cx: &Cx) -> Result<Client, Failure> {
    let since = Instant::now();
    let was_running = cx.cluster.is_drydock() && crate::engine::is_running(cx)?;
    let client = cluster::start_or_connect(cx).await?;
    match &cx.cluster.context {
        Some(context) => cx.progress.step("cluster", context),
        None if !cx.cluster.is_drydock() => cx.progress.step("cluster", "of the kubeconfig"),
        None if was_running => cx.progress.step("cluster", "drydock"),
        None => cx.progress.timed("cluster", "drydock started", since),
    }
    Ok(client)
}

fn tell_chart(cx: &Cx, project: &project::Project, chart: &WrittenChart) {
    let folder = chart.folder.strip_prefix(&project.folder).unwrap_or(&chart.folder).display();
    let what = match (&chart.update.written.len(), chart.update.is_new) {
        (_, true) => "new".to_owned(),
        (0, _) => "unchanged".to_owned(),
        (count, _) => format!("{count} files updated"),
    };
    cx.progress.step("chart", format!("{folder} ({what})"));
    for kept in &chart.update.kept {
        cx.progress.warn(format!(
            "{folder}/{} was edited and is kept; delete it to have it written anew",
            kept.display()
        ));
    }
    chart.notes.iter().for_each(|note| cx.progress.step("", format!("note: {note}")));
}

fn finish(cx: &Cx, app: &App, done: &Done, begun: Instant) -> Outcome {
    cx.progress.clear();
    if !done.changed {
        cx.progress.step("release", format!("revision {}: nothing to change", done.release.version));
    }
    cx.progress.step("ready", format!("in {:.1} s", begun.elapsed().as_secs_f64()));
    if app.ingress.enabled {
        println!("{}", project::url(cx, &app.ingress.host)?);
    }
    Ok(())
}

/// The failure with the next thing to type: logs of the first service that is named.
pub fn release_failure(app: &App, error: Error) -> Failure {
    let kept = matches!(&error, Error::Failed { outcome, .. } if outcome.contains("stays"));
    let hint = match (&error, first_unready(&error)) {
        (Error::Busy { .. }, _) => "wait until it has ended, then run the same command again".to_owned(),
        (_, Some(service)) if kept => format!("`seaworthy logs {service}` shows the whole output"),
        (_, Some(_)) => "`seaworthy up --no-rollback` leaves it in place to look at it".to_owned(),
        _ => format!("`seaworthy status` and `seaworthy history` show how `{}` stands", app.name),
    };
    Failure::new(Kind::Release, error).hint(hint)
}

fn first_unready(error: &Error) -> Option<String> {
    match error {
        Error::Failed { source, .. } => first_unready(source),
        Error::NotReady { objects, .. } => {
            objects.first()?.object.split_once('/').map(|(_, name)| name.to_owned())
        }
        _ => None,
    }
}
