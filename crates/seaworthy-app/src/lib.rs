//! The application model: what an app is made of, whatever file described it.
//!
//! For everyone between the Compose file and the cluster: `seaworthy-compose` fills an [`App`],
//! `seaworthy-image` builds its images, `seaworthy-chart` writes its chart, the trial derives its checks.
//! Pure: no files, no clock, no network, no YAML. Order is kept everywhere, because people read what we print.
//! Secret values live only in [`SecretText`], which does not print itself.
//!
//! Start at [`App`]; what is worked out rather than stated is in [`infer`].

mod health;
pub mod infer;
mod known;
mod resources;
mod secret;
mod service;
mod storage;

pub use health::{HealthTest, Healthcheck, Probe, Probes};
pub use known::{KnownImage, known_image};
pub use resources::{Amounts, Autoscale, Resources};
pub use secret::{SecretSource, SecretText, SecretValue, looks_secret};
pub use service::{
    Build, Condition, Dependency, EnvValue, EnvVar, Image, Port, Protocol, Route, Service, Workload,
    WorkloadKind,
};
pub use storage::{ConfigFile, FileMount, FileSource, Mount, Volume};

/// An application: several services that are deployed, reached and thrown away together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct App {
    /// A DNS label; names the release, the namespace, the chart and the host.
    pub name: String,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// Named volumes.
    pub volumes: Vec<Volume>,
    /// Text files that services mount and that are not secret.
    pub configs: Vec<ConfigFile>,
    /// Everything the Secret [`App::secret_name`] must hold before the chart can run. Keys are unique.
    pub secrets: Vec<SecretValue>,
    pub ingress: Ingress,
}

/// How the app is reached from outside the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ingress {
    /// Off when no service has a route.
    pub enabled: bool,
    /// For example `todo.localhost`.
    pub host: String,
    /// Ingress class; empty leaves the choice to the cluster's default class.
    pub class: String,
}

impl App {
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }

    pub fn config(&self, name: &str) -> Option<&ConfigFile> {
        self.configs.iter().find(|config| config.name == name)
    }

    pub fn secret(&self, key: &str) -> Option<&SecretValue> {
        self.secrets.iter().find(|secret| secret.key == key)
    }

    /// The Secret that holds [`App::secrets`]; the chart refers to it and never contains a value.
    pub fn secret_name(&self) -> String {
        format!("{}-secrets", self.name)
    }

    /// The image that `service` runs, without a tag when we build it and the file names none:
    /// `todo-backend`, `redis:7-alpine`, `ghcr.io/acme/api:1.2`.
    pub fn image_name(&self, service: &Service) -> String {
        match &service.image {
            Image::Reference(reference) => reference.clone(),
            Image::Build(Build { image: Some(reference), .. }) => reference.clone(),
            Image::Build(_) => format!("{}-{}", self.name, service.name),
        }
    }
}
