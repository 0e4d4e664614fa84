//! The app in the current folder: found, read, and recognised again in the cluster.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use seaworthy_compose::{Loaded, Request};

use crate::cx::Cx;
use crate::engine;
use crate::failure::{Failure, Kind};

const INSTANCE: &str = "app.kubernetes.io/instance";
const COMPONENT: &str = "app.kubernetes.io/component";

/// Which app: the same options as `docker compose`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProjectArgs {
    /// Compose file; may be repeated, later ones win
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Where the app is, and what of it counts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PlaceArgs {
    /// Folder of the app; relative paths start here
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    project_directory: PathBuf,

    /// Name of the app, instead of the file's or the folder's
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,

    /// Profile to activate; may be repeated
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
}

/// An app that was read.
pub struct Project {
    pub folder: PathBuf,
    pub loaded: Loaded,
}

pub fn load(args: &ProjectArgs) -> Result<Project, Failure> {
    let folder = std::path::absolute(&args.place.project_directory)
        .map_err(|error| Failure::new(Kind::Input, error))?;
    let request = Request {
        folder: folder.clone(),
        files: args.files.clone(),
        profiles: args.place.profile.clone(),
        name: args.place.project_name.clone(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    let loaded = seaworthy_compose::load(&request)
        .map_err(|error| Failure::new(Kind::Input, anyhow::anyhow!(error.explain())))?;
    Ok(Project { folder, loaded })
}

/// The app's name: as given, else read from the compose file.
pub fn name(args: &ProjectArgs) -> Result<String, Failure> {
    match &args.place.project_name {
        Some(name) => Ok(name.clone()),
        None => Ok(load(args)?.loaded.app.name),
    }
}

/// Tells what of the files has no place in a cluster, by name and line.
pub fn report(cx: &Cx, project: &Project) {
    for dropped in &project.loaded.dropped {
        let file = dropped.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        cx.progress.warn(format!(
            "{file}:{}: `{}` is not carried over: {}",
            dropped.line, dropped.path, dropped.reason
        ));
    }
    project.loaded.warnings.iter().for_each(|warning| cx.progress.warn(warning));
}

/// Label selector for the app's objects, or those of one service.
pub fn selector(app: &str, service: Option<&str>) -> String {
    match service {
        Some(service) => format!("{INSTANCE}={app},{COMPONENT}={service}"),
        None => format!("{INSTANCE}={app}"),
    }
}

/// The compose service a pod belongs to.
pub fn service_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(COMPONENT).map(String::as_str)
}

/// Where a host of an Ingress answers: on drydock's own port, elsewhere on the usual one.
pub fn url(cx: &Cx, host: &str) -> Result<String, Failure> {
    Ok(match cx.cluster.is_drydock() {
        false => format!("http://{host}"),
        true => format!("http://{host}:{}", engine::http_port(cx)?),
    })
}
