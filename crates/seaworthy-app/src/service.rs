//! A service and the parts it states: image, command, environment, ports, dependencies, security.
//!
//! A field holds what the file said (or its documented default), never what the cluster will make of it.

use std::path::PathBuf;

use crate::{Autoscale, FileMount, Healthcheck, Mount, Probes, Resources};

/// One kind of container and how many of it run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// A DNS label: other services reach this one under it.
    pub name: String,
    pub image: Image,
    /// Replaces the image's entrypoint when set. In its words and those of `command`, `$(NAME)` stands for the
    /// variable of that name and `$$(` for the two characters, as in Kubernetes.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command when set.
    pub command: Option<Vec<String>>,
    pub working_dir: Option<String>,
    pub environment: Vec<EnvVar>,
    /// Secrets and configs mounted as files.
    pub files: Vec<FileMount>,
    pub ports: Vec<Port>,
    pub mounts: Vec<Mount>,
    pub healthcheck: Option<Healthcheck>,
    /// What `x-seaworthy` says about probes; wins over the health check.
    pub probes: Probes,
    pub depends_on: Vec<Dependency>,
    /// 0 is allowed: described but not running.
    pub replicas: u32,
    pub resources: Resources,
    /// Present when the service scales by itself; `replicas` then only counts at the start.
    pub autoscale: Option<Autoscale>,
    /// Numeric user and group to run as; `None` leaves 1000 for built images and the known user for others.
    pub user: Option<(u32, u32)>,
    /// A root file system that cannot be written. True unless the file says `read_only: false`.
    pub read_only: Option<bool>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Seconds between the polite and the impolite signal.
    pub stop_grace_period_s: u32,
    pub stop_signal: Option<String>,
    /// Empty means the app's default network, which reaches every service.
    pub networks: Vec<String>,
    /// Other names under which this service is reached.
    pub aliases: Vec<String>,
    /// Paths of the app's host that lead to this service.
    pub routes: Vec<Route>,
    pub workload: Workload,
    /// Whether the container must not be started again when it ends well (`restart: "no"` or `on-failure`).
    pub runs_once: bool,
    pub labels: Vec<(String, String)>,
}

impl Service {
    /// A service with the given name and the defaults of Compose: one replica, ten seconds... except the
    /// grace period, where Kubernetes' 30 s is the default we state.
    pub fn new(name: impl Into<String>) -> Self {
        Service { name: name.into(), replicas: 1, stop_grace_period_s: 30, ..Service::default() }
    }

    pub fn env(&self, name: &str) -> Option<&EnvValue> {
        self.environment.iter().find(|var| var.name == name).map(|var| &var.value)
    }

    /// The reference an image table is asked with: `redis:7-alpine`; `None` for images we build.
    pub fn foreign_image(&self) -> Option<&str> {
        match &self.image {
            Image::Reference(reference) => Some(reference),
            Image::Build(_) => None,
        }
    }

    /// The port other services mean when they name this one: the first stated, else the known one.
    pub fn main_port(&self) -> Option<u16> {
        let known = || self.foreign_image().and_then(crate::known_image).and_then(|known| known.port);
        self.ports
            .iter()
            .find(|port| port.protocol == Protocol::Tcp)
            .map(|port| port.container)
            .or_else(known)
    }
}

/// Where the image comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// `redis:7-alpine`; looked up in the local store, then pulled.
    Reference(String),
    Build(Build),
}

impl Default for Image {
    fn default() -> Self {
        Image::Reference(String::new())
    }
}

/// An image that we build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Build {
    /// Absolute, or relative to the app's folder.
    pub context: PathBuf,
    /// Relative to the context; `None` means `Dockerfile`.
    pub dockerfile: Option<PathBuf>,
    pub target: Option<String>,
    /// `None` as value: taken from the environment of whoever builds.
    pub args: Vec<(String, Option<String>)>,
    /// `x-seaworthy: builder`: `cargo`, `dockerfile`; `None` lets the image crate look at the context.
    pub builder: Option<String>,
    /// `image:` beside `build:`: the name to give the result.
    pub image: Option<String>,
}

/// One environment variable. Order matters: Kubernetes expands `$(NAME)` only backwards.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvVar {
    pub name: String,
    pub value: EnvValue,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EnvValue {
    Plain(String),
    /// A key of the app's Secret, see [`crate::App::secrets`].
    Secret {
        key: String,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A port the container listens on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Port {
    pub container: u16,
    /// The port of the host that Compose would publish it on; `None` for `expose` and random ports.
    pub published: Option<u16>,
    /// True for `ports`, false for `expose`.
    pub is_published: bool,
    /// The address of the host it is published on, when one is named.
    pub host_ip: Option<String>,
    pub protocol: Protocol,
    /// Stated, or worked out by [`crate::infer::name_ports`]: at most 15 characters, unique in the service.
    pub name: Option<String>,
    /// `http`, `http2`, ... when the file says so.
    pub app_protocol: Option<String>,
}

/// What a dependency must have reached before this service starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Started,
    Healthy,
    CompletedSuccessfully,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    pub service: String,
    pub condition: Condition,
    /// `required: false`: a missing dependency is not an error.
    pub required: bool,
}

/// A path of the app's host that leads to a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Begins with `/`; matched by whole segments and passed on unchanged.
    pub path: String,
    /// `None` means the app's host.
    pub host: Option<String>,
    /// The container port.
    pub port: u16,
}

/// The Kubernetes kind a service becomes, and why, in words a person is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WorkloadKind {
    #[default]
    Deployment,
    StatefulSet,
    Job,
}
